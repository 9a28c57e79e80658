#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/cli/process.h"
#include "tests/llama/tiny_model.h"

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
        "draft     llama ", "devices   ", "\nsame seed the same text with every method, ",
        "CPU: ", "          on CPU: layers 0-6, buffers of "}) {
    EXPECT_THAT(result.out, HasSubstr(part));
  }
}

#if defined(__x86_64__)
TEST(Info, NamesWhatAnswersForTheTextOfASeedAndWhatDoesNot) {
  const ProcessResult demo = run_program({"info", "--no-kernels"});
  EXPECT_THAT(demo.out, HasSubstr("\n          6 attentions on CPU: "));
  EXPECT_THAT(demo.out, HasSubstr(" products with Q8_0 weights on CPU: "));
  EXPECT_THAT(demo.out, Not(HasSubstr("NOT: ")));
  const TemporaryFile file("");
  TinyModel model;
  model.weights = GGML_TYPE_F32;
  model.n_embd = 256;
  model.n_ff = 512;
  write_tiny_model(model, file.path());
  const ProcessResult floats = run_program({"info", "--no-kernels", "-m", file.path()});
  EXPECT_EQ(floats.exit_code, 0) << floats.err;
  EXPECT_THAT(floats.out, HasSubstr("\nsame seed the text may depend on the method, "));
  EXPECT_THAT(floats.out, HasSubstr("\n          NOT: "));
  EXPECT_THAT(floats.out, HasSubstr("products with F32 weights on CPU: "));
}
#endif

TEST(Info, OfATargetAlone) {
  const ProcessResult result = run_program({"info", "-m", model_path("demo-target-q8_0.gguf")});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("target    llama"));
  EXPECT_THAT(result.out, Not(HasSubstr("draft ")));
}

// One byte of one token's text is another one.
TEST(Info, SaysHowAlikeTheVocabulariesAreAndNoTextDependsOnIt) {
  const ProcessResult demo = run_program({"info"});
  EXPECT_THAT(demo.out, Not(HasSubstr("another vocabulary")));
  std::ifstream file(model_path("demo-draft-q8_0.gguf"), std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  const std::string word = "\xE2\x96\x81house";
  const std::size_t at = bytes.find(word);
  ASSERT_NE(at, std::string::npos);
  bytes[at + word.size() - 1] = 'X';
  const TemporaryFile draft(bytes);
  const std::vector<std::string> pair = {"-m", model_path("demo-target-q8_0.gguf"), "-md",
                                         draft.path()};
  std::vector<std::string> arguments = {"info"};
  arguments.insert(arguments.end(), pair.begin(), pair.end());
  const char* alike = "another vocabulary than the target's, but 4095 of 4096 (100.0 %) ids agree";
  EXPECT_THAT(run_program(arguments).out, HasSubstr(alike));
  arguments = pair;
  arguments.insert(arguments.end(), {"-p", "The old house", "-n", "40", "--seed", "3"});
  const ProcessResult drafted = generate(arguments);
  EXPECT_EQ(drafted.exit_code, 0);
  EXPECT_THAT(drafted.err, HasSubstr(alike));
  arguments.insert(arguments.end(), {"--method", "ar"});
  EXPECT_EQ(drafted.out, generate(arguments).out);
}

}  // namespace
}  // namespace gumbelspec::testing
