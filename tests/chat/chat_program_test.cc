// gumbelspec chat through a pipe.
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
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

const std::vector<std::string> kSampling = {"--temp", "0.7", "--top-p", "0.95", "-s", "7"};

ProcessResult chat(const std::string& input, std::vector<std::string> more,
                   const std::string& method = "gumbel-tree:nodes=4") {
  std::vector<std::string> arguments = {
      "chat", "-t", "1", "-c", "512", "-n", "12", "--no-cost-cache", "--method", method};
  arguments.insert(arguments.end(), kSampling.begin(), kSampling.end());
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_program(arguments, {.input = input});
}

// Fixed shapes: nothing has to be measured first.
constexpr const char* kPlain = "ar";
constexpr const char* kChain = "gumbel-chain:length=3";

TEST(Chat, AnswersEachLineAndSaysNothingElse) {
  const ProcessResult result = chat("The old house\nAnd then?\n", {}, kChain);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, Not(IsEmpty()));
  EXPECT_THAT(result.out, Not(HasSubstr("> ")));
  EXPECT_THAT(result.out, Not(HasSubstr("\x1B")));
  EXPECT_THAT(result.err, IsEmpty());
}

TEST(Chat, SaysTheSameWithAndWithoutSpeculationAlsoInLaterTurns) {
  const std::string input = "The old house\nAnd then?\n/regenerate\nWho was it?\n";
  const ProcessResult plain = chat(input, {"-sys", "You tell tales."}, kPlain);
  const ProcessResult drafted = chat(input, {"-sys", "You tell tales."}, kChain);
  EXPECT_EQ(plain.exit_code, 0) << plain.err;
  EXPECT_EQ(plain.out, drafted.out);
  EXPECT_GE(n_lines(plain.out), 4U);
}

TEST(Chat, ReadsOnlyTheNewTurn) {
  const ProcessResult result = chat("The old house\n/stats\nAnd then?\n/stats\n", {}, kChain);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const std::string mark = "of the prompt's ";
  const std::size_t first = result.err.find(mark);
  const std::size_t second = result.err.find(mark, first + 1);
  ASSERT_NE(second, std::string::npos) << result.err;
  const auto numbers = [&](std::size_t at) {
    const std::size_t n_prompt = std::stoul(result.err.substr(at + mark.size()));
    const std::size_t end = result.err.find(" tokens ", at) + 8;
    return std::pair(n_prompt, static_cast<std::size_t>(std::stoul(result.err.substr(end))));
  };
  const auto [n_first, n_reused_first] = numbers(first);
  const auto [n_second, n_reused_second] = numbers(second);
  EXPECT_EQ(n_reused_first, 0U);
  // All of the first prompt, and nearly all of the answer's 12 tokens.
  EXPECT_GE(n_reused_second, n_first + 10);
  EXPECT_GT(n_second, n_reused_second);
}

TEST(Chat, AQuestionOfTheCommandLineIsTheFirstAndMayBeTheOnlyOne) {
  const ProcessResult result = chat("And then?\n", {"-p", "The old house", "-st"}, kPlain);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const ProcessResult piped = chat("The old house\n", {}, kPlain);
  EXPECT_EQ(result.out, piped.out);
}

TEST(Chat, AMessageMayHaveSeveralLines) {
  const std::string path = ::testing::TempDir() + "chat." + std::to_string(::getpid()) + ".json";
  const ProcessResult result =
      chat("a \\\nb\n\"\"\"\nc\n\nd\n\"\"\"\n\"\"\"e\"\"\"\n/save " + path + "\n",
           {"-n", "1", "-sys", "s\\nt", "-e"}, kPlain);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const Json saved = Json::parse(std::ifstream(path));
  ASSERT_EQ(saved["messages"].size(), 7U);
  EXPECT_EQ(saved["messages"][0]["content"], "s\nt");
  EXPECT_EQ(saved["messages"][1]["content"], "a \nb");
  EXPECT_EQ(saved["messages"][3]["content"], "c\n\nd");
  EXPECT_EQ(saved["messages"][5]["content"], "e");
  // It goes on where it was.
  const ProcessResult loaded = chat("/load " + path + "\n/history\n", {"-n", "1"}, kPlain);
  EXPECT_EQ(loaded.exit_code, 0) << loaded.err;
  EXPECT_THAT(loaded.err, HasSubstr("gumbelspec: 7 messages read\nsystem: s\nt\nuser: a \nb\n"));
  std::remove(path.c_str());
}

TEST(Chat, ARegeneratedAnswerIsAnother) {
  const ProcessResult result = chat("The old house\n/regenerate\n/seed 7\n", {}, kPlain);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const ProcessResult once = chat("The old house\n", {}, kPlain);
  EXPECT_THAT(result.out, StartsWith(once.out));
  EXPECT_NE(result.out.substr(once.out.size()), once.out);
}

TEST(Chat, AnswersEndBeforeAReversePrompt) {
  const std::string whole = chat("The old house\n", {}, kPlain).out;
  const std::string stop = whole.substr(whole.size() / 2, 3);
  const std::string before = whole.substr(0, whole.find(stop));
  EXPECT_EQ(chat("The old house\n", {"-r", stop}, kPlain).out,
            before + (before.empty() || before.back() == '\n' ? "" : "\n"));
}

TEST(Chat, AnswersFollowAGrammar) {
  for (const char* method : {kPlain, kChain}) {
    const ProcessResult result =
        chat("Is it cold?\nAnd now?\n", {"--grammar", "root ::= \"Yes, \" [a-z]{3} \".\""}, method);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out, ::testing::MatchesRegex("(Yes, [a-z]+\\.\n+)(Yes, [a-z]+\\.\n+)"));
  }
  const ProcessResult wrong = chat("", {"--grammar", "root ::= ("}, kPlain);
  EXPECT_NE(wrong.exit_code, 0);
  EXPECT_THAT(wrong.err, HasSubstr("--grammar"));
  EXPECT_NE(chat("", {"--grammar", "root ::= \"a\"", "--ignore-eos"}, kPlain).exit_code, 0);
}

TEST(Chat, ThoughtsAreClosedWhereTheirBudgetEnds) {
  // The template has begun them.
  const std::string begun =
      "{{ messages[0]['content'] }}{% if add_generation_prompt %}<think>{% endif %}";
  const auto answer = [&](const std::string& budget) {
    const ProcessResult result =
        chat("The old house\n",
             {"--chat-template", begun, "--reasoning-budget", budget, "-n", "40"}, kPlain);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  // Marks stand around thoughts where there are no colors.
  EXPECT_LT(answer("3").find("[/thinking]"), 60U) << answer("3");
  EXPECT_GT(answer("-1").find("[/thinking]"), 60U) << answer("-1");
  EXPECT_NE(chat("", {"--reasoning-budget", "-2"}, kPlain).exit_code, 0);
}

TEST(Chat, WrongCommandsAreToldInOneLine) {
  for (const auto& [line, told] : std::vector<std::pair<std::string, std::string>>{
           {"/nothing", "there is no command \"/nothing\"; /help lists them"},
           {"/s", "there is no command \"/s\""},
           {"/regenerate", "there is no answer yet"},
           {"/stats", "there is no answer yet"},
           {"/seed x", "--seed is \"x\"; give a whole number"},
           {"/save", "/save needs a file"},
           {"/clear x", "/clear takes nothing"},
           {"/load /nowhere/chat.json", "/nowhere/chat.json"},
           {"/load /dev/null", "\"/dev/null\" is no conversation: it is not JSON"},
           {"/save /nowhere/chat.json", "\"/nowhere/chat.json\" cannot be written"},
           {"\xFF", "the message is not UTF-8 at byte 0"}}) {
    const ProcessResult result = chat(line + "\n", {}, kPlain);
    EXPECT_THAT(result.err, HasSubstr(told)) << line;
    EXPECT_EQ(n_lines(result.err), 1U) << result.err;
    EXPECT_THAT(result.out, IsEmpty());
  }
}

TEST(Chat, WrongOptionsAreToldBeforeAnythingIsLoaded) {
  for (const auto& [more, told] : std::vector<std::pair<std::vector<std::string>, std::string>>{
           {{"--color", "green"}, "--color is \"green\"; give on, off or auto"},
           {{"--reasoning", "much"}, "--reasoning is \"much\"; give on, off or auto"},
           {{"--reasoning-format", "x"}, "--reasoning-format is \"x\""},
           {{"-r", ""}, "--reverse-prompt is empty"},
           {{"--chat-template", "{% if %}"}, "the chat template is not one that"},
           {{"--chat-template", "x", "--chat-template-file", "y"}, "both given"},
           {{"-sys", "a", "-sysf", "b"}, "both given"},
           {{"-sys", "\xFF"}, "the system prompt is not UTF-8"},
           {{"-p", "a", "-f", "b"}, "-f"},
           {{"--temp", "-1"}, "--temp is -1"}}) {
    const ProcessResult result = chat("", more, kPlain);
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_THAT(result.err, HasSubstr(told));
    EXPECT_EQ(n_lines(result.err), 1U) << result.err;
  }
}

TEST(Chat, TheGivenTemplateIsUsed) {
  const char* source = "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}";
  const ProcessResult given = chat("The old house\n", {"--chat-template", source}, kPlain);
  EXPECT_EQ(given.exit_code, 0) << given.err;
  EXPECT_NE(given.out, chat("The old house\n", {}, kPlain).out);
}

TEST(Chat, AFullContextIsTold) {
  const ProcessResult result =
      chat("The old house\n", {"-c", "64", "-n", "-1", "--ignore-eos"}, kPlain);
  EXPECT_THAT(result.err, HasSubstr("the context of 64 tokens is full; /clear"));
}

}  // namespace
}  // namespace gumbelspec::testing
