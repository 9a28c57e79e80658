#include "testing/statistics.h"

#include <gtest/gtest.h>

#include <vector>

namespace gumbelspec::testing {
namespace {

// Table values of the chi-square distribution.
TEST(ChiSquare, HasTheValuesOfTheTables) {
  EXPECT_NEAR(chi_square_above(3.841459, 1), 0.05, 1e-6);
  EXPECT_NEAR(chi_square_above(18.307038, 10), 0.05, 1e-6);
  EXPECT_NEAR(chi_square_above(23.209251, 10), 0.01, 1e-6);
  EXPECT_NEAR(chi_square_above(149.4493, 100), 0.001, 1e-6);
  EXPECT_NEAR(chi_square_above(77.9295, 100), 0.95, 1e-5);
  EXPECT_EQ(chi_square_above(0.0, 5), 1.0);
}

TEST(GTest, GivesOneForCountsThatAreExactlyRight) {
  const std::vector<std::uint64_t> counts = {100, 200, 700};
  const TestResult result = g_test(counts, std::vector<double>{0.1, 0.2, 0.7});
  EXPECT_NEAR(result.statistic, 0.0, 1e-9);
  EXPECT_EQ(result.degrees, 2.0);
  EXPECT_NEAR(result.p_value, 1.0, 1e-6);
}

TEST(GTest, RejectsCountsThatAreWrong) {
  const std::vector<std::uint64_t> counts = {130, 170, 700};
  EXPECT_LT(g_test(counts, std::vector<double>{0.1, 0.2, 0.7}).p_value, 0.01);
}

TEST(GTest, RejectsWhatCannotHappen) {
  const std::vector<std::uint64_t> counts = {500, 499, 1};
  EXPECT_EQ(g_test(counts, std::vector<double>{0.5, 0.5, 0.0}).p_value, 0.0);
}

TEST(GTest, PutsRareCellsTogether) {
  const std::vector<std::uint64_t> counts = {990, 2, 3, 5};
  const TestResult result = g_test(counts, std::vector<double>{0.99, 0.003, 0.003, 0.004});
  EXPECT_EQ(result.degrees, 1.0);
  EXPECT_GT(result.p_value, 0.5);
}

}  // namespace
}  // namespace gumbelspec::testing
