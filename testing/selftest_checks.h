// The statistical part of the self-test, shared by the tests and by `gumbelspec selftest`.
#ifndef GUMBELSPEC_TESTING_SELFTEST_CHECKS_H_
#define GUMBELSPEC_TESTING_SELFTEST_CHECKS_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "gumbelspec/session.h"
#include "testing/sabotage.h"

namespace gumbelspec::testing {

// One way of sampling to be tested.
struct DistributionCase {
  std::string name;
  SamplingOptions sampling;
  Method method;
  bool has_head = false;  // instead of a draft
};

// Temperatures, truncations, penalties and biases over plain decoding, chains and beams.
[[nodiscard]] std::vector<DistributionCase> distribution_cases();

// A right sampler is rejected with this probability in each case; a p-value below it fails. The
// seeds are fixed, so a result never changes from run to run.
inline constexpr double kFalseAlarmRate = 1e-5;

struct CheckResult {
  std::string name;
  bool passed = false;
  std::string detail;
  double p_value = 1.0;
};

// The joint counts of the first three tokens over n_samples texts of the in-memory model, each with
// a seed of its own, against the enumerated distribution: a G-test.
[[nodiscard]] CheckResult check_distribution(const DistributionCase& c, Sabotage sabotage,
                                             std::size_t n_samples, std::uint64_t first_seed = 1);

using Progress = std::function<void(std::string_view)>;

// How much of it is done.
struct CheckExtent {
  std::size_t n_samples = 0;             // texts per check
  std::vector<std::string> wanted = {};  // only checks whose names contain one of these; empty: all
};

// All cases, with a sabotage in the sampler's place or none. passed: the distribution is right.
[[nodiscard]] std::vector<CheckResult> distribution_checks(Sabotage sabotage,
                                                           const CheckExtent& extent,
                                                           const Progress& on_progress);

// One check per sabotage. passed: it was caught.
[[nodiscard]] std::vector<CheckResult> sabotage_checks(const CheckExtent& extent,
                                                       const Progress& on_progress);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_SELFTEST_CHECKS_H_
