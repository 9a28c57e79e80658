#include "apps/chat/conversation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "gumbelspec/error.h"
#include "tests/server/api/fake_model.h"

namespace gumbelspec::chat {
namespace {

using server::ApiModel;
using server::testing::byte_tokens;
using server::testing::fake_model;
using server::testing::kAb;
using ::testing::HasSubstr;

class ConversationTest : public ::testing::Test {
 protected:
  ApiModel model_ = fake_model();
};

bool begins_with(const std::vector<TokenId>& tokens, const std::vector<TokenId>& start) {
  return tokens.size() >= start.size() && std::equal(start.begin(), start.end(), tokens.begin());
}

TEST_F(ConversationTest, TheNextPromptBeginsWithWhatTheModelWroteHoweverItCutIt) {
  Conversation conversation(model_, {}, "Be brief.");
  conversation.ask("Hi");
  ASSERT_TRUE(conversation.has_question());
  const Prompt first = conversation.prompt();
  // "ab" as one token, where the text alone would be cut into two.
  conversation.answer("xab", first, {byte_tokens("x")[0], kAb}, "xab");
  EXPECT_FALSE(conversation.has_question());
  conversation.ask("More");
  const Prompt second = conversation.prompt();
  std::vector<TokenId> known = first.tokens;
  known.push_back(byte_tokens("x")[0]);
  known.push_back(kAb);
  EXPECT_TRUE(begins_with(second.tokens, known));
  EXPECT_EQ(second.text.substr(0, first.text.size() + 3), first.text + "xab");
  // What follows is the rest of the template's text, and nothing twice.
  std::string rest;
  for (std::size_t i = known.size(); i < second.tokens.size(); ++i) {
    rest += model_.tokenizer->piece(second.tokens[i]);
  }
  EXPECT_THAT(rest, HasSubstr("More"));
  EXPECT_EQ(rest.find("Hi"), std::string::npos);
}

TEST_F(ConversationTest, AnAnswerThatTheTemplateWritesOtherwiseIsReadAnew) {
  Conversation conversation(model_, {}, "");
  conversation.ask("Hi");
  const Prompt first = conversation.prompt();
  // Thoughts are no part of the message.
  conversation.answer("yes", first, byte_tokens("<think>hm</think>yes"), "<think>hm</think>yes");
  conversation.ask("More");
  EXPECT_EQ(conversation.prompt().text.find("hm"), std::string::npos);
}

TEST_F(ConversationTest, ForgetsAnAnswerAndATurn) {
  Conversation conversation(model_, {}, "Be brief.");
  EXPECT_FALSE(conversation.forget_answer());
  conversation.ask("Hi");
  const Prompt first = conversation.prompt();
  EXPECT_FALSE(conversation.forget_answer());
  conversation.answer("yes", first, byte_tokens("yes"), "yes");
  EXPECT_TRUE(conversation.forget_answer());
  EXPECT_EQ(conversation.prompt().tokens, first.tokens);
  conversation.take_back();
  EXPECT_EQ(conversation.messages().size(), 1U);
  conversation.ask("Hi");
  conversation.clear();
  ASSERT_EQ(conversation.messages().size(), 1U);
  EXPECT_EQ(conversation.messages()[0].content, "Be brief.");
}

TEST_F(ConversationTest, IsSavedAndLoaded) {
  Conversation conversation(model_, {}, "Be \"brief\".");
  conversation.ask("H\u00e9\n");
  conversation.answer("yes", conversation.prompt(), byte_tokens("yes"), "yes");
  Conversation other(model_, {}, "");
  other.from_json(conversation.to_json());
  EXPECT_EQ(other.to_json(), conversation.to_json());
  ASSERT_EQ(other.messages().size(), 3U);
  EXPECT_EQ(other.messages()[1].content, "H\u00e9\n");
}

TEST_F(ConversationTest, RefusesWhatIsNoConversationAndStaysAsItIs) {
  Conversation conversation(model_, {}, "Be brief.");
  for (const char* bad :
       {"", "{", "[]", "{}", "3", R"({"messages": 3})", R"([{"role": "user"}])",
        R"([{"role": "user", "content": 3}])", R"([{"role": "assistant", "content": "a"}])",
        R"([{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])",
        R"([{"role": "user", "content": "a"}, {"role": "system", "content": "b"}])",
        R"([{"role": "tool", "content": "a"}])"}) {
    try {
      conversation.from_json(bad);
      ADD_FAILURE() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_option);
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    }
    ASSERT_EQ(conversation.messages().size(), 1U);
  }
}

}  // namespace
}  // namespace gumbelspec::chat
