#include "apps/server/api/reasoning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/server/api/fake_model.h"

namespace gumbelspec::server::testing {
namespace {

using ::testing::HasSubstr;

// Tokens: 1 opens, 2 3 closes, 4 is half a character; the rest are words.
constexpr std::size_t kVocabulary = 40;
using Tokens = std::vector<TokenId>;

Tokens tokens(std::initializer_list<int> ids) {
  Tokens out;
  for (const int id : ids) out.push_back(TokenId{id});
  return out;
}

ReasoningRule rule(std::int64_t budget) {
  ReasoningRule out;
  out.start = tokens({1});
  out.ends = {tokens({2, 3})};
  out.closing = tokens({7, 2, 3});
  out.budget = budget;
  out.n_vocab = kVocabulary;
  out.ends_character = [](TokenId token) { return token != TokenId{4}; };
  return out;
}

std::vector<int> allowed(TokenConstraint& matcher, const Tokens& generated,
                         const Tokens& path = {}) {
  const auto mask = matcher.allowed(generated, path);
  std::vector<int> out;
  for (std::size_t i = 0; i < kVocabulary; ++i) {
    if ((mask[i / 32] >> (i % 32) & 1U) != 0) out.push_back(static_cast<int>(i));
  }
  return out;
}

// Allows token 9 only, and keeps what it was asked about.
class Nine final : public Grammar {
 public:
  struct Matcher final : TokenConstraint {
    explicit Matcher(std::shared_ptr<Tokens> asked) : asked_(std::move(asked)) {}
    std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                           std::span<const TokenId> path) override {
      asked_->assign(generated.begin(), generated.end());
      asked_->insert(asked_->end(), path.begin(), path.end());
      return mask_;
    }
    std::shared_ptr<Tokens> asked_;
    std::vector<std::uint32_t> mask_ = {1U << 9U, 0U};
  };
  [[nodiscard]] std::unique_ptr<TokenConstraint> matcher() const override {
    return std::make_unique<Matcher>(asked);
  }
  std::shared_ptr<Tokens> asked = std::make_shared<Tokens>();
};

TEST(Reasoning, IsClosedAtTheEndOfItsBudget) {
  const auto matcher = with_reasoning(rule(2), nullptr)->matcher();
  EXPECT_EQ(allowed(*matcher, {}).size(), kVocabulary);
  EXPECT_EQ(allowed(*matcher, tokens({5, 1})).size(), kVocabulary);
  EXPECT_EQ(allowed(*matcher, tokens({5, 1, 6})).size(), kVocabulary);
  EXPECT_EQ(allowed(*matcher, tokens({5, 1, 6, 6})), std::vector<int>{7});
  EXPECT_EQ(allowed(*matcher, tokens({5, 1, 6, 6, 7})), std::vector<int>{2});
  EXPECT_EQ(allowed(*matcher, tokens({5, 1, 6, 6, 7, 2})), std::vector<int>{3});
  EXPECT_EQ(allowed(*matcher, tokens({5, 1, 6, 6, 7, 2, 3})).size(), kVocabulary);
}

TEST(Reasoning, MayCloseItself) {
  const auto matcher = with_reasoning(rule(3), nullptr)->matcher();
  EXPECT_EQ(allowed(*matcher, tokens({1, 2, 3, 6, 6, 6, 6})).size(), kVocabulary);
  EXPECT_EQ(allowed(*matcher, tokens({1, 2, 3, 1, 6, 6, 6})), std::vector<int>{7})
      << "another one has a budget of its own";
}

TEST(Reasoning, EndsWithAWholeCharacter) {
  const auto matcher = with_reasoning(rule(1), nullptr)->matcher();
  EXPECT_EQ(allowed(*matcher, tokens({1, 4})).size(), kVocabulary);
  EXPECT_EQ(allowed(*matcher, tokens({1, 4, 6})), std::vector<int>{7});
}

TEST(Reasoning, MayHaveNoBudgetAtAllAndBeginInThePrompt) {
  ReasoningRule begun = rule(0);
  begun.prompt_end = tokens({8, 1});
  EXPECT_EQ(allowed(*with_reasoning(begun, nullptr)->matcher(), {}), std::vector<int>{7});
  begun.budget = -1;
  EXPECT_EQ(allowed(*with_reasoning(begun, nullptr)->matcher(), {}).size(), kVocabulary);
}

TEST(Reasoning, IsTheSameAlongAPath) {
  const Tokens text = tokens({5, 1, 6, 6, 7, 2, 3, 6});
  const auto asked = with_reasoning(rule(2), nullptr)->matcher();
  for (std::size_t n = 0; n <= text.size(); ++n) {
    for (std::size_t k = 0; k <= n; ++k) {
      const Tokens generated(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(k));
      const Tokens path(text.begin() + static_cast<std::ptrdiff_t>(k),
                        text.begin() + static_cast<std::ptrdiff_t>(n));
      const Tokens all(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(n));
      const auto fresh = with_reasoning(rule(2), nullptr)->matcher();
      EXPECT_EQ(allowed(*asked, generated, path), allowed(*fresh, all)) << n << " " << k;
    }
  }
}

TEST(Reasoning, IsHiddenFromALazyGrammar) {
  const auto nine = std::make_shared<Nine>();
  ReasoningRule hidden = rule(-1);
  hidden.hides = true;
  const auto matcher = with_reasoning(hidden, nine)->matcher();
  EXPECT_EQ(allowed(*matcher, tokens({5})), std::vector<int>{9});
  EXPECT_EQ(allowed(*matcher, tokens({5, 1, 6})).size(), kVocabulary);
  EXPECT_EQ(allowed(*matcher, tokens({5, 1, 6, 2, 3}), tokens({8})), std::vector<int>{9});
  EXPECT_EQ(*nine->asked, tokens({5, 1, 2, 3, 8})) << "the end may be a trigger";
}

TEST(Reasoning, IsSeenByAGrammarOfAllOfTheText) {
  const auto nine = std::make_shared<Nine>();
  const auto matcher = with_reasoning(rule(1), nine)->matcher();
  EXPECT_EQ(allowed(*matcher, tokens({1})), std::vector<int>{9});
  EXPECT_EQ(allowed(*matcher, tokens({1, 6})), std::vector<int>{9}) << "it does not allow 7";
}

TEST(Reasoning, KnowsWholeCharacters) {
  EXPECT_TRUE(ends_with_character(""));
  EXPECT_TRUE(ends_with_character("a"));
  EXPECT_TRUE(ends_with_character("\xE2\x82\xAC"));
  EXPECT_FALSE(ends_with_character("\xE2\x82"));
  EXPECT_FALSE(ends_with_character("\x82")) << "whose it is shows only before it";
}

TEST(Thinking, IsAsTheServerSaysUnlessTheRequestDoes) {
  ApiModel model = fake_model();
  model.chat_template = std::make_shared<ChatTemplate>(
      "{{ enable_thinking }}{% for m in messages %}{{ m.content }}{% endfor %}", "", "");
  const auto begins_with = [&](const std::string& begin, const json& more) {
    json body{{"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
    body.update(more);
    EXPECT_EQ(chat_prompt(body.dump(), model).substr(0, begin.size()), begin) << body;
  };
  const json off = {{"chat_template_kwargs", {{"enable_thinking", false}}}};
  const json on = {{"chat_template_kwargs", {{"enable_thinking", true}}}};
  begins_with("True", json::object());
  begins_with("False", off);
  begins_with("False", {{"reasoning_effort", "none"}});
  model.thinks = false;
  begins_with("False", json::object());
  begins_with("True", on);
  model.thinks = true;
  begins_with("True", json::object());
  begins_with("False", off);
  begins_with("False", {{"reasoning_effort", "none"}});
}

TEST(Thinking, IsApartFromTheContent) {
  const auto ask = [](Conversation& c, json more) {
    c.model.chat_template = std::make_shared<ChatTemplate>(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n"
        "{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n{% endif %}"
        "{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n"
        "{% if enable_thinking is false %}<think>\n\n</think>\n{% endif %}{% endif %}",
        "", "");
    json body{{"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
    body.update(more);
    c.ask_chat(body);
  };
  constexpr const char* kText = "<think>\nHm.\n</think>\nHello";
  Conversation apart;
  ask(apart, json::object());
  apart.say(kText);
  apart.end();
  EXPECT_EQ(apart.body()["choices"][0]["message"]["content"], "Hello");
  EXPECT_THAT(apart.body()["choices"][0]["message"]["reasoning_content"].get<std::string>(),
              HasSubstr("Hm."));
  Conversation whole;
  ask(whole, {{"reasoning_format", "none"}});
  whole.say(kText);
  whole.end();
  EXPECT_EQ(whole.body()["choices"][0]["message"]["content"], kText);
  Conversation streamed;
  ask(streamed, {{"stream", true}});
  for (const char c : std::string(kText)) streamed.say(std::string(1, c));
  streamed.end();
  std::string reasoning;
  std::string content;
  for (std::size_t i = 0; i + 1 < streamed.events.size(); ++i) {
    const json delta = streamed.event(i)["choices"][0]["delta"];
    reasoning += delta.value("reasoning_content", "");
    if (delta.contains("content") && delta["content"].is_string()) {
      content += delta["content"].get<std::string>();
    }
  }
  EXPECT_EQ(content, "Hello");
  EXPECT_THAT(reasoning, HasSubstr("Hm."));
  Conversation budget;
  ask(budget, {{"reasoning_budget_tokens", 3}});
  EXPECT_NE(budget.jobs[0].options.constraint, nullptr);
  EXPECT_EQ(whole.jobs[0].options.constraint, nullptr);
}

}  // namespace
}  // namespace gumbelspec::server::testing
