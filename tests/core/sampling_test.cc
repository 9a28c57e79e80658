#include "gumbelspec/sampling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "gumbelspec/error.h"
#include "gumbelspec/noise.h"
#include "testing/reference.h"

namespace gumbelspec {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

std::vector<float> random_row(std::size_t n, std::uint64_t seed) {
  std::vector<float> row(n);
  fill_noise({seed, 0}, Position{0}, row);
  for (float& x : row) x *= 2.0F;
  return row;
}

std::vector<double> softmax(std::span<const float> log_weights) {
  std::vector<double> p(log_weights.begin(), log_weights.end());
  const double largest = *std::max_element(p.begin(), p.end());
  for (double& x : p) x = std::exp(x - largest);
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

std::vector<SamplingOptions> option_grid() {
  std::vector<SamplingOptions> grid;
  for (const float t : {0.0F, 0.3F, 1.0F, 2.0F}) {
    for (const int k : {0, 1, 7}) {
      for (const float p : {0.3F, 0.95F, 1.0F}) {
        for (const float m : {0.0F, 0.1F, 1.0F}) {
          for (const bool penalties : {false, true}) {
            SamplingOptions o{.temperature = t, .top_k = k, .top_p = p, .min_p = m};
            if (penalties) {
              o.repeat_penalty = 1.5F;
              o.presence_penalty = 0.2F;
              o.frequency_penalty = 0.1F;
              o.penalty_last_n = 5;
              o.logit_bias = {{TokenId{3}, 2.0F}, {TokenId{4}, -kInfinity}};
            }
            grid.push_back(o);
          }
        }
      }
    }
  }
  return grid;
}

TEST(LogWeights, AreTheReferencePipelineForEveryCombinationOfOptions) {
  const std::vector<TokenId> text = {TokenId{1}, TokenId{1}, TokenId{9}, TokenId{3},
                                     TokenId{1}, TokenId{2}, TokenId{3}};
  std::uint64_t seed = 1;
  for (const SamplingOptions& options : option_grid()) {
    const std::vector<float> logits = random_row(300, seed++);
    LogWeights pipeline(options, logits.size());
    const std::vector<double> expected = testing::reference_probabilities(logits, options, text);
    // Twice, and with the text cut in two: no state is left from a call.
    for (const std::size_t cut : {7, 4, 0}) {
      const TextView view{std::span(text).first(cut), std::span(text).subspan(cut)};
      const std::span<const float> got = pipeline(logits, view);
      if (options.temperature == 0.0F) {
        const Choice choice = choose(got, {});
        EXPECT_EQ(expected[index(choice.token)], 1.0);
        continue;
      }
      const std::vector<double> p = softmax(got);
      for (std::size_t i = 0; i < p.size(); ++i) {
        ASSERT_NEAR(p[i], expected[i], 1e-5) << "token " << i << ", seed " << seed;
      }
    }
  }
}

TEST(LogWeights, ReturnTheRowItselfWhenNothingIsSet) {
  const std::vector<float> logits = random_row(10, 1);
  LogWeights pipeline({}, 10);
  EXPECT_EQ(pipeline(logits, {}).data(), logits.data());
}

TEST(LogWeights, LetOnlyMaskedInTokensThrough) {
  const std::vector<float> logits = random_row(70, 1);
  LogWeights pipeline({}, 70);
  const std::vector<std::uint32_t> allowed = {1U << 5U, 0U, 1U << 2U};
  const std::span<const float> got = pipeline(logits, {}, allowed);
  for (std::size_t i = 0; i < 70; ++i) {
    EXPECT_EQ(got[i], i == 5 || i == 66 ? logits[i] : -kInfinity) << i;
  }
}

TEST(LogWeights, BreakTiesAtTheCutTowardsSmallerIds) {
  const std::vector<float> logits = {1.0F, 2.0F, 1.0F, 1.0F};
  LogWeights top_k({.top_k = 2}, 4);
  const std::span<const float> got = top_k(logits, {});
  EXPECT_EQ(got[0], 1.0F);
  EXPECT_EQ(got[1], 2.0F);
  EXPECT_EQ(got[2], -kInfinity);
  EXPECT_EQ(got[3], -kInfinity);
}

TEST(LogWeights, TopPSortsVocabulariesOfAnySize) {
  for (const std::size_t n : {1, 127, 128, 129, 5000}) {
    const std::vector<float> logits(n, 0.5F);
    LogWeights top_p({.top_p = 0.5F}, n);
    const std::span<const float> got = top_p(logits, {});
    const auto kept = std::count_if(got.begin(), got.end(), [](float x) { return x > -kInfinity; });
    EXPECT_EQ(static_cast<std::size_t>(kept), (n + 1) / 2) << n;
  }
}

struct BadOption {
  const char* name;
  SamplingOptions options;
};

TEST(Validate, RefusesEveryValueOutsideItsLimitsAndNamesIt) {
  const float nan = std::nanf("");
  const auto with = [](auto set) {
    SamplingOptions o;
    set(o);
    return o;
  };
  const BadOption bad[] = {
      {"temperature", with([](auto& o) { o.temperature = -0.1F; })},
      {"temperature", with([&](auto& o) { o.temperature = nan; })},
      {"temperature", with([](auto& o) { o.temperature = kInfinity; })},
      {"temperature", with([](auto& o) { o.temperature = 1e-9F; })},
      {"top_k", with([](auto& o) { o.top_k = -1; })},
      {"top_p", with([](auto& o) { o.top_p = 0.0F; })},
      {"top_p", with([](auto& o) { o.top_p = 1.01F; })},
      {"top_p", with([&](auto& o) { o.top_p = nan; })},
      {"min_p", with([](auto& o) { o.min_p = -0.1F; })},
      {"min_p", with([](auto& o) { o.min_p = 1.1F; })},
      {"repeat_penalty", with([](auto& o) { o.repeat_penalty = 0.0F; })},
      {"presence_penalty", with([&](auto& o) { o.presence_penalty = nan; })},
      {"frequency_penalty", with([](auto& o) { o.frequency_penalty = kInfinity; })},
      {"penalty_last_n", with([](auto& o) { o.penalty_last_n = -2; })},
      {"logit_bias", with([](auto& o) {
         o.logit_bias = {{TokenId{1}, kInfinity}};
       })},
      {"logit_bias", with([](auto& o) {
         o.logit_bias = {{TokenId{-1}, 0.0F}};
       })},
  };
  for (const BadOption& b : bad) {
    try {
      validate(b.options);
      ADD_FAILURE() << b.name << " was let through";
    } catch (const Error& e) {
      EXPECT_EQ(e.code(), ErrorCode::invalid_option);
      EXPECT_EQ(e.field(), b.name);
      EXPECT_EQ(std::string(e.what()).find(b.name), 0U) << e.what();
      EXPECT_EQ(std::string(e.what()).find('\n'), std::string::npos);
    }
  }
  EXPECT_NO_THROW(validate({}));
}

TEST(Choose, IsTheArgmaxWithItsRunnerUp) {
  for (std::uint64_t seed = 1; seed < 50; ++seed) {
    const std::vector<float> l = random_row(1000 + seed, seed);
    const std::vector<float> g = random_row(1000 + seed, seed + 1000);
    std::vector<std::size_t> order(l.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return l[a] + g[a] > l[b] + g[b]; });
    const Choice choice = choose(l, g);
    EXPECT_EQ(index(choice.token), order[0]);
    EXPECT_EQ(index(choice.runner_up), order[1]);
    EXPECT_EQ(choice.score, l[order[0]] + g[order[0]]);
    EXPECT_EQ(choice.margin, choice.score - (l[order[1]] + g[order[1]]));
  }
}

TEST(Choose, TakesTheSmallerIdOfEqualScores) {
  std::vector<float> l(600, 0.0F);
  l[300] = l[17] = l[599] = 3.0F;
  const Choice choice = choose(l, {});
  EXPECT_EQ(choice.token, TokenId{17});
  EXPECT_EQ(choice.margin, 0.0F);
}

TEST(Choose, PassesOverWhatIsNotANumber) {
  const std::vector<float> l = {std::nanf(""), 1.0F, 2.0F, std::nanf("")};
  EXPECT_EQ(choose(l, {}).token, TokenId{2});
}

TEST(Choose, HasNoRunnerUpWhereOneTokenIsAllowed) {
  const std::vector<float> l = {-kInfinity, 1.0F, -kInfinity};
  const Choice choice = choose(l, {});
  EXPECT_EQ(choice.runner_up, choice.token);
  EXPECT_EQ(choice.margin, kInfinity);
}

TEST(Choose, RefusesARowWithoutAToken) {
  for (const float x : {-kInfinity, std::nanf(""), kInfinity}) {
    const std::vector<float> l(5, x);
    EXPECT_THROW(static_cast<void>(choose(l, {})), Error) << x;
  }
  const std::vector<float> l(5);
  EXPECT_THROW(static_cast<void>(choose(l, std::vector<float>(4))), std::logic_error);
}

TEST(BestCandidates, AreTheBestScoresWithTheirSoftmax) {
  for (const std::size_t k : {1, 2, 8, 64, 900}) {
    const std::vector<float> l = random_row(800, 5);
    const std::vector<float> g = random_row(800, 6);
    std::vector<double> scores(l.size());
    for (std::size_t i = 0; i < l.size(); ++i) {
      scores[i] = static_cast<double>(l[i]) + static_cast<double>(g[i]);
    }
    std::vector<Candidate> got(k);
    const float tau = 0.5F;
    const std::size_t n = best_candidates(l, g, tau, got);
    ASSERT_EQ(n, std::min<std::size_t>(k, 800));
    std::vector<double> sorted = scores;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    double sum = 0.0;
    for (const double s : scores) sum += std::exp((s - sorted[0]) / 0.5);
    for (std::size_t i = 0; i < n; ++i) {
      EXPECT_NEAR(static_cast<double>(got[i].score), sorted[i], 1e-5);
      EXPECT_NEAR(static_cast<double>(got[i].log_value),
                  (sorted[i] - sorted[0]) / 0.5 - std::log(sum), 1e-3);
    }
  }
}

TEST(BestCandidates, AreThoseOfASortForRowsOfEveryLengthAndWithTies) {
  for (const std::size_t n : {1U, 63U, 64U, 65U, 1000U, 4096U, 40000U, 131072U}) {
    std::vector<float> l = random_row(n, n);
    for (float& x : l) x = std::round(x * 8.0F) / 8.0F;  // many scores are equal
    for (std::size_t i = 0; i < n; i += 7) l[i] = -kInfinity;
    for (const std::size_t k : {1U, 16U, 70U}) {
      std::vector<std::size_t> order;
      for (std::size_t i = 0; i < n; ++i) {
        if (l[i] > -kInfinity) order.push_back(i);
      }
      std::stable_sort(order.begin(), order.end(),
                       [&](std::size_t a, std::size_t b) { return l[a] > l[b]; });
      std::vector<Candidate> got(k);
      const std::size_t n_got = best_candidates(l, {}, 1.0F, got);
      ASSERT_EQ(n_got, std::min(k, order.size())) << n;
      for (std::size_t i = 0; i < n_got; ++i) {
        ASSERT_EQ(index(got[i].token), order[i]) << n << ' ' << k << ' ' << i;
      }
    }
  }
}

TEST(BestCandidates, AreFewerWhereFewTokensAreAllowed) {
  std::vector<float> l(100, -kInfinity);
  l[3] = 1.0F;
  l[60] = 2.0F;
  std::vector<Candidate> got(8);
  ASSERT_EQ(best_candidates(l, {}, 1.0F, got), 2U);
  EXPECT_EQ(got[0].token, TokenId{60});
  EXPECT_EQ(got[1].token, TokenId{3});
}

}  // namespace
}  // namespace gumbelspec
