// Tool calls and thinking in the forms of many models' templates: what llama.cpp's tests
// (tests/test-chat.cpp) say an answer is, and that our grammars take it and nothing else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/server/api/chat_format.h"
#include "apps/server/api/chat_template.h"
#include "gumbelspec/llama_grammar.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::server::testing {
namespace {

using llama_common::ToolChoice;
using nlohmann::json;

constexpr const char* kMessages = R"([{"role": "user", "content": "Hey there!"}])";
constexpr const char* kTools =
    R"([{"type": "function", "function": {"name": "special_function", "description": "I'm special",
    "parameters": {"type": "object", "properties": {"arg1": {"type": "integer", "description":
    "The arg."}}, "required": ["arg1"]}}}])";

std::string source_of(const std::string& name) {
  std::ifstream file(std::string(GUMBELSPEC_LLAMA_MODELS) + "/templates/" + name + ".jinja");
  return {std::istreambuf_iterator<char>(file), {}};
}

struct Sample {
  std::string name;  // of the template
  std::string text;
  std::string reasoning = {};
  std::string content = {};
  bool thinks = true;
};

// Each calls special_function with arg1 1.
const std::vector<Sample> kSamples = {
    {"NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use",
     "Hello, world!\nWhat's up?<tool_call>\n{\"name\": \"special_function\", \"arguments\": "
     "{\"arg1\": 1}}</tool_call>",
     "", "Hello, world!\nWhat's up?"},
    {"mistralai-Mistral-Nemo-Instruct-2407",
     "[TOOL_CALLS][{\"name\": \"special_function\", \"arguments\": {\"arg1\": 1}, \"id\": "
     "\"123456789\"}]"},
    {"meetkai-functionary-medium-v3.1", "<function=special_function>{\"arg1\": 1}</function>"},
    {"Qwen3-Coder",
     "<tool_call>\n<function=special_function>\n<parameter=arg1>\n1\n</parameter>\n</function>\n"
     "</tool_call>"},
    {"GLM-4.6",
     "<tool_call>special_function\n<arg_key>arg1</arg_key>\n<arg_value>1</arg_value>\n"
     "</tool_call>"},
    {"GLM-4.7-Flash",
     "<tool_call>special_function<arg_key>arg1</arg_key><arg_value>1</arg_value></tool_call>", "",
     "", false},
    {"openai-gpt-oss-120b",
     " to=functions.special_function<|channel|>analysis<|message|>{\"arg1\": 1}"},
    {"openai-gpt-oss-120b",
     "<|channel|>analysis to=functions.special_function<|message|>{\"arg1\": 1}"},
    {"LFM2.5-8B-A1B",
     "<think>I'm\nthinking</think><|tool_call_start|>[special_function(arg1=1)]<|tool_call_end|>",
     "I'm\nthinking"},
    {"moonshotai-Kimi-K2",
     "<|tool_calls_section_begin|><|tool_call_begin|>functions.special_function:0"
     "<|tool_call_argument_begin|>{\"arg1\": 1}<|tool_call_end|><|tool_calls_section_end|>"},
    {"MiniMax-M2",
     "\n</think>\n\n<minimax:tool_call>\n<invoke name=\"special_function\">\n<parameter "
     "name=\"arg1\">1</parameter>\n</invoke>\n</minimax:tool_call>"},
};

ChatRequest request_of(const Sample& sample, ToolChoice choice) {
  ChatRequest request;
  request.messages = kMessages;
  request.tools = kTools;
  request.tool_choice = choice;
  request.reasoning_format = "auto";
  request.enable_thinking = sample.thinks;
  return request;
}

// A vocabulary in which every byte is a token.
class Reader {
 public:
  explicit Reader(const ChatPrompt& prompt) {
    GrammarTrigger trigger;
    for (const auto& t : prompt.triggers) {
      trigger.inner.push_back({t.text, t.grammar_begins, t.at_begin});
    }
    if (!prompt.is_lazy) trigger.begun = prompt.generation_prompt;
    matcher_ = compile_grammar(tiny(), prompt.grammar, trigger)->matcher();
  }

  // Bytes of the text that the grammar takes; one more where the text may end behind them.
  std::size_t n_taken(const std::string& text) {
    std::vector<TokenId> tokens;
    for (const char c : text) {
      const TokenId next = token_id(3U + static_cast<unsigned char>(c));
      if (!is_allowed(tokens, next)) return tokens.size();
      tokens.push_back(next);
    }
    return tokens.size() + (is_allowed(tokens, token_id(2)) ? 1 : 0);
  }

 private:
  bool is_allowed(const std::vector<TokenId>& tokens, TokenId next) {
    const auto mask = matcher_->allowed(tokens, {});
    return (mask[index(next) / 32] >> (index(next) % 32) & 1U) != 0;
  }
  static LlamaModel& tiny() {
    static const auto kModel = gumbelspec::testing::load_tiny({});
    return *kModel;
  }
  std::unique_ptr<TokenConstraint> matcher_;
};

class ToolFormat : public ::testing::TestWithParam<Sample> {};

TEST_P(ToolFormat, IsReadAsLlamaCppsTestsSay) {
  const Sample& sample = GetParam();
  const ChatTemplate chat(source_of(sample.name), "", "");
  const ChatPrompt prompt = chat.apply(request_of(sample, ToolChoice::automatic));
  EXPECT_FALSE(prompt.format->is_plain());
  const Message message = prompt.format->read(sample.text, false);
  EXPECT_EQ(message.content, sample.content);
  EXPECT_EQ(message.reasoning, sample.reasoning);
  ASSERT_EQ(message.tool_calls.size(), 1U);
  EXPECT_EQ(message.tool_calls[0].name, "special_function");
  EXPECT_EQ(json::parse(message.tool_calls[0].arguments), json({{"arg1", 1}}));
}

// As a stream, cut anywhere: the pieces add up to the message.
TEST_P(ToolFormat, ComesInPiecesThatAddUp) {
  const Sample& sample = GetParam();
  const ChatTemplate chat(source_of(sample.name), "", "");
  auto format = std::make_shared<ChatFormat>();
  format->format = chat.apply(request_of(sample, ToolChoice::automatic)).format;
  ChatMessageStream stream(format, "id", [] { return 0.0; });  // time for every piece
  Message sum;
  const auto take = [&](const std::vector<MessageDelta>& deltas) {
    for (const MessageDelta& delta : deltas) {
      sum.content += delta.content;
      sum.reasoning += delta.reasoning;
      if (!delta.tool) continue;
      if (sum.tool_calls.size() <= *delta.tool) sum.tool_calls.resize(*delta.tool + 1);
      ToolCall& call = sum.tool_calls[*delta.tool];
      if (!delta.call.name.empty()) {
        EXPECT_EQ(call.name, "") << "the name comes once";
        EXPECT_NE(delta.call.id, "");
        call.name = delta.call.name;
      }
      call.arguments += delta.call.arguments;
    }
  };
  for (std::size_t at = 0; at < sample.text.size(); at += 3)
    take(stream.add(sample.text.substr(at, 3)));
  take(stream.finish(""));
  EXPECT_EQ(sum.content, sample.content);
  EXPECT_EQ(sum.reasoning, sample.reasoning);
  ASSERT_EQ(sum.tool_calls.size(), 1U);
  EXPECT_EQ(sum.tool_calls[0].name, "special_function");
  EXPECT_EQ(json::parse(sum.tool_calls[0].arguments), json({{"arg1", 1}}));
}

// llama.cpp's parsers begin from the front each time: a long text would be read as often as it has
// tokens. Here a reading takes as long as a piece.
TEST_P(ToolFormat, IsReadAgainOnlyWhereThatTakesASmallPartOfTheTime) {
  const Sample& sample = GetParam();
  const ChatTemplate chat(source_of(sample.name), "", "");
  auto format = std::make_shared<ChatFormat>();
  format->format = chat.apply(request_of(sample, ToolChoice::automatic)).format;
  double now = 0.0;
  std::size_t n_looks = 0;
  ChatMessageStream stream(format, "id", [&] {
    ++n_looks;
    return now += 0.001;
  });
  for (const char c : sample.text) (void)stream.add(std::string(1, c));
  // Each reading looks at the clock twice more than a piece that is kept for later.
  const std::size_t n_readings = (n_looks - sample.text.size()) / 2;
  EXPECT_GE(n_readings, 1 + sample.text.size() / 60);
  EXPECT_LE(n_readings, 1 + sample.text.size() / 45);
  (void)stream.finish("");
  EXPECT_EQ(stream.message().tool_calls.size(), 1U);
}

// Control: with a word for the number it goes so far and no further.
TEST_P(ToolFormat, HasAGrammarThatTakesItAndNothingElse) {
  const Sample& sample = GetParam();
  const ChatTemplate chat(source_of(sample.name), "", "");
  const ChatPrompt prompt = chat.apply(request_of(sample, ToolChoice::automatic));
  ASSERT_NE(prompt.grammar, "");
  ASSERT_TRUE(prompt.is_lazy);
  Reader reader(prompt);
  EXPECT_EQ(reader.n_taken(sample.text), sample.text.size() + 1);
  EXPECT_EQ(reader.n_taken("Just words."), 12U) << "it may also do without";
  std::string wrong = sample.text;
  const std::size_t at = wrong.find('1', wrong.find("arg1") + 4);
  wrong[at] = 'x';
  EXPECT_EQ(reader.n_taken(wrong), at);
}

INSTANTIATE_TEST_SUITE_P(Templates, ToolFormat, ::testing::ValuesIn(kSamples),
                         [](const auto& info) {
                           std::string name;
                           for (const char c : info.param.name) {
                             name += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
                           }
                           return name + "_" + std::to_string(info.index);
                         });

// Else every chat would be read again with every token.
TEST(ToolFormats, AreNotLookedForWhereThereAreNone) {
  for (const bool is_chatml : {false, true}) {
    ChatRequest request = request_of({}, ToolChoice::automatic);
    EXPECT_FALSE(ChatTemplate("", "", "", is_chatml).apply(request).format->is_plain());
    request.tools.clear();
    EXPECT_TRUE(ChatTemplate("", "", "", is_chatml).apply(request).format->is_plain());
  }
}

TEST(ToolFormats, RequireACallFromTheBeginning) {
  for (const bool is_chatml : {false, true}) {
    const ChatTemplate chat("", "", "", is_chatml);
    EXPECT_TRUE(chat.calls_tools());
    const ChatPrompt prompt = chat.apply(request_of({}, ToolChoice::required));
    EXPECT_FALSE(prompt.is_lazy);
    Reader reader(prompt);
    EXPECT_LT(reader.n_taken("Just words."), 2U);
    const std::string call =
        is_chatml ? "<tool_call>\n{\"name\": \"special_function\", \"arguments\": {\"arg1\": 1}}\n"
                    "</tool_call>"
                  : "<tool_call>{\"name\": \"special_function\", \"arguments\": {\"arg1\": 1}}"
                    "</tool_call>";
    EXPECT_EQ(reader.n_taken(call), call.size() + 1) << prompt.grammar;
    const Message message = prompt.format->read(call, false);
    ASSERT_EQ(message.tool_calls.size(), 1U);
    EXPECT_EQ(message.tool_calls[0].arguments, R"({"arg1": 1})");
  }
}

// Every template: a conversation with a call and its result, what users wrote kept apart, a grammar
// that our compiler reads.
TEST(ToolFormats, AreKnownOfAllTemplatesThatLlamaCppHas) {
  constexpr const char* kTalk = R"([{"role": "user", "content": "MARK-U"},
      {"role": "assistant", "content": null, "tool_calls": [{"type": "function", "id": "123456789",
       "function": {"name": "special_function", "arguments": "{\"arg1\": 1}"}}]},
      {"role": "tool", "tool_call_id": "123456789", "name": "special_function", "content": "MARK-T"}])";
  const std::filesystem::path folder = std::string(GUMBELSPEC_LLAMA_MODELS) + "/templates";
  std::size_t n = 0;
  std::size_t n_with_calls = 0;
  std::size_t n_grammars = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".jinja") continue;
    const std::string name = entry.path().stem().string();
    const ChatTemplate chat(source_of(name), "<s>", "</s>");
    ChatRequest plain = request_of({}, ToolChoice::automatic);
    plain.tools.clear();
    const ChatPrompt simple = chat.apply(plain);
    std::string input;
    for (const PromptPart& part : simple.parts) {
      if (part.is_input) input += part.text;
    }
    EXPECT_THAT(input, ::testing::HasSubstr("Hey there!")) << name;
    EXPECT_EQ(simple.grammar, "") << name;
    ++n;
    if (!chat.calls_tools()) continue;
    ++n_with_calls;
    ChatRequest request = request_of({}, ToolChoice::automatic);
    request.messages = kTalk;
    const ChatPrompt prompt = chat.apply(request);
    std::string all;
    for (const PromptPart& part : prompt.parts) all += part.text;
    EXPECT_THAT(all, ::testing::HasSubstr("MARK-T")) << name;
    EXPECT_THAT(all, ::testing::HasSubstr("special_function")) << name;
    if (prompt.grammar.empty()) continue;
    ++n_grammars;
    check_grammar(prompt.grammar);
    EXPECT_FALSE(prompt.triggers.empty()) << name;
  }
  EXPECT_EQ(n, 70U);
  EXPECT_GE(n_with_calls, 50U);
  EXPECT_GE(n_grammars, 50U);
  RecordProperty("with_calls", static_cast<int>(n_with_calls));
  RecordProperty("grammars", static_cast<int>(n_grammars));
}

TEST(ToolFormats, ReadTheTriggersThatAreExpressions) {
  using llama_common::triggers_of_pattern;
  const auto one = triggers_of_pattern("^\\s+to$");
  ASSERT_EQ(one.size(), 1U);
  EXPECT_EQ(one[0].text, " to");
  EXPECT_TRUE(one[0].at_begin);
  const auto group = triggers_of_pattern("<\\|start\\|>assistant(\\s+to)");
  ASSERT_EQ(group.size(), 1U);
  EXPECT_EQ(group[0].text, "<|start|>assistant to");
  EXPECT_EQ(group[0].grammar_begins, 18U);
  EXPECT_FALSE(group[0].at_begin);
  const auto two = triggers_of_pattern("^<\\|channel\\|>(?:commentary|analysis)\\s+to=functions$");
  ASSERT_EQ(two.size(), 2U);
  EXPECT_EQ(two[1].text, "<|channel|>analysis to=functions");
  EXPECT_EQ(two[1].grammar_begins, 0U);
  EXPECT_EQ(triggers_of_pattern(">>>(?!all)").at(0).text, ">>>");
  EXPECT_THROW((void)triggers_of_pattern(" to=[^<]*?x"), std::runtime_error);
}

}  // namespace
}  // namespace gumbelspec::server::testing
