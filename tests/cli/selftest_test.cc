// The self-test passes, and fails with every sabotage: the user's proof is worth something.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "testing/sabotage.h"
#include "tests/cli/process.h"
#include "tests/llama/tiny_model.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

TEST(Selftest, PassesAndSaysHowExactTheMachineIs) {
  const ProcessResult result = run_program({"selftest", "--quick", "-t", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, Not(HasSubstr("FAIL")));
  EXPECT_THAT(result.out, HasSubstr("gumbel-beam:width=8,length=8"));
  EXPECT_THAT(result.out, HasSubstr("\nselftest passed: "));
  EXPECT_THAT(result.out, HasSubstr("exact on this machine"));
}

// Few tokens: the distribution is what a sabotage changes. Of the checks those that show it best.
ProcessResult sabotaged(const std::string& name) {
  std::vector<std::string> words = {"selftest", "--quick", "-t",         "1", "-n",
                                    "2",        "--json",  "--sabotage", name};
  for (const char* part : {"beam 4x3, T 1", "chain of 3, T 1", "rejection of 3, T 1",
                           "rejection tree 3x3, T 1", "rejection tree 4x3", "ratio-test"}) {
    words.insert(words.end(), {"--cases", part});
  }
  return run_program(words);
}

class Sabotaged : public ::testing::TestWithParam<std::string_view> {};

TEST_P(Sabotaged, FailsTheSelftest) {
  const ProcessResult result = sabotaged(std::string(GetParam()));
  EXPECT_EQ(result.exit_code, 1);
  const Json json = Json::parse(result.out);
  EXPECT_FALSE(json["passed"].get<bool>());
  // The models and the other checks are what they were.
  EXPECT_NE(json["identity"]["verdict"], "different");
  ASSERT_EQ(json["sabotage"].size(), 1U);
  EXPECT_TRUE(json["sabotage"][0]["passed"].get<bool>());
  std::size_t n_failed = 0;
  for (const Json& check : json["distribution"]) n_failed += check["passed"].get<bool>() ? 0U : 1U;
  EXPECT_GT(n_failed, 0U);
}

INSTANTIATE_TEST_SUITE_P(Program, Sabotaged,
                         ::testing::ValuesIn(sabotage_names().begin() + 1, sabotage_names().end()),
                         [](const auto& test) {
                           std::string name;
                           for (const char c : test.param) name += c == '-' ? '_' : c;
                           return name;
                         });

TEST(Selftest, JsonHasItsKeys) {
  const ProcessResult result = sabotaged("none");
  ASSERT_EQ(result.exit_code, 0) << result.out;
  const Json json = Json::parse(result.out);
  EXPECT_TRUE(json["passed"].get<bool>());
  EXPECT_EQ(json["noise_version"], 1);
  const Json& identity = json["identity"];
  EXPECT_EQ(identity["n_texts"], 55);
  EXPECT_EQ(identity["methods"].size(), 11U);
  for (const char* key : {"verdict", "n_tokens", "n_different", "largest_margin", "differences"}) {
    EXPECT_TRUE(identity.contains(key)) << key;
  }
  for (const char* section : {"distribution", "sabotage"}) {
    ASSERT_FALSE(json[section].empty());
    for (const char* key : {"name", "passed", "p_value", "detail"}) {
      EXPECT_TRUE(json[section][0].contains(key)) << key;
    }
  }
}

TEST(Selftest, RefusesCasesThatThereAreNot) {
  const ProcessResult result = run_program({"selftest", "--quick", "--cases", "beem"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("--cases is \"beem\""));
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1);
}

TEST(Selftest, WithoutADraftThereIsNothingToCompare) {
  const ProcessResult result =
      run_program({"selftest", "--quick", "-t", "1", "--cases", "chain of 3", "-m",
                   model_path("demo-target-q8_0.gguf")});
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("identity: skipped"));
  EXPECT_THAT(result.out, HasSubstr("without a draft model (-md)"));
}

TEST(Selftest, OfARecurrentDraftComparesChains) {
  const TemporaryFile target("");
  TinyModel model;
  write_tiny_model(model, target.path());
  const TemporaryFile draft("");
  model.architecture = "mamba";
  write_tiny_model(model, draft.path());
  const ProcessResult result =
      run_program({"selftest", "--quick", "-t", "1", "--cases", "chain of 3", "-m", target.path(),
                   "-md", draft.path()});
  EXPECT_EQ(result.exit_code, 0) << result.out;
  EXPECT_THAT(result.out, HasSubstr("gumbel-chain:length=3"));
  EXPECT_THAT(result.out, Not(HasSubstr("gumbel-beam")));
  EXPECT_THAT(result.out, HasSubstr("selftest passed: "));
}

}  // namespace
}  // namespace gumbelspec::testing
