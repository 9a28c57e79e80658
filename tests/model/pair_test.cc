// The demo pair, end to end: the same text with every method and shape, and as many tokens per pass
// as the exact simulation of the two models gives.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "apps/cli/selftest_identity.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/session.h"

namespace gumbelspec {
namespace {

constexpr std::size_t kSeeds = 3;
constexpr std::size_t kTokens = 100;

std::unique_ptr<LlamaModel> load(const char* name) {
  LlamaModelOptions options{.path = std::string(GUMBELSPEC_MODELS_DIR) + "/" + name};
  // Several tests run at once, and threads that wait for each other on a busy machine crawl.
  options.n_threads = 1;
  return LlamaModel::load(options);
}

// The models, and the texts of plain decoding: made once per process.
struct Demo {
  std::unique_ptr<LlamaModel> target = load("demo-target-q8_0.gguf");
  std::unique_ptr<LlamaModel> draft = load("demo-draft-q8_0.gguf");
  std::unique_ptr<LlamaModel> weak_draft = load("demo-draft-weak-q8_0.gguf");

  static Demo& get() {
    static Demo demo;
    return demo;
  }
};

struct Texts {
  std::vector<std::vector<GeneratedToken>> texts;
  Statistics sum;
  std::size_t n_nodes = 0;
};

Texts run(const Method& method, LlamaModel* draft, const SamplingOptions& sampling = {},
          std::size_t n_prompts = 20, std::size_t n_tokens = kTokens) {
  Demo& demo = Demo::get();
  Session session(*demo.target, draft,
                  {.sampling = sampling, .method = method, .max_tokens = n_tokens});
  Texts result;
  for (const std::string_view prompt : apps::cli::selftest_prompts().first(n_prompts)) {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
      Outcome outcome = session.start(demo.target->tokenize(prompt), seed);
      while (outcome == Outcome::running) outcome = session.step();
      EXPECT_EQ(outcome, Outcome::length);
      result.texts.emplace_back(session.generated().begin(), session.generated().end());
      const Statistics& s = session.statistics();
      result.sum.n_generated += s.n_generated;
      result.sum.n_target_passes += s.n_target_passes;
      result.sum.n_drafted += s.n_drafted;
      result.sum.n_accepted += s.n_accepted;
    }
  }
  return result;
}

// llama.cpp's arithmetic may depend on the batch; where it does, a difference must be a close call
// between the two best tokens, and rare.
void expect_same_texts(const Texts& expected, const Texts& got) {
  ASSERT_EQ(expected.texts.size(), got.texts.size());
  std::size_t n_different = 0;
  for (std::size_t i = 0; i < got.texts.size(); ++i) {
    const auto& a = expected.texts[i];
    const auto& b = got.texts[i];
    const auto [at_a, at_b] =
        std::mismatch(a.begin(), a.end(), b.begin(), b.end(),
                      [](const auto& x, const auto& y) { return x.token == y.token; });
    if (at_a == a.end() && at_b == b.end()) continue;
    ++n_different;
    ASSERT_TRUE(at_a != a.end() && at_b != b.end()) << "text " << i << ": different lengths";
    std::printf("text %zu differs at token %td: %d or %d, margin %.3g\n", i, at_a - a.begin(),
                static_cast<int>(at_a->token), static_cast<int>(at_b->token),
                static_cast<double>(at_a->margin));
    EXPECT_EQ(at_a->runner_up, at_b->token) << "text " << i << ": not even the second best";
    EXPECT_LE(at_a->margin, 0.3F) << "text " << i;
  }
  EXPECT_LE(n_different * 20, got.texts.size()) << "more than 5 % of the texts differ";
  ::testing::Test::RecordProperty("different_texts", static_cast<int>(n_different));
}

struct Expected {
  const char* method;
  double tokens_per_pass;  // simulated exactly in float32 on the same pair; 0: not known
};

class DemoPair : public ::testing::TestWithParam<Expected> {};

TEST_P(DemoPair, SaysTheSameAndAcceptsAsSimulated) {
  const Texts plain = run(parse_method("ar"), nullptr);
  EXPECT_EQ(plain.sum.tokens_per_pass(), 1.0);
  const Texts drafted = run(parse_method(GetParam().method), Demo::get().draft.get());
  expect_same_texts(plain, drafted);
  const double got = drafted.sum.tokens_per_pass();
  std::printf("%s: %.3f tokens per pass, %.1f nodes\n", GetParam().method, got,
              static_cast<double>(drafted.sum.n_drafted) /
                  static_cast<double>(drafted.sum.n_target_passes));
  if (GetParam().tokens_per_pass > 0.0) {
    EXPECT_NEAR(got, GetParam().tokens_per_pass, 0.05 * GetParam().tokens_per_pass);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Methods, DemoPair,
    ::testing::Values(Expected{"greedy-chain", 1.33}, Expected{"gumbel-chain:length=3", 2.46},
                      Expected{"gumbel-chain", 2.86}, Expected{"gumbel-chain:length=8", 3.05},
                      Expected{"gumbel-beam", 4.01}, Expected{"gumbel-beam:keep=0", 3.62},
                      Expected{"gumbel-beam:width=8,length=5", 4.52},
                      Expected{"gumbel-beam:width=8,length=8", 5.30},
                      Expected{"gumbel-beam:width=8,length=8,keep=0", 4.25},
                      Expected{"gumbel-beam:width=2,length=3", 0.0}),
    [](const auto& test) {
      std::string name = test.param.method;
      std::replace_if(
          name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
      return name;
    });

// Other texts than plain decoding's, so only the acceptance can be compared: for chains with the
// exact simulation, for trees with a measurement over 12 texts of this test's prompts. 30 texts
// have a standard deviation of about 2 %.
class DemoPairRejection : public ::testing::TestWithParam<Expected> {};

TEST_P(DemoPairRejection, AcceptsAsMuchAsSimulated) {
  const Texts drafted = run(parse_method(GetParam().method), Demo::get().draft.get(), {}, 10);
  const double got = drafted.sum.tokens_per_pass();
  std::printf("%s: %.3f tokens per pass\n", GetParam().method, got);
  EXPECT_NEAR(got, GetParam().tokens_per_pass, 0.08 * GetParam().tokens_per_pass);
}

INSTANTIATE_TEST_SUITE_P(
    Methods, DemoPairRejection,
    ::testing::Values(Expected{"rejection:length=3", 2.65}, Expected{"rejection", 3.33},
                      Expected{"rejection:length=8", 3.89},
                      Expected{"rejection-tree:width=16,length=8,nodes=16", 4.1}),
    [](const auto& test) {
      std::string name = test.param.method;
      std::replace_if(
          name.begin(), name.end(), [](unsigned char c) { return std::isalnum(c) == 0; }, '_');
      return name;
    });

TEST(DemoPairRejection, SaysWhatPlainDecodingSaysAtTemperatureZero) {
  const SamplingOptions cold{.temperature = 0.0F};
  const Texts plain = run(parse_method("ar"), nullptr, cold, 3);
  for (const char* method : {"greedy-chain", "rejection", "rejection-tree"}) {
    expect_same_texts(plain, run(parse_method(method), Demo::get().draft.get(), cold, 3));
  }
}

TEST(DemoPair, SaysTheSameWithTheWeakDraft) {
  const Texts plain = run(parse_method("ar"), nullptr, {}, 5);
  for (const char* method : {"gumbel-chain", "gumbel-beam"}) {
    expect_same_texts(plain, run(parse_method(method), Demo::get().weak_draft.get(), {}, 5));
  }
}

TEST(DemoPair, SaysTheSameUnderEverySamplingOption) {
  SamplingOptions penalties{.temperature = 0.8F, .top_p = 0.9F};
  penalties.repeat_penalty = 1.2F;
  penalties.frequency_penalty = 0.1F;
  const SamplingOptions samplings[] = {{.temperature = 0.0F},
                                       {.temperature = 0.6F},
                                       {.temperature = 1.5F, .top_k = 40, .min_p = 0.05F},
                                       penalties};
  for (const SamplingOptions& sampling : samplings) {
    const Texts plain = run(parse_method("ar"), nullptr, sampling, 3);
    for (const char* method : {"gumbel-chain", "gumbel-beam"}) {
      expect_same_texts(plain, run(parse_method(method), Demo::get().draft.get(), sampling, 3));
    }
  }
}

// The cache passes 512 cells on the way, where llama.cpp's attention would change its method.
TEST(DemoPair, SaysTheSameOverLongTexts) {
  const Texts plain = run(parse_method("ar"), nullptr, {}, 1, 900);
  for (const char* method : {"gumbel-chain:length=3", "gumbel-beam"}) {
    expect_same_texts(plain, run(parse_method(method), Demo::get().draft.get(), {}, 1, 900));
  }
}

// The negative control: another seed is another text, so the comparison can fail.
TEST(DemoPair, SaysSomethingElseForAnotherSeed) {
  Texts a = run(parse_method("ar"), nullptr, {}, 1, 20);
  EXPECT_NE(a.texts[0][5].token, a.texts[1][5].token);
}

}  // namespace
}  // namespace gumbelspec
