// gumbelspec-scale, from outside: one line for everything that is wrong, no half-written files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/cli/process.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

ProcessResult run_scale(const std::vector<std::string>& arguments) {
  return Process(GUMBELSPEC_SCALE_PROGRAM, arguments).finish();
}

std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

const std::string& small_model() {
  static const std::string kPath = model_path("demo-draft-weak-q8_0.gguf");
  return kPath;
}

TEST(ScaleProgram, WritesAModelAndTellsItsShape) {
  const TemporaryFolder folder;
  const std::string out = folder.file("out.gguf");
  const ProcessResult result = run_scale({small_model(), out, "--params", "4M"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, HasSubstr("M parameters, q8_0"));
  EXPECT_TRUE(std::filesystem::exists(out));
  EXPECT_FALSE(std::filesystem::exists(out + ".partial"));
}

TEST(ScaleProgram, PadsAVocabulary) {
  const TemporaryFolder folder;
  const std::string out = folder.file("out.gguf");
  const auto pad = [&] { return run_scale({small_model(), out, "--vocab", "9000"}); };
  const ProcessResult result = pad();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, HasSubstr("9000 tokens"));
  EXPECT_FALSE(std::filesystem::exists(out + ".probe"));
  // What was measured on the way does not make another file.
  const std::string first = read_bytes(out);
  EXPECT_EQ(pad().exit_code, 0);
  EXPECT_EQ(read_bytes(out), first);
}

TEST(ScaleProgram, OneSeedOneFile) {
  const TemporaryFolder folder;
  const auto bytes = [&](const std::string& seed) {
    const std::string out = folder.file(seed + ".gguf");
    EXPECT_EQ(run_scale({small_model(), out, "--params", "2M", "--seed", seed}).exit_code, 0);
    return read_bytes(out);
  };
  const std::string first = bytes("1");
  EXPECT_EQ(bytes("1"), first);
  EXPECT_NE(bytes("2"), first);
}

TEST(ScaleProgram, BadInputGetsOneLine) {
  const TemporaryFolder folder;
  const std::string out = folder.file("out.gguf");
  const TemporaryFile text("hello, world");
  struct Bad {
    std::vector<std::string> arguments;
    std::string says;
  };
  const std::vector<Bad> all = {
      {{}, "--help"},
      {{small_model(), out}, "--params"},
      {{small_model(), out, "--params", "big"}, "\"big\""},
      {{small_model(), out, "--params", "0.2M"}, "parameters"},
      {{small_model(), out, "--params", "4M", "--type", "q3"}, "q4_K"},
      {{small_model(), out, "--params", "4M", "--foo"}, "--help"},
      {{small_model(), out, "--embd", "32"}, "64"},
      {{small_model(), out, "--layers", "2", "--type", "q4_K"}, "multiple of 256"},
      {{small_model(), out, "--heads", "3", "--heads-kv", "2"}, "multiple"},
      {{small_model(), out, "--vocab", "4095"}, "4096"},
      {{small_model(), out, "--vocab", "1048577"}, "1048576"},
      {{small_model(), out, "--vocab", "many"}, "many"},
      {{"/no/such.gguf", out, "--params", "4M"}, "/no/such.gguf"},
      {{text.path(), out, "--params", "4M"}, "GGUF"},
      {{model_path("demo-eagle3-q8_0.gguf"), out, "--params", "4M"}, "--target"},
      {{small_model(), out, "--target", small_model()}, "is for EAGLE-3 heads"},
      {{small_model(), small_model(), "--params", "4M"}, "overwrite"},
  };
  for (const Bad& bad : all) {
    const ProcessResult result = run_scale(bad.arguments);
    EXPECT_EQ(result.exit_code, 2) << bad.says;
    EXPECT_EQ(result.out, "");
    EXPECT_EQ(n_lines(result.err), 1U) << result.err;
    EXPECT_THAT(result.err, StartsWith("gumbelspec-scale: "));
    EXPECT_THAT(result.err, HasSubstr(bad.says));
    EXPECT_FALSE(std::filesystem::exists(out));
  }
}

TEST(ScaleProgram, WhatCannotBeWrittenLeavesNothingBehind) {
  const TemporaryFolder folder;
  const ProcessResult result =
      run_scale({small_model(), folder.file("no/such/out.gguf"), "--params", "2M"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(n_lines(result.err), 1U) << result.err;
  EXPECT_THAT(result.err, HasSubstr("cannot write"));
  // A folder stands where the file should go: found at the end, when it is renamed.
  const std::string taken = folder.file("taken");
  std::filesystem::create_directories(taken + "/x");
  EXPECT_EQ(run_scale({small_model(), taken, "--params", "2M"}).exit_code, 1);
  EXPECT_FALSE(std::filesystem::exists(taken + ".partial"));
}

}  // namespace
}  // namespace gumbelspec::testing
