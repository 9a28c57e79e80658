// Whatever is wrong with the input: one line that says value, limit and remedy, and exit code 2.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

struct BadInput {
  std::string name;  // of the test
  std::vector<std::string> arguments;
  std::vector<std::string> says;  // parts of the line
};

void PrintTo(const BadInput& input, std::ostream* out) { *out << input.name; }

void expect_one_line(const ProcessResult& result, const std::vector<std::string>& says) {
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(n_lines(result.err), 1U) << result.err;
  EXPECT_THAT(result.err, StartsWith("gumbelspec: "));
  for (const std::string& part : says) EXPECT_THAT(result.err, HasSubstr(part));
}

class BadOption : public ::testing::TestWithParam<BadInput> {};

TEST_P(BadOption, GetsOneLine) {
  expect_one_line(run_program(GetParam().arguments), GetParam().says);
}

std::vector<std::string> with_prompt(std::vector<std::string> more) {
  more.insert(more.begin(), {"generate", "-p", "x", "-n", "2", "-t", "1"});
  return more;
}

const std::string kTarget = "demo-target-q8_0.gguf";

std::vector<BadInput> bad_inputs() {
  const std::string target = model_path(kTarget);
  const std::string methods = "ar, rejection, rejection-tree, greedy-chain, gumbel-chain";
  return {
      {"NoCommand", {}, {"no command", "--help"}},
      {"UnknownCommand", {"foo"}, {"\"foo\"", "--help"}},
      {"UnknownProgramOption", {"--foo"}, {"\"--foo\"", "--help"}},
      {"UnknownOption", with_prompt({"--foo", "1"}), {"\"--foo\"", "generate --help"}},
      {"StrayArgument", with_prompt({"word"}), {"\"word\"", "generate --help"}},
      {"NoValue", with_prompt({"--temp"}), {"--temp has no value"}},
      {"MissingModel", with_prompt({"-m", "/no/such.gguf"}), {"/no/such.gguf", "does not exist"}},
      {"ModelIsAFolder", with_prompt({"-m", "/tmp"}), {"/tmp", "directory"}},
      {"NoHead",
       with_prompt({"-m", target, "--draft", "head,suffix"}),
       {"--draft names a draft model or head", "-md"}},
      {"HeadOfAnotherTarget",
       with_prompt(
           {"-m", model_path("demo-draft-q8_0.gguf"), "-md", model_path("demo-eagle3-q8_0.gguf")}),
       {"EAGLE-3 head", "hidden states of size 256", "use a head of this target"}},
      {"UnknownDevice",
       with_prompt({"-dev", "TPU0"}),
       {"--device has \"TPU0\"", "none for the CPU"}},
      {"UnknownDraftDevice",
       with_prompt({"-devd", "TPU0"}),
       {"--device-draft has \"TPU0\"", "none for the CPU"}},
      {"EmptyDevice", with_prompt({"-dev", "A,,B"}), {"--device", "empty name"}},
      {"BadSplit", with_prompt({"-ts", "1,x"}), {"\"1,x\"", "3,1"}},
      {"NoSplit", with_prompt({"-ts", "0/0"}), {"\"0/0\"", "above 0"}},
      {"BadSplitMode", with_prompt({"-sm", "rows"}), {"\"rows\"", "none, layer or row"}},
      {"ServerWithoutPort",
       with_prompt({"--rpc", "10.0.0.2"}),
       {"--rpc has \"10.0.0.2\"", "HOST:PORT"}},
      {"ServerWithBadPort", with_prompt({"--rpc", "a:70000"}), {"a:70000", "65535"}},
      {"DraftWithoutTarget", with_prompt({"-md", target}), {target, "-m"}},
      {"DraftingMethodWithoutDraft",
       with_prompt({"-m", target, "--method", "gumbel-chain"}),
       {"gumbel-chain", "-md", "--method ar"}},
      {"DraftSourceUnknown", with_prompt({"--draft", "suffix,ngram"}), {"'ngram'", "recycled"}},
      {"DraftSourcesOfAnotherMethod",
       with_prompt({"--draft", "suffix", "--method", "gumbel-beam"}),
       {"--draft", "gumbel-beam"}},
      {"NegativeTemperature", with_prompt({"--temp", "-1"}), {"--temp is -1", ">= 0"}},
      {"TemperatureNan", with_prompt({"--temp", "nan"}), {"nan", ">= 0"}},
      {"TemperatureIsAWord", with_prompt({"--temp", "warm"}), {"--temp", "\"warm\"", "number"}},
      {"TopPZero", with_prompt({"--top-p", "0"}), {"--top-p is 0, but must be in (0, 1]"}},
      {"TopPAboveOne", with_prompt({"--top-p", "1.01"}), {"--top-p is 1.01", "(0, 1]"}},
      {"TopPNan", with_prompt({"--top-p", "nan"}), {"--top-p is nan", "(0, 1]"}},
      {"TopKNegative", with_prompt({"--top-k", "-1"}), {"--top-k", "\"-1\"", "from 0"}},
      {"MinPAboveOne", with_prompt({"--min-p", "2"}), {"--min-p is 2", "[0, 1]"}},
      {"TypicalZero", with_prompt({"--typical", "0"}), {"--typical is 0", "(0, 1]"}},
      {"XtcAboveOne",
       with_prompt({"--xtc-probability", "2"}),
       {"--xtc-probability is 2", "[0, 1]"}},
      {"DynatempAtZero",
       with_prompt({"--temp", "0", "--dynatemp-range", "1"}),
       {"--dynatemp-range is 1", "raise the temperature"}},
      {"DryBaseBelowOne", with_prompt({"--dry-base", "0.5"}), {"--dry-base is 0.5", ">= 1"}},
      {"DryBreakerTooLong",
       with_prompt({"--dry-multiplier", "1", "--dry-sequence-breaker", std::string(41, 'x')}),
       {"--dry-sequence-breaker", "41 bytes", "1 to 40"}},
      {"MirostatThree", with_prompt({"--mirostat", "3"}), {"--mirostat", "\"3\"", "from 0 to 2"}},
      {"MirostatRateAboveOne",
       with_prompt({"--mirostat-lr", "2"}),
       {"--mirostat-lr is 2", "[0, 1]"}},
      {"AdaptiveAboveOne",
       with_prompt({"--adaptive-target", "2"}),
       {"--adaptive-target is 2", "at most 1"}},
      {"UnknownSampler",
       with_prompt({"--samplers", "top_k;magic"}),
       {"--samplers", "magic", "typ_p"}},
      {"RepeatPenaltyZero",
       with_prompt({"--repeat-penalty", "0"}),
       {"--repeat-penalty is 0", "> 0"}},
      {"WidthZero", with_prompt({"--method", "gumbel-beam:width=0"}), {"width", "0", "[1, 64]"}},
      {"LengthTooLarge", with_prompt({"--method", "gumbel-chain:length=65"}), {"65", "[1, 64]"}},
      {"UnknownMethod", with_prompt({"--method", "reject"}), {"reject", methods}},
      {"MethodWithALineBreak", with_prompt({"--method", "a\nb"}), {"a\\nb", methods}},
      {"SeedNegative", with_prompt({"--seed", "-2"}), {"\"-2\"", "18446744073709551615"}},
      {"SeedTooLarge",
       with_prompt({"--seed", "18446744073709551616"}),
       {"\"18446744073709551616\"", "18446744073709551615"}},
      {"SeedNotWhole", with_prompt({"--seed", "1.5"}), {"\"1.5\"", "whole number"}},
      {"PredictBelowMinusOne", {"generate", "-p", "x", "-n", "-2"}, {"-n", "\"-2\"", "from -1"}},
      {"ThreadsTooMany", with_prompt({"--threads", "5000"}), {"\"5000\"", "1024"}},
      {"ContextTooLong", with_prompt({"-c", "5000"}), {"-c is 5000", "1024"}},
      {"UnknownAttention", with_prompt({"--attention", "none"}), {"\"none\"", "exact or fast"}},
      {"LogitBiasMalformed", with_prompt({"-l", "7"}), {"\"7\"", "TOKEN+BIAS"}},
      {"LogitBiasOutsideVocabulary",
       with_prompt({"-l", "4096+1"}),
       {"--logit-bias has token 4096", "4095"}},
      {"DumpRoundAlone", with_prompt({"--dump-round", "1"}), {"--dump-tree"}},
      {"NoPrompt", {"generate", "-n", "2"}, {"-p TEXT", "-f FILE"}},
      {"EmptyPrompt", {"generate", "-p", ""}, {"empty"}},
      {"PromptAndFile", with_prompt({"-f", "y"}), {"--prompt and --file"}},
      {"PromptFileMissing", {"generate", "-f", "/no/such"}, {"/no/such", "No such file"}},
      {"PromptFileIsAFolder", {"generate", "-f", "/tmp"}, {"/tmp", "directory"}},
      {"PromptNotUtf8", {"generate", "-p", "ab\xFF"}, {"UTF-8", "\\xFF", "offset 2"}},
      {"SelftestUnknownSabotage", {"selftest", "--sabotage", "x"}, {"\"x\"", "reused-noise"}},
      {"SelftestSeedsZero", {"selftest", "--seeds", "0"}, {"\"0\"", "from 1"}},
      {"BenchUnknownMethod", {"bench", "--methods", "ar,foo"}, {"'foo'", methods}},
      {"BenchMethodEmpty", {"bench", "--methods", "ar,"}, {"\"ar,\"", "empty"}},
      {"BenchRunsZero", {"bench", "--runs", "0"}, {"--runs", "\"0\"", "from 1"}},
      {"BenchPromptsZero", {"bench", "--n-prompts", "0"}, {"--n-prompts", "\"0\"", "from 1"}},
      {"BenchTemperatureNegative", {"bench", "--temps", "0,-1"}, {"\"0,-1\"", "at least 0"}},
      {"BenchUnknownFormat", {"bench", "--format", "xml"}, {"\"xml\"", "csv"}},
      {"BenchPromptFileMissing", {"bench", "--prompts", "/no/such"}, {"/no/such", "No such file"}},
      {"BenchMethodWithoutDraft",
       {"bench", "-m", target, "--methods", "gumbel-chain"},
       {"gumbel-chain", "-md"}},
      {"BenchPeersMissing", {"bench", "--peers", "/no/such"}, {"/no/such", "llama-cpp-peers"}},
      {"BenchSweepOfOnePrompt", {"bench", "--sweep", "--n-prompts", "1"}, {"at least 2"}},
      {"InfoUnknownOption", {"info", "--foo"}, {"\"--foo\"", "info --help"}},
  };
}

INSTANTIATE_TEST_SUITE_P(Program, BadOption, ::testing::ValuesIn(bad_inputs()),
                         [](const auto& test) { return test.param.name; });

std::string bytes_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(BadModel, AFileThatIsNotGguf) {
  const TemporaryFile file("hello, world");
  expect_one_line(run_program(with_prompt({"-m", file.path()})), {file.path(), "not a GGUF file"});
}

TEST(BadModel, AnEmptyFile) {
  const TemporaryFile file("");
  expect_one_line(run_program(with_prompt({"-m", file.path()})), {file.path(), "empty"});
}

TEST(BadModel, ATruncatedFile) {
  const std::string whole = bytes_of(model_path(kTarget));
  for (const std::size_t n : {std::size_t{10}, std::size_t{5000}, whole.size() / 2}) {
    const TemporaryFile file(whole.substr(0, n));
    expect_one_line(run_program(with_prompt({"-m", file.path()})),
                    {file.path(), "download or convert it again"});
  }
}

TEST(BadPrompt, AFileThatIsNotUtf8) {
  const TemporaryFile file("good\n\xC3(");
  expect_one_line(run_program({"generate", "-f", file.path()}), {"UTF-8", "offset 5"});
}

TEST(BadPrompt, AnEmptyFile) {
  for (const char* content : {"", "\n"}) {
    const TemporaryFile file(content);
    expect_one_line(run_program({"generate", "-f", file.path()}), {"empty"});
  }
}

TEST(BadPrompt, LongerThanTheContext) {
  std::string text;
  for (int i = 0; i < 100; ++i) text += "house ";
  expect_one_line(
      run_program({"generate", "-c", "64", "-t", "1", "-p", text}),
      {"the prompt has", "the context of 64 has room for 63", "enlarge the context (-c), up to"});
}

TEST(BadPrompt, BenchFileThatIsNotJsonLines) {
  const TemporaryFile empty("");
  expect_one_line(run_program({"bench", "--prompts", empty.path()}), {empty.path(), "no prompt"});
  const TemporaryFile broken("{\"prompt\": \"a\"}\n{\"prompt\": ");
  expect_one_line(run_program({"bench", "--prompts", broken.path()}),
                  {broken.path(), "line 2", "broken JSON"});
}

TEST(BadPrompt, SelftestFileWithoutPrompts) {
  const TemporaryFile file("\n\n");
  expect_one_line(run_program({"selftest", "--prompts", file.path()}), {file.path(), "no prompt"});
}

}  // namespace
}  // namespace gumbelspec::testing
