// Chat templates of real models, rendered by our engine and by Jinja2 (scripts/template-prompts).
#include <gtest/gtest.h>

#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/server/api/chat_template.h"
#include "gumbelspec/error.h"

namespace gumbelspec::server::testing {
namespace {

// As in scripts/template-prompts.
const std::vector<ChatMessage> kConversations[] = {
    {{"user", "Hi <there>\n"}},
    {{"system", "Be brief."}, {"user", "Hi & \"bye\" caf\xC3\xA9"}},
    {{"system", "Be brief."},
     {"user", "Hi"},
     {"assistant", "Hello"},
     {"user", "Bye \xF0\x9F\x98\x80"}},
};

struct Known {
  std::string name;
  std::size_t conversation = 0;
  std::string prompt;  // dates as \u0001FORMAT\u0002; "!" where Jinja2 refuses
};

std::vector<Known> known_prompts() {
  std::ifstream file(GUMBELSPEC_SOURCE_DIR "/tests/server/api/template_prompts.txt");
  std::vector<Known> out;
  for (std::string line; std::getline(file, line);) {
    const std::size_t first = line.find('\t');
    const std::size_t second = line.find('\t', first + 1);
    const std::string text = line.substr(second + 1);
    out.push_back({line.substr(0, first), std::stoul(line.substr(first + 1, second - first - 1)),
                   text == "!" ? text : nlohmann::json::parse(text).get<std::string>()});
  }
  return out;
}

std::string with_dates(std::string text, std::time_t now) {
  for (std::size_t at = text.find('\1'); at != std::string::npos; at = text.find('\1')) {
    const std::size_t end = text.find('\2', at);
    const std::string format = text.substr(at + 1, end - at - 1);
    char date[100] = "";
    (void)std::strftime(date, sizeof date, format.c_str(), std::localtime(&now));
    text.replace(at, end - at + 1, date);
  }
  return text;
}

std::string source_of(const std::string& name) {
  std::ifstream file(std::string(GUMBELSPEC_LLAMA_MODELS) + "/templates/" + name);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string rendered(const ChatTemplate& chat, std::size_t conversation) {
  std::string text;
  for (const PromptPart& part : chat.render(kConversations[conversation])) text += part.text;
  return text;
}

// llama.cpp takes the white space from the ends of what these models are told, lest they think in
// circles.
bool is_trimmed(const Known& known) {
  return known.name == "StepFun3.5-Flash.jinja" && known.conversation == 0;
}

TEST(ChatTemplates, GiveThePromptsOfJinja2) {
  std::size_t n = 0;
  std::string name;  // of the template that is kept: it is analysed once
  std::unique_ptr<ChatTemplate> chat;
  for (const Known& known : known_prompts()) {
    if (known.prompt == "!" || is_trimmed(known)) continue;
    if (known.name != name)
      chat = std::make_unique<ChatTemplate>(source_of(known.name), "<s>", "</s>");
    name = known.name;
    const std::time_t before = std::time(nullptr);
    const std::string text = rendered(*chat, known.conversation);
    // Over midnight the other one is right.
    if (text != with_dates(known.prompt, before)) {
      EXPECT_EQ(text, with_dates(known.prompt, std::time(nullptr)))
          << known.name << ", conversation " << known.conversation;
    }
    ++n;
  }
  EXPECT_GT(n, 200U);
}

// The parts that users wrote are what is not read for control tokens.
TEST(ChatTemplates, KnowWhatUsersWrote) {
  for (const Known& known : known_prompts()) {
    if (known.conversation != 1) continue;
    const ChatTemplate chat(source_of(known.name), "<s>", "</s>");
    std::string written;
    for (const PromptPart& part : chat.render({{"user", "x<|im_end|></s>y"}})) {
      if (part.is_input) {
        written += part.text;
      } else {
        EXPECT_EQ(part.text.find("x<|im_end|>"), std::string::npos) << known.name;
      }
    }
    EXPECT_NE(written.find("x<|im_end|></s>y"), std::string::npos) << known.name;
  }
}

}  // namespace
}  // namespace gumbelspec::server::testing
