#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::StartsWith;
using Json = nlohmann::json;

// Plain decoding of a whole context: long enough for a signal to come in between.
const std::vector<std::string> kLongText = {
    "generate", "-t", "1", "-p", "The old house", "-n", "-1", "-s", "7", "--method", "ar"};

class StopSignal : public ::testing::TestWithParam<int> {};

TEST_P(StopSignal, KeepsTheTextSoFarAndPrintsStatistics) {
  Process process(GUMBELSPEC_PROGRAM, kLongText);
  const std::string prompt = "The old house";
  process.wait_for_output(prompt.size() + 20);
  process.send(GetParam());
  const ProcessResult result = process.finish();
  EXPECT_EQ(result.exit_code, 128 + GetParam());
  EXPECT_THAT(result.out, StartsWith(prompt));
  EXPECT_THAT(result.out, EndsWith("\n"));
  EXPECT_THAT(result.err, StartsWith("gumbelspec: stopped by a signal\n"));
  EXPECT_THAT(result.err, HasSubstr("tokens per target pass"));
  // What came is the beginning of the whole text.
  const std::string whole = run_program(kLongText).out;
  EXPECT_THAT(whole, StartsWith(result.out.substr(0, result.out.size() - 1)));
  EXPECT_LT(result.out.size(), whole.size());
}

INSTANTIATE_TEST_SUITE_P(Program, StopSignal, ::testing::Values(SIGINT, SIGTERM),
                         [](const auto& test) {
                           return test.param == SIGINT ? "SIGINT" : "SIGTERM";
                         });

TEST(Signal, JsonIsCompleteWheneverItComes) {
  // The log of llama.cpp tells when loading has begun; from there on every moment is possible.
  std::vector<std::string> arguments = kLongText;
  arguments.insert(arguments.end(), {"--json", "--verbose"});
  for (const std::size_t n_log_bytes : {1U, 3000U, 20000U}) {
    Process process(GUMBELSPEC_PROGRAM, arguments);
    process.wait_for_errors(n_log_bytes);
    process.send(SIGINT);
    const ProcessResult result = process.finish();
    EXPECT_EQ(result.exit_code, 130) << result.err;
    const Json json = Json::parse(result.out);
    EXPECT_EQ(json["stop_reason"], "cancelled");
    EXPECT_EQ(json["tokens"].size(), json["stats"]["n_generated"].get<std::size_t>());
    EXPECT_TRUE(json["text"].is_string());
  }
}

TEST(Signal, EndsTheSelftest) {
  Process process(GUMBELSPEC_PROGRAM, {"selftest", "-t", "1"});
  process.wait_for_output(1);
  process.send(SIGINT);
  const ProcessResult result = process.finish();
  EXPECT_EQ(result.exit_code, 130);
  EXPECT_THAT(result.err, HasSubstr("stopped by a signal"));
}

TEST(Signal, EndsTheWaitForAPromptOnStandardInput) {
  Process process(GUMBELSPEC_PROGRAM, {"generate", "-f", "-"}, {.keeps_input_open = true});
  process.send(SIGINT);
  EXPECT_EQ(process.finish().exit_code, 130);
}

}  // namespace
}  // namespace gumbelspec::testing
