// gumbelspec bench --trace and --replay, from outside, with a small trace of the demo pair.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

ProcessResult bench(std::vector<std::string> more) {
  more.insert(more.begin(), {"bench", "-t", "1"});
  return run_program(more);
}

const std::vector<std::string> kTexts = {"--n-prompts", "2", "-n", "24", "--runs", "1"};

class BenchReplay : public ::testing::Test {
 protected:
  // One trace for all of these tests.
  static void SetUpTestSuite() {
    file_ = new TemporaryFile("");
    std::vector<std::string> options = {"--trace", file_->path(), "--temps", "0,1"};
    options.insert(options.end(), kTexts.begin(), kTexts.end());
    recorded_ = bench(options);
  }
  static void TearDownTestSuite() {
    delete file_;
    file_ = nullptr;
  }
  void SetUp() override { ASSERT_EQ(recorded_.exit_code, 0) << recorded_.err; }

  static ProcessResult replay(std::vector<std::string> more) {
    more.insert(more.begin(), {"--replay", file_->path()});
    return bench(more);
  }

  static TemporaryFile* file_;
  static ProcessResult recorded_;
};
TemporaryFile* BenchReplay::file_ = nullptr;
ProcessResult BenchReplay::recorded_;

TEST_F(BenchReplay, RecordingTellsWhatItWrote) {
  EXPECT_THAT(recorded_.out, HasSubstr("recorded 4 texts with "));
  EXPECT_EQ(recorded_.err, "");
}

TEST_F(BenchReplay, AChainHasTheCountsOfTheModels) {
  const std::vector<std::string> methods = {"--methods", "gumbel-chain:length=3,greedy-chain",
                                            "--format", "json"};
  std::vector<std::string> options = methods;
  options.insert(options.end(), kTexts.begin(), kTexts.end());
  options.insert(options.end(), {"--temps", "0,1"});
  const ProcessResult real = bench(options);
  ASSERT_EQ(real.exit_code, 0) << real.err;
  const ProcessResult replayed = replay(methods);
  ASSERT_EQ(replayed.exit_code, 0) << replayed.err;
  const Json expected = Json::parse(real.out)["rows"];
  const Json rows = Json::parse(replayed.out)["rows"];
  ASSERT_EQ(rows.size(), expected.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const char* key : {"method", "shape", "temperature", "n_tokens", "n_passes",
                            "n_draft_passes", "accepted_by_depth", "drafted_by_depth"}) {
      EXPECT_EQ(rows[i][key], expected[i][key]) << key << " of " << rows[i]["method"];
    }
    EXPECT_TRUE(rows[i]["is_replayed"].get<bool>());
    EXPECT_FALSE(expected[i]["is_replayed"].get<bool>());
  }
}

TEST_F(BenchReplay, TheTableSaysThatTimesAreModelled) {
  const ProcessResult result = replay({"--methods", "rejection,gumbel-tree", "--cost", "flat"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  for (const char* part : {"REPLAY", "MODELLED by a FLAT curve", "tokens/s (modelled)",
                           "demo-target-q8_0.gguf", "rejection:length=5"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
}

TEST_F(BenchReplay, ASweepFindsShapes) {
  const ProcessResult result = replay({"--sweep", "--methods", "rejection,gumbel-chain", "--temps",
                                       "1", "--cost", "flat", "--format", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  EXPECT_EQ(json["settings"]["sweep"].size(), 2U);
  EXPECT_EQ(json["settings"]["sweep"][0]["n_shapes"], 11);
  EXPECT_EQ(json["rows"][1]["n_texts"], 1);
}

TEST_F(BenchReplay, CostsOfAResultAreTaken) {
  const TemporaryFile costs(R"({"target": [[1, 10], [16, 20]], "draft": [[1, 1]]})");
  const ProcessResult result = replay({"--methods", "gumbel-chain:length=2", "--temps", "1",
                                       "--format", "json", "--cost", costs.path()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json rows = Json::parse(result.out)["rows"];
  EXPECT_NEAR(rows[0]["target_ms"].get<double>(), 10.0, 1e-6);
  EXPECT_NEAR(rows[0]["tokens_per_s"].get<double>(), 100.0, 1e-3);
}

TEST_F(BenchReplay, WhatDoesNotFitIsToldOnOneLine) {
  const TemporaryFile foreign("not a trace at all");
  const struct {
    std::vector<std::string> options;
    const char* message;
  } cases[] = {
      {{"--replay", foreign.path()}, "is not a trace"},
      {{"--replay", file_->path(), "--temps", "0.5"}, "temperature 0.5 is not in the trace"},
      {{"--replay", file_->path(), "-n", "25"}, "but the trace has 24"},
      {{"--replay", file_->path(), "--n-prompts", "3"}, "but the trace has 2"},
      {{"--replay", file_->path(), "--top-p", "0.9"}, "with --replay"},
      {{"--replay", file_->path(), "-m", "x.gguf"}, "with --replay"},
      {{"--replay", file_->path(), "--seed", "4"}, "with --replay"},
      {{"--replay", file_->path(), "--cost", "cheap"}, "give measured, flat, linear"},
      {{"--replay", file_->path(), "--cost", foreign.path()}, "has no curves"},
      {{"--cost", "flat"}, "--cost without --replay"},
      {{"--trace", foreign.path(), "--sweep"}, "--sweep with --trace"},
      {{"--trace", "/nowhere/a.trace"}, "cannot be written"},
  };
  for (const auto& c : cases) {
    const ProcessResult result = bench(c.options);
    EXPECT_NE(result.exit_code, 0) << c.message;
    EXPECT_THAT(result.err, HasSubstr(c.message));
    EXPECT_EQ(n_lines(result.err), 1U) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

}  // namespace
}  // namespace gumbelspec::testing
