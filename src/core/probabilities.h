// Log-weights as weights that can be subtracted and summed, for methods that compare two
// distributions. One pass over the vocabulary each, without a library exponential.
#ifndef GUMBELSPEC_CORE_PROBABILITIES_H_
#define GUMBELSPEC_CORE_PROBABILITIES_H_

#include <span>

#include "gumbelspec/types.h"

namespace gumbelspec {

// weights[v] = exp(log_weights[v] - their maximum), 0 where forbidden or below e^-87 of it.
// Shape: both [n]; may be the same memory. Returns: the sum. Relative error about 1e-7.
// Throws: Error{no_token_allowed} if none is.
double exponentiate(std::span<const float> log_weights, std::span<float> weights);

// log of the sum of exp(x - largest) over the row, exact to 1e-7; what is not a number is left out.
// Requires: largest is the row's largest element, and finite.
[[nodiscard]] double log_sum_exp(std::span<const float> row, float largest);

// Two lists of weights, each a distribution once it is divided by its sum.
struct TwoSums {
  double p = 0.0;
  double q = 0.0;
};

// After the rejection of a token x that was drawn from q: p becomes max(p - q, 0), and q loses x.
// Shape: p [n], q [m], m <= n; what lies behind q has no weight there. Returns: the new sums, which
// are summed up anew, because differences of the old ones would cancel.
TwoSums reject(TokenId x, std::span<float> p, std::span<float> q, TwoSums sums);

// The token at the fraction `unit` of the weights; one of weight 0 never.
// Requires: sum is the weights' as returned above, and above 0; unit in (0, 1).
[[nodiscard]] TokenId pick(std::span<const float> weights, double sum, double unit);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_PROBABILITIES_H_
