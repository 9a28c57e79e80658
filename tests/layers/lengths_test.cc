// Functions of at most 60 lines, files of at most 400: what is longer has a reason, which stands
// here.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "tests/layers/length_check.h"

namespace gumbelspec::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

const std::vector<std::string> kFolders = {"apps",    "bench", "bindings", "fuzz", "include",
                                           "kernels", "src",   "testing",  "tests"};

LengthRules house_lengths() {
  return {.most_file_lines = 400,
          .most_function_lines = 60,
          .exceptions = {
              // To be split; they may not grow until then.
              {"tests/server/api/request_errors_test.cc", 410},
              {"tests/server/api/tools_test.cc", 415},
              {"apps/cli/chat.cc: ChatRun::answer", 61},
              {"apps/cli/serve.cc: ServeRun::start_service", 64},
              // Tables: a row each, and no way through them that somebody would have to follow.
              {"tests/cli/bad_input_test.cc: bad_inputs", 200},
              {"tests/kernels/support_test.cc: subjects", 100},
              {"tests/layers/layers_test.cc: house_rules", 100},
              {"tests/vocabularies/odd_strings.cc: fragments", 250},
              {"tests/cli/generate_test.cc: TEST(Generate, SamplingOptionsReachTheSampler)", 80},
              {"tests/server/api/request_errors_test.cc: "
               "TEST(RequestErrors, SamplersHaveLlamaCppsNamesLettersAndLimits)",
               80},
              // A trajectory, step by step beside llama.cpp's.
              {"tests/llama/samplers_test.cc: "
               "TEST(Samplers, MirostatAndAdaptivePFollowLlamaCppsAlongATrajectory)",
               80},
          }};
}

TEST(Lengths, AreThoseOfTheHouse) {
  for (const std::string& line : too_long(GUMBELSPEC_SOURCE_DIR, kFolders, house_lengths())) {
    ADD_FAILURE() << line << "; split it by topic";
  }
}

std::vector<std::string> names_and_lines(const std::string& source) {
  std::vector<std::string> out;
  for (const FunctionLength& f : functions_of(source)) {
    out.push_back(f.name + " " + std::to_string(f.line) + "+" + std::to_string(f.n_lines));
  }
  return out;
}

TEST(Lengths, OfFunctionsAreCountedFromTheirFirstLineToTheirBrace) {
  EXPECT_THAT(names_and_lines("namespace a {\n"
                              "// A comment with a { brace.\n"
                              "int f(int x,\n"
                              "      int y) {\n"
                              "  if (x > y) {\n"
                              "    return 1'000;\n"
                              "  }\n"
                              "  const auto g = [&](int z) { return \"}\" + z; };\n"
                              "  return '{';\n"
                              "}\n"
                              "struct S {\n"
                              "  S() : a_{1}, b_(2) {}\n"
                              "  bool operator==(const S&) const = default;\n"
                              "  template <class T>\n"
                              "  T* get() const {\n"
                              "    return R\"(}{)\";\n"
                              "  }\n"
                              "  int a_ = f(1), b_{2};\n"
                              "};\n"
                              "const S kS = make({1, 2});\n"
                              "#define M(x) {\n"
                              "TEST(A, B) {\n"
                              "}\n"
                              "}\n"),
              ElementsAre("f 3+8", "S 12+1", "b_ 12+1", "get 14+4", "TEST(A, B) 22+2"));
}

TEST(Lengths, WhatIsTooLongIsFoundUnlessThereIsAReason) {
  const fs::path root = fs::path(::testing::TempDir()) / ("lengths_" + std::to_string(::getpid()));
  fs::create_directories(root / "src/core");
  std::string body = "int f() {\n";
  for (int i = 0; i < 8; ++i) body += "  g();\n";
  body += "}\n";
  std::ofstream(root / "src/core/a.cc") << body;
  LengthRules rules{.most_file_lines = 10, .most_function_lines = 10};
  const auto found = [&] { return too_long(root, {"src"}, rules); };
  EXPECT_THAT(found(), IsEmpty());
  rules.most_function_lines = 9;
  EXPECT_THAT(found(), ElementsAre("src/core/a.cc: f has 10 lines, more than 9"));
  rules.exceptions["src/core/a.cc: f"] = 10;
  EXPECT_THAT(found(), IsEmpty());
  rules.most_file_lines = 9;
  EXPECT_THAT(found(), ElementsAre("src/core/a.cc has 10 lines, more than 9"));
  fs::remove_all(root);
}

}  // namespace
}  // namespace gumbelspec::testing
