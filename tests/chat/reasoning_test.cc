#include "apps/chat/reasoning.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace gumbelspec::chat {
namespace {

const ReasoningTags kTags = {"<think>", "</think>"};

struct Told {
  std::string thoughts;
  std::string answer;
};

// The text in pieces of n bytes.
Told tell(std::string_view text, std::size_t n, std::string_view prompt_end = "") {
  ReasoningSplitter splitter(kTags, prompt_end);
  Told told;
  const auto take = [&](const std::vector<AnswerPart>& parts) {
    for (const AnswerPart& part : parts)
      (part.is_thought ? told.thoughts : told.answer) += part.text;
  };
  for (std::size_t at = 0; at < text.size(); at += n) take(splitter.append(text.substr(at, n)));
  take(splitter.finish());
  return told;
}

struct Case {
  std::string name;
  std::string_view text;
  std::string_view prompt_end;
  std::string thoughts;
  std::string answer;
};

class Reasoning : public ::testing::TestWithParam<Case> {};

TEST_P(Reasoning, IsToldFromTheAnswerHoweverTheTextComes) {
  const Case& given = GetParam();
  for (std::size_t n = 1; n <= given.text.size() + 1; ++n) {
    const Told told = tell(given.text, n, given.prompt_end);
    EXPECT_EQ(told.thoughts, given.thoughts) << n;
    EXPECT_EQ(told.answer, given.answer) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Answers, Reasoning,
    ::testing::Values(
        Case{"None", "Hello <think> there", "user:", "", "Hello <think> there"},
        Case{"Begun", "<think>\nhm </thin\n</think>\n\nYes.", "", "hm </thin\n", "Yes."},
        Case{"BegunByThePrompt", "hm\n</think>\n\nYes.", "assistant\n<think>\n", "hm\n", "Yes."},
        Case{"NeverEnded", "<think>hm </th", "", "hm </th", ""},
        Case{"Empty", "<think>\n\n</think>\n\nYes.", "", "", "Yes."},
        Case{"BlanksFirst", " \n<think>a</think>b", "", "a", "b"},
        Case{"BlanksOfAnAnswer", "  indented", "", "", "  indented"},
        Case{"BeginningOfATag", "<thi", "", "", "<thi"},
        Case{"AnotherTag", "<thought>x</thought>", "", "", "<thought>x</thought>"},
        Case{"TwiceIsText", "<think>a</think>b<think>c</think>", "", "a", "b<think>c</think>"}),
    [](const auto& test) { return test.param.name; });

TEST(ReasoningTags, AreThoseOfTheTemplate) {
  EXPECT_EQ(reasoning_tags("{{ '[THINK]' }}..{{ '[/THINK]' }}").open, "[THINK]");
  EXPECT_EQ(reasoning_tags("split('</think>')").close, "</think>");
  EXPECT_EQ(reasoning_tags("nothing").open, "<think>");
}

}  // namespace
}  // namespace gumbelspec::chat
