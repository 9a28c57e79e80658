// The joint distribution of three tokens on the in-memory model, a million texts per case, against
// the enumerated one. False-alarm rate 1e-5 per case, fixed seeds. Each sabotage must be caught.
#include <gtest/gtest.h>

#include "testing/selftest_checks.h"

namespace gumbelspec::testing {
namespace {

// Four times what every sabotage is caught with; `gumbelspec selftest` takes a million.
constexpr std::size_t kSamples = 400000;

std::string readable(std::string name) {
  for (char& c : name) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
  }
  return name;
}

class Distribution : public ::testing::TestWithParam<std::size_t> {};

TEST_P(Distribution, IsTheTargets) {
  const DistributionCase c = distribution_cases()[GetParam()];
  const CheckResult result =
      check_distribution(c, Sabotage::none, kSamples, 1 + kSamples * GetParam());
  EXPECT_TRUE(result.passed) << c.name << ": " << result.detail;
  RecordProperty("result", result.detail);
}

INSTANTIATE_TEST_SUITE_P(AllCases, Distribution,
                         ::testing::Range(std::size_t{0}, distribution_cases().size()),
                         [](const auto& test) {
                           return readable(distribution_cases()[test.param].name);
                         });

TEST(Sabotage, IsCaughtInEveryForm) {
  const std::vector<CheckResult> results = sabotage_checks({.n_samples = 100000}, {});
  EXPECT_EQ(results.size() + 1, sabotage_names().size());
  for (const CheckResult& r : results) {
    EXPECT_TRUE(r.passed) << r.name << " was not caught: " << r.detail;
    EXPECT_LT(r.p_value, 1e-9) << r.name << " was caught narrowly";
    RecordProperty(r.name, r.detail);
  }
}

// The same number of samples, no sabotage: the detector does not cry wolf.
TEST(Sabotage, DetectorPassesTheRightSampler) {
  for (const CheckResult& r : distribution_checks(Sabotage::none, {.n_samples = 20000}, {})) {
    EXPECT_TRUE(r.passed) << r.name << ": " << r.detail;
  }
}

}  // namespace
}  // namespace gumbelspec::testing
