// Traces: their files, and what replays say against the models that they were recorded from.
#include "apps/bench/trace.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "apps/bench/cost.h"
#include "apps/bench/measure.h"
#include "apps/bench/record.h"
#include "apps/bench/replay.h"
#include "gumbelspec/noise.h"
#include "testing/table_model.h"

namespace gumbelspec::apps::bench {
namespace {

using ::testing::HasSubstr;
using testing::TableModel;

constexpr std::size_t kPrompts = 12;
constexpr std::size_t kRuns = 4;
constexpr std::size_t kTokens = 48;
constexpr std::size_t kTop = 8;  // of 80 tokens, so most of a row is left out
constexpr std::uint64_t kSeed = 5;

// A small pair of models and a trace of it.
class TracePair {
 public:
  TracePair(std::vector<float> temperatures, std::size_t n_runs)
      : target_({.n_vocab = 80, .seed = 3, .spread = 4.0F, .n_context = 96, .end = TokenId{79}}),
        draft_(TableModel::draft_of(target_, 0.75F, 4)) {
    for (std::size_t i = 0; i < kPrompts; ++i) {
      prompts_.push_back({token_id(i), token_id(2 * i + 1), token_id(3 * i)});
    }
    trace_.about = {{"machine", {{"cpu", "none"}}},
                    {"versions", {{"noise_version", kNoiseVersion}}},
                    {"models", {{"target", "table"}, {"draft", "table"}}},
                    {"settings", {{"command", "test"}, {"n_threads", 1}}}};
    trace_.models.limits = {target_.limits(), draft_.limits()};
    trace_.models.end_tokens = {TokenId{79}};
    trace_.models.costs = {std::vector<CostPoint>{{1, 0.010}, {64, 0.020}},
                           std::vector<CostPoint>{{1, 0.001}, {64, 0.002}}};
    trace_.temperatures = std::move(temperatures);
    trace_.n_prompts = kPrompts;
    trace_.n_runs = n_runs;
    trace_.n_tokens = kTokens;
    trace_.seed = kSeed;
    record_texts(
        target_, draft_, {SamplingOptions{}, prompts_, kTop}, [] {}, trace_);
  }

  [[nodiscard]] const Trace& trace() const { return trace_; }

  BenchText real(const TextRequest& request) {
    TextOptions options;
    options.sampling.temperature = request.temperature;
    options.method = request.method;
    options.seed = request.seed;
    options.max_tokens = request.n_tokens;
    Session session(target_, &draft_, options);
    Outcome outcome = session.start(prompts_[request.prompt]);
    while (outcome == Outcome::running) outcome = session.step();
    BenchText text;
    text.statistics = session.statistics();
    for (const GeneratedToken& token : session.generated()) text.tokens.push_back(token.token);
    return text;
  }

 private:
  TableModel target_;
  TableModel draft_;
  std::vector<std::vector<TokenId>> prompts_;
  Trace trace_;
};

TracePair& pair() {
  static TracePair the_pair({0.0F, 0.7F, 1.0F}, kRuns);
  return the_pair;
}

ReplaySource replay_of(const Trace& trace, const std::string& cost = "measured") {
  return {trace, replay_costs(cost, trace), "a.trace"};
}

TextRequest request(const std::string& method, float temperature, std::size_t prompt,
                    std::size_t run) {
  return {parse_method(method), temperature, prompt, text_seed(kSeed, run, prompt), kTokens};
}

// Of all texts at one temperature.
struct Totals {
  double tokens = 0.0, passes = 0.0;
  [[nodiscard]] double tokens_per_pass() const { return tokens / passes; }
};

Totals totals(const std::string& method, float temperature, std::size_t n_runs,
              const GenerateText& generate) {
  Totals sum;
  for (std::size_t run = 0; run < n_runs; ++run) {
    for (std::size_t prompt = 0; prompt < kPrompts; ++prompt) {
      const Statistics s = generate(request(method, temperature, prompt, run)).statistics;
      sum.tokens += static_cast<double>(s.n_generated);
      sum.passes += static_cast<double>(s.n_target_passes);
    }
  }
  return sum;
}

// Relative difference of the replay's tokens per pass.
double bias(TracePair& models, const std::string& method, float temperature) {
  ReplaySource replay = replay_of(models.trace());
  const std::size_t n_runs = models.trace().n_runs;
  const Totals real =
      totals(method, temperature, n_runs, [&](const auto& r) { return models.real(r); });
  const Totals replayed =
      totals(method, temperature, n_runs, [&](const auto& r) { return replay.generate(r); });
  return replayed.tokens_per_pass() / real.tokens_per_pass() - 1.0;
}

std::string error_of(const std::function<void()>& act) {
  try {
    act();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(Half, EveryNumberComesBack) {
  for (unsigned bits = 0; bits <= 0xffffU; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    if (!std::isfinite(from_half(half))) continue;
    ASSERT_EQ(to_half(from_half(half)), half);
  }
}

TEST(Half, IsTheNearestNumber) {
  for (float x = -21.0F; x < 0.3F; x += 0.00037F) {
    const std::uint16_t half = to_half(x);
    const float error = std::fabs(from_half(half) - x);
    for (const int step : {-1, 1}) {
      const float other = from_half(static_cast<std::uint16_t>(half + step));
      if (std::isfinite(other)) ASSERT_LE(error, std::fabs(other - x)) << x;
    }
  }
}

TEST(Trace, IsTheSameAfterWritingAndReading) {
  const std::string bytes = trace_bytes(pair().trace());
  const Trace read = parse_trace(bytes, "a.trace");
  EXPECT_EQ(trace_bytes(read), bytes);
  EXPECT_EQ(read.texts.size(), 3 * kRuns * kPrompts);
  EXPECT_EQ(read.texts[7].tokens, pair().trace().texts[7].tokens);
  EXPECT_EQ(read.texts[7].draft[3].weights, pair().trace().texts[7].draft[3].weights);
}

TEST(Trace, AForeignFileIsTold) {
  EXPECT_THAT(error_of([] { (void)parse_trace("GGUF and so on, much longer", "a.gguf"); }),
              HasSubstr("is not a trace; give a file"));
  EXPECT_THAT(error_of([] { (void)parse_trace("", "empty"); }), HasSubstr("is not a trace"));
  EXPECT_THAT(error_of([] { (void)read_trace("/nowhere/a.trace"); }), HasSubstr("cannot be read"));
  EXPECT_THAT(error_of([] { (void)read_trace("/"); }), HasSubstr("cannot be read"));
}

TEST(Trace, AnotherVersionIsTold) {
  std::string bytes = trace_bytes(pair().trace());
  bytes[8] = 2;
  EXPECT_THAT(error_of([&] { (void)parse_trace(bytes, "a.trace"); }),
              HasSubstr("has version 2, but this program reads version 1"));
}

TEST(Trace, ACutFileIsTold) {
  const std::string bytes = trace_bytes(pair().trace());
  for (const std::size_t n : {16UL, 17UL, 200UL, bytes.size() / 2, bytes.size() - 1}) {
    EXPECT_THAT(error_of([&] { (void)parse_trace(bytes.substr(0, n), "a.trace"); }),
                HasSubstr("is cut short or was changed"))
        << n;
  }
}

TEST(Trace, AChangedByteIsTold) {
  std::string bytes = trace_bytes(pair().trace());
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  EXPECT_THAT(error_of([&] { (void)parse_trace(bytes, "a.trace"); }),
              HasSubstr("is cut short or was changed"));
}

TEST(Replay, EveryMethodFollowsTheTextOfPlainDecoding) {
  ReplaySource replay = replay_of(pair().trace());
  for (const char* method : {"ar", "rejection", "rejection-tree", "greedy-chain", "gumbel-chain",
                             "gumbel-beam", "gumbel-tree", "gumbel-tree:nodes=12"}) {
    for (const float temperature : {0.0F, 0.7F, 1.0F}) {
      for (std::size_t prompt = 0; prompt < kPrompts; ++prompt) {
        const BenchText real = pair().real(request("ar", temperature, prompt, 1));
        const BenchText text = replay.generate(request(method, temperature, prompt, 1));
        ASSERT_EQ(text.tokens, real.tokens) << method << " at " << temperature;
      }
    }
  }
}

TEST(Replay, AChainIsThatOfTheModelsPassByPass) {
  ReplaySource replay = replay_of(pair().trace());
  for (const char* method : {"gumbel-chain:length=1", "gumbel-chain:length=4",
                             "gumbel-chain:length=8", "greedy-chain:length=3"}) {
    for (const float temperature : {0.0F, 0.7F, 1.0F}) {
      for (std::size_t prompt = 0; prompt < kPrompts; ++prompt) {
        const TextRequest r = request(method, temperature, prompt, 2);
        const Statistics real = pair().real(r).statistics;
        const Statistics replayed = replay.generate(r).statistics;
        ASSERT_EQ(replayed.n_target_passes, real.n_target_passes) << method;
        ASSERT_EQ(replayed.n_draft_passes, real.n_draft_passes) << method;
        ASSERT_EQ(replayed.n_accepted, real.n_accepted) << method;
        ASSERT_EQ(replayed.n_drafted, real.n_drafted) << method;
      }
    }
  }
}

// The rows below wrong nodes are other ones, which costs or brings a node here and there.
TEST(Replay, BeamsAndTreesAreNearlyThoseOfTheModels) {
  for (const char* method : {"gumbel-beam:width=2,length=3", "gumbel-beam:width=4,length=5",
                             "gumbel-tree:nodes=8", "gumbel-tree:nodes=32"}) {
    for (const float temperature : {0.7F, 1.0F}) {
      EXPECT_NEAR(bias(pair(), method, temperature), 0.0, 0.03) << method << " at " << temperature;
    }
  }
}

// Two samples of about 23,000 tokens, each with a standard deviation of 0.4 to 0.7 %; fixed seeds.
TEST(Replay, RejectionHasTheAcceptanceOfRealRuns) {
  TracePair models({1.0F}, 40);
  for (const char* method :
       {"rejection:length=1", "rejection:length=5", "rejection-tree:width=2,length=3",
        "rejection-tree:width=4,length=4"}) {
    EXPECT_NEAR(bias(models, method, 1.0F), 0.0, 0.025) << method;
  }
}

TEST(Replay, RejectionAtTemperatureZeroIsThatOfTheModels) {
  for (const char* method : {"rejection:length=5", "rejection-tree:width=3,length=3"}) {
    EXPECT_NEAR(bias(pair(), method, 0.0F), 0.0, 0.02) << method;
  }
}

// The control: with the noise of another seed nothing fits, and that is not passed over.
TEST(Replay, NoiseOfAnotherSeedIsAnError) {
  Trace wrong = pair().trace();
  for (TraceText& text : wrong.texts) text.seed += 1;
  ReplaySource replay = replay_of(wrong);
  for (const char* method : {"ar", "gumbel-chain", "gumbel-beam", "rejection"}) {
    EXPECT_THAT(error_of([&] { (void)replay.generate(request(method, 1.0F, 3, 0)); }),
                HasSubstr("does not give its own text"))
        << method;
  }
}

TEST(Replay, TimeIsWhatTheCurvesSay) {
  ReplaySource replay = replay_of(pair().trace(), "flat");
  const Statistics s = replay.generate(request("gumbel-beam", 1.0F, 0, 0)).statistics;
  EXPECT_NEAR(s.target_s, 0.010 * static_cast<double>(s.n_target_passes), 1e-9);
  EXPECT_NEAR(s.draft_s, 0.001 * static_cast<double>(s.n_draft_passes), 1e-9);
  EXPECT_NEAR(s.own_s(), 0.0, 1e-12);
}

TEST(Replay, APlannedTreeDecidesTheSameEveryTime) {
  const auto nodes = [] {
    ReplaySource replay = replay_of(pair().trace());
    return replay.generate(request("gumbel-tree", 1.0F, 1, 1)).statistics.n_drafted;
  };
  const std::size_t first = nodes();
  EXPECT_GT(first, 0U);
  EXPECT_EQ(nodes(), first);
}

TEST(Replay, RunsBehindTheLastOneBeginAgain) {
  ReplaySource replay = replay_of(pair().trace());
  EXPECT_EQ(replay.generate(request("ar", 1.0F, 2, kRuns + 1)).tokens,
            replay.generate(request("ar", 1.0F, 2, 1)).tokens);
}

TEST(ReplayCosts, AFlatPassCostsWhatOneNodeDoes) {
  const ReplayCosts costs = replay_costs("flat", pair().trace());
  EXPECT_DOUBLE_EQ(costs.model.target.seconds(64), 0.010);
  EXPECT_DOUBLE_EQ(costs.model.draft.seconds(20), 0.001);
  EXPECT_FALSE(costs.model.target.refines());
  EXPECT_THAT(costs.text, HasSubstr("FLAT"));
}

TEST(ReplayCosts, ALinearPassCostsItsNodes) {
  const ReplayCosts costs = replay_costs("linear", pair().trace());
  EXPECT_NEAR(costs.model.target.seconds(7), 0.070, 1e-12);
}

TEST(ReplayCosts, WhatIsWrongIsNamed) {
  const auto error = [](const std::string& option) {
    return error_of([&] { (void)replay_costs(option, pair().trace()); });
  };
  EXPECT_THAT(error("cheap"), HasSubstr("give measured, flat, linear"));
  EXPECT_THAT(error("flat:/"), HasSubstr("give measured, flat, linear"));
}

}  // namespace
}  // namespace gumbelspec::apps::bench
