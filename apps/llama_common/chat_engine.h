// llama.cpp's chat code (its common/chat.h), seen through types of the standard library alone:
// messages and tools to a prompt and a grammar, and what a model wrote to a message with reasoning
// and tool calls.
#ifndef GUMBELSPEC_APPS_LLAMA_COMMON_CHAT_ENGINE_H_
#define GUMBELSPEC_APPS_LLAMA_COMMON_CHAT_ENGINE_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gumbelspec::llama_common {

enum class ToolChoice { automatic, required, none };
enum class Continuation { none, automatic, content, reasoning };

struct ChatRequest {
  std::string messages;    // a JSON array, in OpenAI's form
  std::string tools = {};  // likewise; empty: none
  ToolChoice tool_choice = ToolChoice::automatic;
  std::string function = {};  // the only one of the tools that may be called; empty: any
  std::optional<bool> calls_in_parallel = {};  // none: as the template says
  bool adds_generation_prompt = true;
  Continuation continuation = Continuation::none;
  std::string reasoning_format = "none";  // none, auto, deepseek, deepseek-legacy
  bool enable_thinking = true;
  std::string variables = {};    // a JSON object for the template; empty: none
  std::string json_schema = {};  // of the answer; empty: none
};

// A part of a prompt. What users wrote must not be read as control tokens, even if it looks so.
struct PromptPart {
  std::string text;
  bool is_input = false;
};

// A text behind which a grammar counts. The grammar's own text begins within it.
struct Trigger {
  std::string text;
  std::size_t grammar_begins = 0;  // byte
  bool at_begin = false;           // of the answer only
};

struct ToolCall {
  std::string id = {};
  std::string name = {};
  std::string arguments = {};  // JSON, if the model was made to write it
};

struct Message {
  std::string content = {};
  std::string reasoning = {};
  std::vector<ToolCall> tool_calls = {};
};

// What a message has got since it was looked at last.
struct MessageDelta {
  std::string content = {};
  std::string reasoning = {};
  std::optional<std::size_t> tool = {};  // the call that has more: its name (and id) once, and then
                                         // more arguments
  ToolCall call = {};
};

// How a model's answer is to be read. Threads: any number at once.
class AnswerFormat {
 public:
  virtual ~AnswerFormat() = default;
  // is_partial: the text may go on.
  // Throws: std::runtime_error where the text is not of the format.
  [[nodiscard]] virtual Message read(const std::string& text, bool is_partial) const = 0;
  // Whether every text is its own content: nothing to read.
  [[nodiscard]] virtual bool is_plain() const = 0;
};

[[nodiscard]] std::vector<MessageDelta> difference(const Message& before, const Message& after);

struct ChatPrompt {
  std::vector<PromptPart> parts;
  std::string generation_prompt;  // the end of the prompt, which the answer goes on with
  std::string grammar = {};       // GBNF; empty: none
  // Whether the grammar counts only behind a trigger; else from the beginning, where its text
  // begins with generation_prompt.
  bool is_lazy = false;
  std::vector<Trigger> triggers = {};
  std::vector<std::string> preserved = {};  // control tokens that are part of the answer's text
  std::vector<std::string> stops = {};      // that end the answer, besides the end of text
  std::string thinking_start = {};
  std::vector<std::string> thinking_ends = {};  // empty: the model does not think
  std::shared_ptr<const AnswerFormat> format;
};

// A chat template. Threads: any number at once.
class ChatEngine {
 public:
  // Throws: std::exception with the reason where the source cannot be read.
  ChatEngine(const std::string& source, const std::string& bos, const std::string& eos);
  ~ChatEngine();
  ChatEngine(const ChatEngine&) = delete;
  ChatEngine& operator=(const ChatEngine&) = delete;

  // Throws: std::exception with the template's complaint, or what is wrong with the request.
  [[nodiscard]] ChatPrompt apply(const ChatRequest& request) const;
  // What the template can do, under llama.cpp's names, e.g. "supports_tools".
  [[nodiscard]] bool can(const std::string& capability) const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// Bodies of /v1/responses and /v1/messages to those of /v1/chat/completions, as llama.cpp's server
// reads them: JSON objects. Throws: std::exception with the reason.
[[nodiscard]] std::string chat_of_responses(const std::string& body);
[[nodiscard]] std::string chat_of_messages(const std::string& body);

// The texts that a trigger's regular expression stands for. White space of any length is one space,
// and what must not follow does not count. Throws: std::runtime_error where it is another kind of
// expression.
[[nodiscard]] std::vector<Trigger> triggers_of_pattern(std::string_view pattern);

}  // namespace gumbelspec::llama_common

#endif  // GUMBELSPEC_APPS_LLAMA_COMMON_CHAT_ENGINE_H_
