// Messages to prompts, with templates of real models.
#include "apps/server/api/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gumbelspec/error.h"

namespace gumbelspec::server::testing {
namespace {

using ::testing::HasSubstr;

const std::vector<ChatMessage> kTalk = {
    {"system", "Be brief."}, {"user", "Hi"}, {"assistant", "Hello"}, {"user", "Bye"}};

std::string text_of(const ChatTemplate& chat, const std::vector<ChatMessage>& messages,
                    const ChatOptions& options = {}) {
  std::string text;
  for (const PromptPart& part : chat.render(messages, options)) text += part.text;
  return text;
}

std::string model_template(const std::string& name) {
  std::ifstream file(std::string(GUMBELSPEC_LLAMA_MODELS) + "/templates/" + name);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST(ChatTemplate, IsChatMlWhereTheVocabularyHasIt) {
  const ChatTemplate chat("", "", "", true);
  EXPECT_STREQ(chat.origin(), "chatml");
  EXPECT_EQ(text_of(chat, kTalk),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n"
            "<|im_start|>assistant\nHello<|im_end|>\n<|im_start|>user\nBye<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(ChatTemplate, IsLinesOfTextWhereThereIsNothingElse) {
  const ChatTemplate chat("", "", "");
  EXPECT_STREQ(chat.origin(), "plain");
  EXPECT_EQ(text_of(chat, kTalk),
            "System: Be brief.\nUser: Hi\nAssistant: Hello\nUser: Bye\nAssistant:");
}

TEST(ChatTemplate, CanLeaveTheAnswersBeginningOut) {
  const ChatTemplate chat("", "", "");
  EXPECT_EQ(text_of(chat, {{"user", "Hi"}}, {.adds_generation_prompt = false}), "User: Hi\n");
}

TEST(ChatTemplate, KeepsWhatUsersWroteApart) {
  const ChatTemplate chat("", "", "", true);
  const auto parts = chat.render({{"user", "<|im_end|>"}});
  std::string input;
  std::string own;
  for (const PromptPart& part : parts) (part.is_input ? input : own) += part.text;
  EXPECT_EQ(input, "user<|im_end|>");
  EXPECT_EQ(own, "<|im_start|>\n<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, GivesTheTemplateItsVariables) {
  const ChatTemplate chat("{{ bos_token }}|{{ eos_token }}|{{ mood }}|{{ enable_thinking }}", "<s>",
                          "</s>");
  EXPECT_EQ(text_of(chat, {{"user", "x"}}, {.extra = R"({"mood": "good"})"}), "<s>|</s>|good|True");
  EXPECT_THAT(text_of(chat, {{"user", "x"}}, {.extra = R"({"enable_thinking": false})"}),
              HasSubstr("|False"));
}

// Llama 3 would say July 2024.
TEST(ChatTemplate, TellsTheTemplateWhatDayItIs) {
  const ChatTemplate chat("{{ date_string }}|{{ datetime }}", "", "");
  const auto said = [](std::time_t now) {
    char text[64];
    const std::size_t n =
        std::strftime(text, sizeof text, "%d %b %Y|%b %d %Y", std::localtime(&now));
    return std::string(text, n);
  };
  const std::time_t before = std::time(nullptr);
  const std::string text = text_of(chat, {{"user", "x"}});
  EXPECT_TRUE(text == said(before) || text == said(std::time(nullptr))) << text;
  EXPECT_EQ(text_of(chat, {{"user", "x"}}, {.extra = R"({"date_string": "a", "datetime": "b"})"}),
            "a|b");
}

TEST(ChatTemplate, TellsTheTemplatesOwnComplaint) {
  const ChatTemplate chat("{{ raise_exception('no users here') }}", "", "");
  try {
    (void)chat.render({{"user", "x"}});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_prompt);
    EXPECT_THAT(error.what(), HasSubstr("no users here"));
  }
}

TEST(ChatTemplate, IsRefusedOnlyWhereItIsUsedIfItCannotBeRead) {
  for (const char* source : {"{% for %}", "{% for m in messages %}{{ m.content }", "{{ 1 +"}) {
    const ChatTemplate chat(source, "", "");
    EXPECT_STREQ(chat.origin(), "unreadable");
    EXPECT_NE(chat.why_unreadable(), "");
    try {
      (void)chat.render({{"user", "x"}});
      ADD_FAILURE() << source;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_prompt);
      EXPECT_THAT(error.what(), HasSubstr(chat.why_unreadable()));
      EXPECT_THAT(error.what(), HasSubstr("/v1/completions"));
      EXPECT_THAT(error.what(), ::testing::Not(HasSubstr("--")));
    }
  }
  EXPECT_EQ(ChatTemplate("", "", "").why_unreadable(), "");
}

TEST(ChatTemplate, PutsTheSystemMessageBeforeTheUsersWhereATemplateHasNoRoleForIt) {
  const ChatTemplate chat(
      "{% for m in messages %}{% if m.role == 'user' %}[{{ m.content }}]{% endif %}{% endfor %}",
      "", "");
  EXPECT_EQ(text_of(chat, kTalk), "[Be brief.\nHi][Bye]");
}

TEST(ChatTemplate, RunsTheTemplateOfQwen) {
  const std::string source = model_template("Qwen-Qwen2.5-7B-Instruct.jinja");
  const ChatTemplate chat(source, "", "<|im_end|>");
  EXPECT_EQ(text_of(chat, {{"system", "S"}, {"user", "U"}}),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
            "<|im_start|>assistant\n");
}

TEST(ChatTemplate, RunsTheTemplateOfGemma) {
  const std::string source = model_template("google-gemma-2-2b-it.jinja");
  const ChatTemplate chat(source, "<bos>", "<eos>");
  EXPECT_EQ(text_of(chat, {{"system", "S"}, {"user", "U"}}),
            "<bos><start_of_turn>user\nS\nU<end_of_turn>\n<start_of_turn>model\n")
      << "it has no system role";
}

TEST(ChatTemplate, RunsAllTemplatesThatLlamaCppHas) {
  const std::filesystem::path folder = std::string(GUMBELSPEC_LLAMA_MODELS) + "/templates";
  std::size_t n = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".jinja") continue;
    const std::string name = entry.path().filename().string();
    const ChatTemplate chat(model_template(name), "<s>", "</s>");
    EXPECT_THAT(text_of(chat, {{"user", "MARK"}}), HasSubstr("MARK")) << name;
    ++n;
  }
  EXPECT_GT(n, 20U);
}

}  // namespace
}  // namespace gumbelspec::server::testing
