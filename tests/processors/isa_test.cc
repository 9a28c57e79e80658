// What the environment asks for is what runs: without this the tests named isa_* could all be
// testing the best instruction set.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "gumbelspec/simd.h"
#ifdef GUMBELSPEC_TEST_KERNELS
#include "gumbelspec/kernels.h"
#endif

namespace gumbelspec::testing {
namespace {

// Set by with-isa.
std::string wanted() {
  const char* value = std::getenv("GUMBELSPEC_TEST_ISA");
  return value == nullptr ? "" : value;
}

TEST(ForcedInstructionSet, IsTheOneOfTheNoise) {
  if (wanted().empty()) GTEST_SKIP() << "no instruction set is forced";
  EXPECT_EQ(simd_name(simd_in_use()), wanted() == "avxvnni" ? "avx2" : wanted());
}

#ifdef GUMBELSPEC_TEST_KERNELS
TEST(ForcedInstructionSet, IsTheOneOfTheKernels) {
  if (wanted().empty()) GTEST_SKIP() << "no instruction set is forced";
  EXPECT_EQ(kernels::register_device() == kernels::Registration::registered, wanted() != "scalar");
  EXPECT_EQ(kernels::info().isa, wanted() == "scalar" ? "" : wanted());
}
#endif

}  // namespace
}  // namespace gumbelspec::testing
