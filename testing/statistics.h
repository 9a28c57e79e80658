// Tests of counts against probabilities.
#ifndef GUMBELSPEC_TESTING_STATISTICS_H_
#define GUMBELSPEC_TESTING_STATISTICS_H_

#include <cstdint>
#include <span>

namespace gumbelspec::testing {

// The chance that a chi-square variable of `degrees` degrees of freedom is above x.
[[nodiscard]] double chi_square_above(double x, double degrees);

struct TestResult {
  double statistic = 0.0;
  double degrees = 0.0;
  double p_value = 1.0;  // the chance of a result as bad as this if the probabilities are right
};

// The G-test (log-likelihood ratio) of counts against probabilities that sum to 1. Cells with an
// expected count under 5 are put together. A count where the probability is 0 gives p_value 0.
// Shape: both [n]. Source: Sokal & Rohlf, Biometry; asymptotically chi-square.
[[nodiscard]] TestResult g_test(std::span<const std::uint64_t> counts,
                                std::span<const double> probabilities);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_STATISTICS_H_
