// The noise as random numbers. Fixed seeds, so a result never changes; a right generator would be
// rejected by each test with the false-alarm rate that it states.
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <vector>

#include "gumbelspec/noise.h"
#include "src/core/gumbel_math.h"
#include "testing/statistics.h"

namespace gumbelspec {
namespace {

using testing::g_test;

constexpr double kFalseAlarmRate = 1e-5;

// Noise as a uniform number again.
double uniform_of(float noise) { return -std::expm1(-std::exp(-static_cast<double>(noise))); }

// Uniformity of v over n_bins bins.
double body_p_value(const std::function<void(Position, std::span<float>)>& fill) {
  constexpr std::size_t kBins = 256;
  std::vector<std::uint64_t> counts(kBins);
  std::vector<float> row(1U << 16U);
  for (std::uint32_t position = 0; position < 100; ++position) {
    fill(Position{position}, row);
    for (const float noise : row) {
      const auto bin = static_cast<std::size_t>(uniform_of(noise) * kBins);
      ++counts[std::min(bin, kBins - 1)];
    }
  }
  return g_test(counts, std::vector<double>(kBins, 1.0 / kBins)).p_value;
}

TEST(NoiseStatistics, TheBodyIsGumbel) {
  EXPECT_GT(body_p_value([](Position p, std::span<float> row) {
              fill_noise({11, 0}, p, row);
            }),
            kFalseAlarmRate);
}

TEST(NoiseStatistics, TheBodyTestCatchesExponentialNoise) {
  EXPECT_LT(body_p_value([](Position p, std::span<float> row) {
              fill_noise({11, 0}, p, row);
              for (float& x : row) x = std::exp(-x);
            }),
            kFalseAlarmRate);
}

TEST(NoiseStatistics, TheBodyTestCatchesAnErrorOfOnePercent) {
  EXPECT_LT(body_p_value([](Position p, std::span<float> row) {
              fill_noise({11, 0}, p, row);
              for (float& x : row) x *= 1.01F;
            }),
            kFalseAlarmRate);
}

// Pairs of neighbours in a direction must be independent: 16 x 16 cells.
double pair_p_value(const std::function<std::pair<float, float>(std::uint32_t)>& pair) {
  constexpr std::size_t kBins = 16;
  std::vector<std::uint64_t> counts(kBins * kBins);
  const auto bin = [](float noise) {
    return std::min(static_cast<std::size_t>(uniform_of(noise) * kBins), kBins - 1);
  };
  for (std::uint32_t i = 0; i < 1000000; ++i) {
    const auto [a, b] = pair(i);
    ++counts[bin(a) * kBins + bin(b)];
  }
  return g_test(counts, std::vector<double>(kBins * kBins, 1.0 / (kBins * kBins))).p_value;
}

TEST(NoiseStatistics, NeighboursInEveryDirectionAreIndependent) {
  const NoiseKey key{5, 0};
  const auto at = [&](std::uint32_t i) {
    return noise_at(key, Position{i / 1000}, token_id(i % 1000));
  };
  using Pair = std::pair<float, float>;
  EXPECT_GT(pair_p_value([&](std::uint32_t i) {
              return Pair{at(i), noise_at(key, Position{i / 1000}, token_id(i % 1000 + 1))};
            }),
            kFalseAlarmRate)
      << "tokens";
  EXPECT_GT(pair_p_value([&](std::uint32_t i) {
              return Pair{at(i), noise_at(key, Position{i / 1000 + 1}, token_id(i % 1000))};
            }),
            kFalseAlarmRate)
      << "positions";
  EXPECT_GT(pair_p_value([&](std::uint32_t i) {
              return Pair{at(i), noise_at({6, 0}, Position{i / 1000}, token_id(i % 1000))};
            }),
            kFalseAlarmRate)
      << "seeds";
  EXPECT_GT(pair_p_value([&](std::uint32_t i) {
              return Pair{at(i), noise_at({5, 1}, Position{i / 1000}, token_id(i % 1000))};
            }),
            kFalseAlarmRate)
      << "streams";
  EXPECT_GT(pair_p_value([&](std::uint32_t i) {
              return Pair{at(i), noise_at({5, 0, 1}, Position{i / 1000}, token_id(i % 1000))};
            }),
            kFalseAlarmRate)
      << "uses";
  EXPECT_LT(pair_p_value([&](std::uint32_t i) {
              return Pair{at(i), noise_at(key, Position{(i / 1000) | 1U}, token_id(i % 1000))};
            }),
            kFalseAlarmRate)
      << "negative control: noise reused at odd positions";
}

// Uniform numbers of a position, and those of the next: 16 x 16 cells.
TEST(NoiseStatistics, UniformNumbersAreUniformAndIndependent) {
  const auto gumbel = [](double unit) { return static_cast<float>(-std::log(-std::log1p(-unit))); };
  const NoiseKey key{5, 0, 2};
  for (const bool next_position : {false, true}) {
    EXPECT_GT(pair_p_value([&](std::uint32_t i) {
                const Position p{i / 10};
                const double other = next_position ? uniform_at(key, Position{i / 10 + 1}, i % 10)
                                                   : uniform_at(key, p, i % 10 + 1);
                return std::pair{gumbel(uniform_at(key, p, i % 10)), gumbel(other)};
              }),
              kFalseAlarmRate);
  }
}

// Of 2^27 numbers about 2^15 lie in the tail; there v must be uniform down to far below 2^-32.
// Bins by powers of two: [2^-13, 2^-12), [2^-14, 2^-13), ...
TEST(NoiseStatistics, TheTailIsUniformInTheProbability) {
  constexpr int kBins = 12;
  std::vector<std::uint64_t> counts(kBins);
  std::vector<float> row(1U << 17U);
  for (std::uint32_t position = 0; position < 1024; ++position) {
    fill_noise({3, 9}, Position{position}, row);
    for (const float noise : row) {
      if (noise < 8.3F) continue;  // about -log 2^-12
      const double v = uniform_of(noise) * 4096.0;
      if (v >= 1.0) continue;
      const auto bin = static_cast<std::size_t>(-std::log2(v));
      ++counts[std::min(bin, static_cast<std::size_t>(kBins - 1))];
    }
  }
  std::vector<double> p(kBins);
  for (int i = 0; i < kBins; ++i) p[static_cast<std::size_t>(i)] = std::ldexp(1.0, -1 - i);
  p.back() *= 2.0;
  EXPECT_GT(g_test(counts, p).p_value, kFalseAlarmRate);
  double total = 0.0;
  for (const std::uint64_t c : counts) total += static_cast<double>(c);
  // 2^27 / 2^12 = 32768 are expected, with a standard deviation of 181.
  EXPECT_NEAR(total, 32768.0, 5 * 181.0);
}

// How often a token of probability 1e-12 wins against one of probability 1 - 1e-12. It can win only
// if its word is 0, which happens once in 2^32 draws; so its word is set to 0, and the rest drawn.
double wins_of_a_rare_token(const std::function<float(std::uint32_t more)>& noise_of_word_zero) {
  const double log_weight = std::log(1e-12);
  constexpr std::uint32_t kDraws = 2000000;
  std::uint64_t wins = 0;
  for (std::uint32_t i = 0; i < kDraws; ++i) {
    const auto more = static_cast<std::uint32_t>(i * 2147.48 + 7);  // evenly over all words
    const float rival = noise_at({8, 0}, Position{i}, TokenId{0});
    if (log_weight + static_cast<double>(noise_of_word_zero(more)) > static_cast<double>(rival)) {
      ++wins;
    }
  }
  return static_cast<double>(wins) / kDraws / 4294967296.0;
}

TEST(NoiseStatistics, ATokenOfProbability1e12WinsAtTheRightRate) {
  // 8590 wins are expected, so 5 % are more than four standard deviations.
  EXPECT_NEAR(wins_of_a_rare_token([](std::uint32_t more) { return gumbel_of_tail(0, more); }),
              1e-12, 0.05e-12);
}

TEST(NoiseStatistics, ThirtyTwoBitsAloneWouldNeverLetItWin) {
  EXPECT_EQ(wins_of_a_rare_token([](std::uint32_t) { return gumbel_of_word<ScalarLanes>(0); }),
            0.0);
}

}  // namespace
}  // namespace gumbelspec
