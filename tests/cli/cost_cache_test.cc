// What the program keeps about a pair of models from run to run.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// A cache folder of the test's own.
class CostCacheTest : public ::testing::Test {
 protected:
  CostCacheTest() {
    fs::create_directories(root_);
    if (const char* before = std::getenv("XDG_CACHE_HOME")) before_ = before;
    ::setenv("XDG_CACHE_HOME", root_.c_str(), 1);
  }
  ~CostCacheTest() override {
    if (before_) {
      ::setenv("XDG_CACHE_HOME", before_->c_str(), 1);
    } else {
      ::unsetenv("XDG_CACHE_HOME");
    }
    fs::remove_all(root_);
  }

  static Json generate(std::vector<std::string> more = {}) {
    std::vector<std::string> call = {"generate", "--json", "-p", "The old house",
                                     "-n",       "40",     "-s", "7"};
    call.insert(call.end(), more.begin(), more.end());
    const ProcessResult result = run_program(call);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return Json::parse(result.out)["tokens"];
  }
  // The file of the calibrations; empty: there is none.
  [[nodiscard]] fs::path calibration_file() const {
    for (const auto& entry : fs::recursive_directory_iterator(root_)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream in(entry.path());
      if (Json::parse(in).contains("calibrations")) return entry.path();
    }
    return {};
  }
  static Json read(const fs::path& file) {
    std::ifstream in(file);
    return Json::parse(in);
  }
  [[nodiscard]] const fs::path& root() const { return root_; }

 private:
  fs::path root_ =
      fs::path(::testing::TempDir()) / ("gumbelspec-cost-cache-" + std::to_string(::getpid()));
  std::optional<std::string> before_;
};

TEST_F(CostCacheTest, KeepsCalibrationsByKindOfSampling) {
  const Json tokens = generate();
  ASSERT_FALSE(calibration_file().empty());
  EXPECT_EQ(generate(), tokens) << "what it learnt changes no token";
  (void)generate({"--temp", "0.5"});
  const Json kept = read(calibration_file());
  ASSERT_EQ(kept["calibrations"].size(), 2U);
  EXPECT_EQ(kept["calibrations"][0]["temperature"], 1.0);
  EXPECT_EQ(kept["calibrations"][1]["temperature"], 0.5);
}

TEST_F(CostCacheTest, CalibrationsHaveTheFieldsOfTheirFormat) {
  (void)generate(
      {"--top-k", "40", "--top-p", "0.5", "--min-p", "0.25", "--method", "gumbel-tree:tau=0.75"});
  ASSERT_FALSE(calibration_file().empty());
  const Json kept = read(calibration_file());
  ASSERT_EQ(kept["calibrations"].size(), 1U);
  Json record = kept["calibrations"][0];
  EXPECT_TRUE(record["numbers"].is_array());
  record.erase("numbers");
  EXPECT_EQ(
      record,
      (Json{{"temperature", 1.0}, {"top_k", 40}, {"top_p", 0.5}, {"min_p", 0.25}, {"tau", 0.75}}));
}

TEST_F(CostCacheTest, AFileThatIsNonsenseIsAsGoodAsNone) {
  const Json tokens = generate();
  const fs::path file = calibration_file();
  ASSERT_FALSE(file.empty());
  const Json good = read(file);
  Json of_others = good;
  of_others["key"] = "another pair";
  Json absurd = good;
  for (Json& x : absurd["calibrations"][0]["numbers"]) x = -1e30;
  Json short_one = good;
  short_one["calibrations"][0]["numbers"] = {1.0};
  for (const std::string& text : {std::string(), std::string("{\"key\": "), of_others.dump(),
                                  absurd.dump(), short_one.dump(), std::string(1000, '\0')}) {
    std::ofstream(file) << text;
    EXPECT_EQ(generate(), tokens) << text;
    EXPECT_EQ(read(file)["key"], good["key"]) << "and is written again";
  }
}

TEST_F(CostCacheTest, NoCostCacheKeepsNothing) {
  const Json tokens = generate({"--no-cost-cache"});
  EXPECT_TRUE(fs::is_empty(root()));
  EXPECT_EQ(generate(), tokens);
}

TEST_F(CostCacheTest, AFolderThatCannotBeWrittenIsNoError) {
  ::setenv("XDG_CACHE_HOME", "/proc/nowhere", 1);
  const Json tokens = generate();
  ::setenv("XDG_CACHE_HOME", root().c_str(), 1);
  EXPECT_EQ(generate(), tokens);
}

}  // namespace
}  // namespace gumbelspec::testing
