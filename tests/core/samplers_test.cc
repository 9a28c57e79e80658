// The less common samplers, alone and together, against the plain reference in double.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "gumbelspec/error.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/sampling.h"
#include "testing/reference.h"

namespace gumbelspec {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_row(std::size_t n, std::uint64_t seed, float scale) {
  std::vector<float> row(n);
  fill_noise({seed, 0}, Position{0}, row);
  for (float& x : row) x *= scale;
  return row;
}

std::vector<double> softmax(std::span<const float> log_weights) {
  std::vector<double> p(log_weights.begin(), log_weights.end());
  const double largest = *std::max_element(p.begin(), p.end());
  double sum = 0.0;
  for (double& x : p) sum += x = std::exp(x - largest);
  for (double& x : p) x /= sum;
  return p;
}

SamplingOptions random_options(std::mt19937& random) {
  const auto one_of = [&](auto... values) {
    const std::common_type_t<decltype(values)...> list[] = {values...};
    return list[random() % std::size(list)];
  };
  SamplingOptions o;
  o.temperature = one_of(1.0F, 0.6F, 1.6F);
  o.top_k = one_of(0, 0, 30);
  o.top_p = one_of(1.0F, 0.9F, 0.5F);
  o.min_p = one_of(0.0F, 0.0F, 0.05F);
  o.min_keep = one_of(0, 0, 3, 20);
  o.top_n_sigma = one_of(-1.0F, -1.0F, 1.0F, 2.5F);
  o.typical_p = one_of(1.0F, 1.0F, 0.9F, 0.4F);
  o.xtc_probability = one_of(0.0F, 1.0F);  // between them: a test of its own
  o.xtc_threshold = one_of(0.05F, 0.2F);
  o.dynatemp_range = one_of(0.0F, 0.5F, 0.9F);
  o.dynatemp_exponent = one_of(1.0F, 2.0F);
  o.repeat_penalty = one_of(1.0F, 1.4F);
  o.penalty_last_n = one_of(0, 4, 64);
  if (random() % 2 == 0) o.logit_bias = {{TokenId{3}, 2.0F}, {TokenId{4}, -kInfinity}};
  if (random() % 2 == 0) {
    std::vector<Sampler> order(kDefaultSamplers.begin(), kDefaultSamplers.end());
    std::shuffle(order.begin(), order.end(), random);
    order.resize(1 + random() % order.size());
    o.samplers = order;
  }
  return o;
}

std::string text_of(const SamplingOptions& o) {
  std::ostringstream out;
  out << "T " << o.temperature << " +- " << o.dynatemp_range << " ^ " << o.dynatemp_exponent
      << ", k " << o.top_k << ", p " << o.top_p << ", min-p " << o.min_p << ", keep " << o.min_keep
      << ", sigma " << o.top_n_sigma << ", typical " << o.typical_p << ", xtc " << o.xtc_probability
      << " " << o.xtc_threshold << ", penalty " << o.repeat_penalty << " of " << o.penalty_last_n
      << ", biases " << o.logit_bias.size() << ", order";
  if (o.samplers) {
    for (const Sampler sampler : *o.samplers) out << " " << to_string(sampler);
  }
  return out.str();
}

TEST(Samplers, AreTheReferenceInAnyOrder) {
  const std::vector<TokenId> text = {TokenId{1}, TokenId{9}, TokenId{3}, TokenId{1}, TokenId{2}};
  std::mt19937 random(5);
  for (std::uint64_t seed = 1; seed <= 600; ++seed) {
    const SamplingOptions options = random_options(random);
    const std::size_t n = seed % 3 == 0 ? 3000 : 90;  // lists, and whole rows
    const std::vector<float> logits = random_row(n, seed, seed % 2 == 0 ? 2.0F : 0.6F);
    const std::vector<double> expected = testing::reference_probabilities(logits, options, text);
    // Temperatures next to 0 multiply what floats round.
    const double tolerance = options.dynatemp_range > 0.0F ? 1e-3 : 2e-5;
    LogWeights pipeline(options, n);
    for (const std::size_t cut : {5, 2}) {
      const TextView view{std::span(text).first(cut), std::span(text).subspan(cut)};
      const std::vector<double> p = softmax(pipeline(logits, view));
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_NEAR(p[i], expected[i], tolerance)
            << "token " << i << ", case " << seed << ": " << text_of(options);
      }
    }
  }
}

TEST(Samplers, DraftsProposeWhatTheTargetKeeps) {
  // A draft leaves out what is next to impossible, and nothing else.
  const std::vector<float> logits = random_row(3000, 1, 3.0F);
  LogWeights pipeline({.typical_p = 0.9F}, 3000);
  const KeptRow draft = pipeline.kept_of_draft(logits, {});
  const std::vector<TokenId> tokens(draft.tokens.begin(), draft.tokens.end());
  const KeptRow target = pipeline.kept(logits, {});
  EXPECT_EQ(tokens, std::vector<TokenId>(target.tokens.begin(), target.tokens.end()));
}

TEST(Samplers, XtcsCoinIsAFunctionOfKeyAndPosition) {
  const std::vector<float> logits = {3.0F, 2.9F, 2.8F, 0.0F, -1.0F};
  LogWeights pipeline({.xtc_probability = 0.3F, .xtc_threshold = 0.1F}, 5);
  LogWeights other({.xtc_probability = 0.3F, .xtc_threshold = 0.1F}, 5);
  pipeline.set_key({7, 0});
  other.set_key({7, 0});
  std::vector<TokenId> text;
  int n_cut = 0;
  int n_other_seed = 0;
  constexpr int kPositions = 4000;
  for (int i = 0; i < kPositions; ++i) {
    const std::size_t half = text.size() / 2;
    const bool is_cut = pipeline(logits, {text, {}})[0] == -kInfinity;
    // Another object, asked twice, with the text in two parts.
    for (int j = 0; j < 2; ++j) {
      const TextView view{std::span(text).first(half), std::span(text).subspan(half)};
      ASSERT_EQ(other(logits, view)[0] == -kInfinity, is_cut);
    }
    n_cut += is_cut ? 1 : 0;
    pipeline.set_key({8, 0});
    n_other_seed += (pipeline(logits, {text, {}})[0] == -kInfinity) != is_cut ? 1 : 0;
    pipeline.set_key({7, 0});
    text.push_back(TokenId{1});
  }
  // Binomial: 1200 +- 5 standard deviations of 29; two seeds differ in 42 of 100 positions.
  EXPECT_NEAR(n_cut, 1200, 145);
  EXPECT_NEAR(n_other_seed, 1680, 160);
}

// What the walk of a tree may ask: the way that was gone, again, and another one from there.
TEST(Samplers, RememberEveryPositionOfAText) {
  std::vector<SamplingOptions> cases(2);
  cases[0].mirostat = 2;
  cases[0].mirostat_tau = 2.0F;
  cases[0].mirostat_eta = 0.9F;
  cases[1].adaptive_target = 0.3F;
  const auto row_at = [](std::size_t n) { return random_row(200, n, 2.0F); };
  const auto copy = [](std::span<const float> row) {
    return std::vector<float>(row.begin(), row.end());
  };
  for (const SamplingOptions& options : cases) {
    LogWeights walked(options, 200);
    ASSERT_TRUE(walked.keeps_memory());
    std::vector<TokenId> text = {TokenId{4}, TokenId{5}};
    std::vector<std::vector<float>> seen;
    for (int i = 0; i < 6; ++i) {
      seen.push_back(copy(walked(row_at(text.size()), {text, {}})));
      // The likeliest, then one that is next to impossible.
      const auto best = std::max_element(seen.back().begin(), seen.back().end());
      text.push_back(token_id(static_cast<std::size_t>(best - seen.back().begin())));
    }
    // A draft's rows do not matter.
    (void)walked.kept_of_draft(row_at(99), {text, {}});
    for (std::size_t n : {std::size_t{7}, std::size_t{4}, std::size_t{5}, std::size_t{2}}) {
      const auto before = std::span<const TokenId>(text).first(n);
      EXPECT_EQ(copy(walked(row_at(n), {before, {}})), seen[n - 2]) << n;
    }
    // Another second token, as a text of its own has it.
    std::size_t other = index(text[2]);
    for (std::size_t t = 0; t < seen[0].size(); ++t) {
      if (seen[0][t] > -kInfinity && seen[0][t] < seen[0][other]) other = t;
    }
    ASSERT_NE(other, index(text[2]));
    text[2] = token_id(other);
    LogWeights fresh(options, 200);
    (void)fresh(row_at(2), {std::span<const TokenId>(text).first(2), {}});
    const auto before = std::span<const TokenId>(text).first(3);
    const std::vector<float> row = copy(walked(row_at(3), {before, {}}));
    EXPECT_EQ(row, copy(fresh(row_at(3), {before, {}})));
    EXPECT_NE(row, seen[1]);
    // Not over positions that were left out, but from anywhere once another text begins.
    EXPECT_THROW((void)walked(row_at(6), {text, {}}), std::logic_error);
    walked.forget_text();
    EXPECT_NO_THROW((void)walked(row_at(6), {text, {}}));
  }
}

TEST(Samplers, HaveLlamaCppsNames) {
  for (const Sampler sampler : kDefaultSamplers) {
    EXPECT_EQ(parse_sampler(to_string(sampler)), sampler);
  }
  EXPECT_EQ(parse_sampler("Top-K"), Sampler::top_k);
  EXPECT_EQ(parse_sampler("topnsigma"), Sampler::top_n_sigma);
  EXPECT_EQ(parse_sampler("nucleus"), Sampler::top_p);
  EXPECT_EQ(parse_sampler("temp"), Sampler::temperature);
  EXPECT_EQ(parse_sampler("adaptive-p"), Sampler::adaptive_p);
  EXPECT_EQ(parse_sampler("infill"), std::nullopt);
  for (const char* wrong : {"", "magic", "top", "top_k "}) {
    EXPECT_THROW((void)parse_sampler(wrong), Error) << wrong;
  }
}

TEST(Samplers, RefuseWhatIsOutsideTheirLimits) {
  const auto refused = [](auto set) {
    SamplingOptions options;
    set(options);
    try {
      validate(options);
    } catch (const Error& error) {
      return error.field();
    }
    return std::string("nothing");
  };
  EXPECT_EQ(refused([](auto& o) { o.min_keep = -1; }), "min_keep");
  EXPECT_EQ(refused([](auto& o) { o.top_n_sigma = kInfinity; }), "top_n_sigma");
  EXPECT_EQ(refused([](auto& o) { o.typical_p = 0.0F; }), "typical_p");
  EXPECT_EQ(refused([](auto& o) { o.typical_p = 1.1F; }), "typical_p");
  EXPECT_EQ(refused([](auto& o) { o.xtc_probability = -0.1F; }), "xtc_probability");
  EXPECT_EQ(refused([](auto& o) { o.xtc_threshold = std::nanf(""); }), "xtc_threshold");
  EXPECT_EQ(refused([](auto& o) { o.dynatemp_range = -1.0F; }), "dynatemp_range");
  EXPECT_EQ(refused([](auto& o) {
              o.dynatemp_range = 0.5F;
              o.temperature = 0.0F;
            }),
            "dynatemp_range");
  EXPECT_EQ(refused([](auto& o) { o.dynatemp_exponent = 0.0F; }), "dynatemp_exponent");
  EXPECT_EQ(refused([](auto& o) {
              o.temperature = 0.0F;
              o.samplers = std::vector<Sampler>{Sampler::top_k};
            }),
            "samplers");
  EXPECT_EQ(refused([](auto& o) { o.samplers = std::vector<Sampler>(65, Sampler::top_k); }),
            "samplers");
  EXPECT_EQ(refused([](auto& o) { o.top_n_sigma = -1.0F; }), "nothing");
}

}  // namespace
}  // namespace gumbelspec
