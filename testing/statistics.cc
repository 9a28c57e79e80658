#include "testing/statistics.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace gumbelspec::testing {
namespace {

constexpr double kPrecision = 1e-14;
constexpr int kMaxTerms = 100000;

// The regularised incomplete gamma function P(a, x) by its series, for x < a + 1.
double gamma_below(double a, double x) {
  double term = 1.0 / a;
  double sum = term;
  for (int n = 1; n < kMaxTerms && term > sum * kPrecision; ++n) {
    term *= x / (a + n);
    sum += term;
  }
  return sum * std::exp(a * std::log(x) - x - std::lgamma(a));
}

// Q(a, x) = 1 - P(a, x) by its continued fraction (Lentz's method), for x >= a + 1.
double gamma_above(double a, double x) {
  constexpr double kTiny = std::numeric_limits<double>::min() / kPrecision;
  double b = x + 1.0 - a;
  double c = 1.0 / kTiny;
  double d = 1.0 / b;
  double fraction = d;
  for (int n = 1; n < kMaxTerms; ++n) {
    const double numerator = -n * (n - a);
    b += 2.0;
    d = numerator * d + b;
    if (std::abs(d) < kTiny) d = kTiny;
    c = b + numerator / c;
    if (std::abs(c) < kTiny) c = kTiny;
    d = 1.0 / d;
    fraction *= d * c;
    if (std::abs(d * c - 1.0) < kPrecision) break;
  }
  return fraction * std::exp(a * std::log(x) - x - std::lgamma(a));
}

}  // namespace

double chi_square_above(double x, double degrees) {
  if (x <= 0.0) return 1.0;
  const double a = degrees / 2.0;
  return x / 2.0 < a + 1.0 ? 1.0 - gamma_below(a, x / 2.0) : gamma_above(a, x / 2.0);
}

TestResult g_test(std::span<const std::uint64_t> counts, std::span<const double> probabilities) {
  if (counts.size() != probabilities.size()) throw std::logic_error("g_test: different shapes");
  const auto total =
      static_cast<double>(std::accumulate(counts.begin(), counts.end(), std::uint64_t{0}));
  TestResult result;
  double n_cells = 0.0;
  double rare_count = 0.0;
  double rare_expected = 0.0;
  const auto add = [&](double count, double expected) {
    if (count > 0.0) result.statistic += 2.0 * count * std::log(count / expected);
    n_cells += 1.0;
  };
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const auto count = static_cast<double>(counts[i]);
    const double expected = total * probabilities[i];
    if (!(expected > 0.0)) {
      if (count > 0.0) return {std::numeric_limits<double>::infinity(), 0.0, 0.0};
    } else if (expected < 5.0) {
      rare_count += count;
      rare_expected += expected;
    } else {
      add(count, expected);
    }
  }
  if (rare_expected > 0.0) add(rare_count, rare_expected);
  result.degrees = n_cells - 1.0;
  result.p_value = result.degrees > 0.0 ? chi_square_above(result.statistic, result.degrees) : 1.0;
  return result;
}

}  // namespace gumbelspec::testing
