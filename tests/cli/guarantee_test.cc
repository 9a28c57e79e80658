// What `gumbelspec generate` says a text keeps: that of its seed, its distribution.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/cli/process.h"
#include "tests/llama/tiny_model.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using Json = nlohmann::json;

Json generate_json(std::vector<std::string> arguments) {
  arguments.emplace_back("--json");
  const ProcessResult result = generate(arguments);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  return Json::parse(result.out);
}

TinyModel tiny(ggml_type weights) {
  TinyModel model;
  model.weights = weights;
  model.n_embd = 256;
  model.n_ff = 512;
  return model;
}

#if defined(__x86_64__)
TEST(Generate, SaysInOneLineThatTheTextOfASeedMayDependOnTheMethod) {
  const TemporaryFile file("");
  write_tiny_model(tiny(GGML_TYPE_F32), file.path());
  const ProcessResult result = run_program({"generate", "-m", file.path(), "-p", "a", "-n", "2",
                                            "--seed", "1", "--no-kernels", "--json"});
  EXPECT_EQ(n_lines(result.err), 1U) << result.err;
  EXPECT_THAT(result.err, HasSubstr("may depend on the method: "));
  EXPECT_THAT(result.err, HasSubstr("F32 weights on CPU"));
  EXPECT_THAT(result.err, HasSubstr("use the kernels"));
  EXPECT_EQ(Json::parse(result.out)["same_seed"], false);
}
#endif

TEST(Generate, SaysNothingWhereTheTextOfASeedIsKept) {
  const TemporaryFile file("");
  write_tiny_model(tiny(GGML_TYPE_Q4_K), file.path());
  const Json json = generate_json({"-m", file.path(), "-p", "a", "-n", "2", "--seed", "1"});
  EXPECT_EQ(json["same_seed"], true);
}

TEST(Generate, PromisesNoTextOfASeedToMethodsThatKeepTheDistributionOnly) {
  const Json json = generate_json({"-p", "a", "-n", "4", "--seed", "1", "--method", "rejection"});
  EXPECT_EQ(json["same_seed"], false);
}

TEST(Generate, SaysWhatATextKeeps) {
  const auto guarantee = [](const std::vector<std::string>& options) {
    std::vector<std::string> arguments = {"-p", "The old house", "-n", "4"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    return generate_json(arguments)["guarantee"];
  };
  EXPECT_EQ(guarantee({"--guarantee", "auto", "--seed", "7"}), "seed");
  EXPECT_EQ(guarantee({"--guarantee", "auto"}), "distribution");
  EXPECT_EQ(guarantee({"--guarantee", "distribution", "--seed", "7"}), "distribution");
  EXPECT_EQ(guarantee({"--method", "rejection", "--seed", "7"}), "distribution");
}

}  // namespace
}  // namespace gumbelspec::testing
