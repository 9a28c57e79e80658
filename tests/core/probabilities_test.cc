#include "src/core/probabilities.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <vector>

#include "gumbelspec/error.h"
#include "testing/statistics.h"

namespace gumbelspec {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

std::vector<float> random_row(std::size_t n, unsigned seed, float spread) {
  std::mt19937 random(seed);
  std::vector<float> row(n);
  for (float& x : row) {
    x = spread * (static_cast<float>(random() >> 8U) / 8388608.0F - 1.0F);
  }
  return row;
}

TEST(Exponentiate, IsTheExponentialToAFewRoundings) {
  for (const std::size_t n : {1, 7, 8, 255, 256, 257, 5000}) {
    std::vector<float> row = random_row(n, static_cast<unsigned>(n), 20.0F);
    if (n > 3) row[n / 2] = kForbidden;
    float largest = kForbidden;
    for (const float x : row) largest = std::max(largest, x);
    std::vector<float> weights(n);
    const double sum = exponentiate(row, weights);
    double expected_sum = 0.0;
    for (std::size_t i = 0; i < n; ++i) {
      const double expected = std::exp(static_cast<double>(row[i] - largest));
      expected_sum += expected;
      EXPECT_NEAR(static_cast<double>(weights[i]), expected, 4e-7 * expected) << row[i] - largest;
    }
    EXPECT_NEAR(sum, expected_sum, 1e-6 * expected_sum);
    EXPECT_EQ(exponentiate(row, row), sum) << "in place";
    EXPECT_EQ(row, weights);
  }
}

TEST(Exponentiate, GivesNothingToWhatIsForbiddenOrHopeless) {
  std::vector<float> row = {0.0F, kForbidden, -200.0F, std::nanf(""), -86.0F};
  exponentiate(row, row);
  EXPECT_EQ(row[0], 1.0F);
  EXPECT_EQ(row[1], 0.0F);
  EXPECT_EQ(row[2], 0.0F);
  EXPECT_EQ(row[3], 0.0F);
  EXPECT_GT(row[4], 0.0F);
}

TEST(Exponentiate, RefusesARowWithoutTokens) {
  for (const float x : {kForbidden, std::nanf(""), -kForbidden}) {
    std::vector<float> row(9, x);
    EXPECT_THROW(exponentiate(row, row), Error);
  }
}

TEST(Reject, TakesTheDraftsShareAwayAndTheTokenOutOfTheDraft) {
  for (const std::size_t n_known : {300, 311}) {
    constexpr std::size_t kVocab = 311;
    std::vector<float> p = random_row(kVocab, 1, 4.0F);
    std::vector<float> q = random_row(n_known, 2, 4.0F);
    TwoSums sums = {.p = exponentiate(p, p), .q = exponentiate(q, q)};
    std::vector<double> p_expected(kVocab);
    double q_sum = 0.0;
    const TokenId x{17};
    double p_sum = 0.0;
    for (std::size_t v = 0; v < kVocab; ++v) {
      const double of_p = static_cast<double>(p[v]) / sums.p;
      const double of_q = v < n_known ? static_cast<double>(q[v]) / sums.q : 0.0;
      p_expected[v] = v == index(x) ? 0.0 : std::max(of_p - of_q, 0.0);
      p_sum += p_expected[v];
      if (v < n_known && v != index(x)) q_sum += static_cast<double>(q[v]);
    }
    sums = reject(x, p, q, sums);
    EXPECT_NEAR(sums.p, p_sum, 1e-6);
    EXPECT_NEAR(sums.q, q_sum, 1e-6 * q_sum);
    EXPECT_EQ(q[index(x)], 0.0F);
    for (std::size_t v = 0; v < kVocab; ++v) {
      EXPECT_NEAR(static_cast<double>(p[v]), p_expected[v], 1e-8);
    }
  }
}

TEST(Pick, DrawsEveryTokenAtItsRate) {
  std::vector<float> row = random_row(600, 3, 3.0F);
  for (std::size_t v = 0; v < row.size(); v += 3) row[v] = kForbidden;
  const double sum = exponentiate(row, row);
  std::vector<std::uint64_t> counts(row.size());
  constexpr int kDraws = 200000;
  for (int i = 0; i < kDraws; ++i) ++counts[index(pick(row, sum, (i + 0.5) / kDraws))];
  for (std::size_t v = 0; v < row.size(); ++v) {
    EXPECT_NEAR(static_cast<double>(counts[v]), kDraws * static_cast<double>(row[v]) / sum, 1.5);
  }
}

TEST(Pick, NeverTakesATokenOfWeightZeroNotEvenAtTheEnds) {
  std::vector<float> weights(700, 0.0F);
  weights[300] = 0.25F;
  weights[310] = 0.5F;
  EXPECT_EQ(pick(weights, 0.75, 1e-18), token_id(300));
  EXPECT_EQ(pick(weights, 0.75, 1.0 - 0x1p-53), token_id(310));
  EXPECT_EQ(pick(weights, 0.7500001, 1.0 - 0x1p-53), token_id(310)) << "a sum off by rounding";
}

TEST(LogSumExp, IsThatOfTheStandardLibrary) {
  std::vector<float> row = random_row(30001, 3, 20.0F);
  row[5] = kForbidden;
  row[6] = std::nanf("");
  const float largest = *std::max_element(row.begin() + 7, row.end());
  double expected = 0.0;
  for (const float x : row) {
    if (x > kForbidden) expected += std::exp(static_cast<double>(x) - static_cast<double>(largest));
  }
  EXPECT_NEAR(log_sum_exp(row, largest), std::log(expected), 1e-9);
}

}  // namespace
}  // namespace gumbelspec
