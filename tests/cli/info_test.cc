#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

TEST(Info, TellsVersionsNoiseAndBothModels) {
  const ProcessResult result = run_program({"info"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  constexpr const char* kTarget =
      "target    llama 5.87 M Q8_0, vocabulary 4096, context 1024; trees are possible\n";
  for (const char* part :
       {"gumbelspec ", "noise     version 1, computed with ", "llama.cpp ", "gumbel-beam", kTarget,
        "draft     llama ", "devices   ", "CPU: ", "          on CPU: layers 0-6, buffers of "}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
}

TEST(Info, OfATargetAlone) {
  const ProcessResult result = run_program({"info", "-m", model_path("demo-target-q8_0.gguf")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("target    llama"));
  EXPECT_THAT(result.out, Not(HasSubstr("draft ")));
}

}  // namespace
}  // namespace gumbelspec::testing
