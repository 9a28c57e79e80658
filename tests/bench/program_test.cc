// gumbelspec bench, from outside. No assertions on times.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

ProcessResult bench(std::vector<std::string> more) {
  more.insert(more.begin(), {"bench", "-t", "1"});
  return run_program(more);
}

ProcessResult small_bench(std::vector<std::string> more) {
  more.insert(more.begin(), {"--n-prompts", "2", "-n", "12", "--runs", "2", "--temps", "0,1",
                             "--methods", "gumbel-chain:length=2,gumbel-beam:width=2,length=3"});
  return bench(std::move(more));
}

TEST(Bench, JsonHasItsKeys) {
  const ProcessResult result = small_bench({"--format", "json", "--seed", "3"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  for (const char* key : {"machine", "versions", "models", "settings", "rows"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_TRUE(json["complete"].get<bool>());
  EXPECT_FALSE(json["models"]["is_scaled_pair"].get<bool>());
  EXPECT_EQ(json["settings"]["seed"], 3);
  EXPECT_THAT(json["settings"]["command"].get<std::string>(), StartsWith("gumbelspec bench -t 1"));
  // ar is always measured; two temperatures.
  ASSERT_EQ(json["rows"].size(), 6U);
  for (const Json& row : json["rows"]) {
    for (const char* key :
         {"method", "shape", "temperature", "tokens_per_s", "speedup_vs_ar", "speedup_vs_rejection",
          "accepted_per_pass", "tokens_per_pass", "nodes_per_pass", "target_ms", "draft_ms",
          "own_ms", "tokens_per_s_spread", "target_ms_spread", "acceptance_by_depth"}) {
      EXPECT_TRUE(row.contains(key)) << key;
    }
    EXPECT_EQ(row["n_texts"], 4);
    EXPECT_EQ(row["tokens_per_s_spread"].size(), 2U);
  }
  EXPECT_EQ(json["rows"][1]["method"], "gumbel-chain");
  EXPECT_EQ(json["rows"][1]["shape"], "length=2");
  EXPECT_EQ(json["rows"][1]["acceptance_by_depth"].size(), 2U);
  EXPECT_EQ(json["rows"][1]["n_texts_different"], 0);
}

TEST(Bench, TheTableNamesMachineModelsAndMethods) {
  const ProcessResult result = small_bench({});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  for (const char* part :
       {"machine", "demo-target-q8_0.gguf", "temperature 0\n", "temperature 1\n",
        "gumbel-beam:width=2,length=3", "accepted at depth", "token for token"}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
  EXPECT_THAT(result.out, Not(HasSubstr("scaled")));
}

TEST(Bench, TempIsOneTemperature) {
  const ProcessResult result = bench({"--methods", "ar", "--n-prompts", "1", "-n", "4", "--runs",
                                      "1", "--temp", "0.8", "--format", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json rows = Json::parse(result.out)["rows"];
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["temperature"], 0.8);
}

TEST(Bench, WithoutADraftPlainDecodingAndSourcesAreMeasured) {
  const ProcessResult result = bench({"-m", model_path("demo-target-q8_0.gguf"), "--n-prompts", "1",
                                      "-n", "4", "--runs", "1", "--temps", "1", "--format", "csv"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(n_lines(result.out), 3U);
  EXPECT_THAT(result.out, AllOf(HasSubstr("\nar,"), HasSubstr("\ngumbel-tree,")));
}

TEST(Bench, PromptsOfAFileAreUsed) {
  const TemporaryFile file("{\"turns\": [\"The old house\", \"x\"]}\n");
  const ProcessResult result = bench({"--prompts", file.path(), "--methods", "ar", "-n", "4",
                                      "--runs", "1", "--temps", "1", "--format", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(Json::parse(result.out)["settings"]["n_prompts"], 1);
}

TEST(Bench, ASweepReportsTheShapesItChose) {
  const ProcessResult result = bench(
      {"--sweep", "--methods", "gumbel-chain,gumbel-beam:width=2,length=2", "--n-prompts", "4",
       "-n", "8", "--sweep-predict", "4", "--runs", "1", "--temps", "1", "--format", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const Json json = Json::parse(result.out);
  const Json sweep = json["settings"]["sweep"];
  ASSERT_EQ(sweep.size(), 1U);  // the beam was given with a shape
  EXPECT_EQ(sweep[0]["method"], "gumbel-chain");
  EXPECT_EQ(sweep[0]["best"], json["rows"][1]["shape"]);
  EXPECT_EQ(json["rows"][2]["shape"], "width=2,length=2");
  EXPECT_EQ(json["rows"][0]["n_texts"], 2);  // the odd ones
}

TEST(Bench, OutWritesTheResultsIntoAFolder) {
  const TemporaryFile file("");
  const std::string folder = file.path() + ".d/results";
  const ProcessResult result = small_bench({"--out", folder});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  std::ifstream json(folder + "/results.json");
  EXPECT_EQ(Json::parse(json)["rows"].size(), 6U);
  EXPECT_TRUE(std::filesystem::exists(folder + "/results.md"));
  if (result.err.find("no plots") == std::string::npos) {
    for (const char* plot : {"speedup", "accepted", "depth", "time"}) {
      for (const char* ending : {".svg", ".png"}) {
        EXPECT_TRUE(std::filesystem::exists(folder + "/" + plot + ending)) << plot << ending;
      }
    }
  }
  std::filesystem::remove_all(file.path() + ".d");
}

TEST(Bench, AStopPrintsWhatIsComplete) {
  for (const std::size_t n_log_bytes : {1U, 20000U}) {
    // The log of llama.cpp tells when loading has begun.
    Process process(GUMBELSPEC_PROGRAM,
                    {"bench", "-t", "1", "--verbose", "--methods", "gumbel-chain", "--runs", "1000",
                     "--format", "json", "--temps", "1"});
    process.wait_for_errors(n_log_bytes);
    process.send(SIGINT);
    const ProcessResult result = process.finish();
    EXPECT_EQ(result.exit_code, 130) << result.err;
    EXPECT_THAT(result.err, HasSubstr("stopped by a signal"));
    if (!result.out.empty()) {
      EXPECT_FALSE(Json::parse(result.out)["complete"].get<bool>());
    }
  }
}

}  // namespace
}  // namespace gumbelspec::testing
