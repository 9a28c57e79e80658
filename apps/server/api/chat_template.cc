#include "apps/server/api/chat_template.h"

#include <algorithm>
#include <exception>
#include <string_view>
#include <utility>

#include "apps/server/api/json_text.h"
#include "gumbelspec/error.h"

namespace gumbelspec::server {
namespace {

// Tool calls as Hermes' and Qwen's models write them.
constexpr const char* kChatMl =
    "{%- if tools -%}"
    "{{- '<|im_start|>system\\n' -}}"
    "{%- if messages[0].role == 'system' -%}{{- messages[0].content + '\\n\\n' -}}{%- endif -%}"
    "{{- 'Functions that can be called:\\n<tools>' -}}"
    "{%- for tool in tools -%}{{- '\\n' + (tool | tojson) -}}{%- endfor -%}"
    "{{- '\\n</tools>\\nA call is written as <tool_call>\\n{\"name\": NAME, \"arguments\": OBJECT}"
    "\\n</tool_call><|im_end|>\\n' -}}"
    "{%- elif messages[0].role == 'system' -%}"
    "{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{%- if message.role == 'system' and loop.first -%}"
    "{%- elif message.role == 'tool' -%}"
    "{{- '<|im_start|>user\\n<tool_response>\\n' + message.content + "
    "'\\n</tool_response><|im_end|>\\n' -}}"
    "{%- else -%}"
    "{{- '<|im_start|>' + message.role + '\\n' + (message.content or '') -}}"
    "{%- if message.tool_calls -%}"
    "{%- for call in message.tool_calls -%}"
    "{{- ('\\n' if message.content or not loop.first else '') + "
    "'<tool_call>\\n{\"name\": \"' + call.function.name + '\", \"arguments\": ' + "
    "(call.function.arguments | tojson) + '}\\n</tool_call>' -}}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{{- '<|im_end|>\\n' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}";

constexpr const char* kPlain =
    "{%- if tools -%}"
    "{{- 'Functions: ' -}}"
    "{%- for tool in tools -%}{{- (tool | tojson) + '\\n' -}}{%- endfor -%}"
    "{{- 'A call: <tool_call>{\"name\": NAME, \"arguments\": OBJECT}</tool_call>\\n' -}}"
    "{%- endif -%}"
    "{%- for message in messages -%}"
    "{{- (message.role | capitalize) + ': ' + (message.content or '') -}}"
    "{%- if message.tool_calls -%}"
    "{%- for call in message.tool_calls -%}"
    "{{- '<tool_call>{\"name\": \"' + call.function.name + '\", \"arguments\": ' + "
    "(call.function.arguments | tojson) + '}</tool_call>' -}}"
    "{%- endfor -%}"
    "{%- endif -%}"
    "{{- '\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- 'Assistant:' -}}{%- endif -%}";

// The engine puts the place in the template around its complaint, on lines of their own.
std::string complaint(const std::exception& error) {
  const std::string text = error.what();
  constexpr std::string_view kMark = "Error: ";
  const std::size_t mark = text.rfind(kMark);
  const std::size_t begin = mark == std::string::npos ? 0 : mark + kMark.size();
  constexpr std::size_t kMost = 300;
  const std::string line = text.substr(begin, std::min(text.find('\n', begin) - begin, kMost));
  return line.empty() ? "no reason is known" : line;
}

const char* built_in_source(bool has_chatml) { return has_chatml ? kChatMl : kPlain; }

}  // namespace

ChatTemplate::ChatTemplate(std::string source, std::string bos, std::string eos, bool has_chatml)
    : origin_(!source.empty() ? "model"
              : has_chatml    ? "chatml"
                              : "plain"),
      source_(source.empty() ? built_in_source(has_chatml) : std::move(source)),
      bos_(std::move(bos)),
      eos_(std::move(eos)) {
  try {
    engine_ = std::make_unique<llama_common::ChatEngine>(source_, bos_, eos_);
  } catch (const std::exception& error) {
    origin_ = "unreadable";
    why_unreadable_ = complaint(error);
  }
}

ChatTemplate::~ChatTemplate() = default;

ChatPrompt ChatTemplate::apply(const ChatRequest& request) const {
  if (engine_ == nullptr) {
    throw Error(ErrorCode::invalid_prompt,
                "the model's chat template is not one that llama.cpp's Jinja engine reads (" +
                    why_unreadable_ + "); write the prompt out and send it to /v1/completions");
  }
  try {
    return engine_->apply(request);
  } catch (const std::exception& error) {
    throw Error(ErrorCode::invalid_prompt,
                "the model's chat template refuses these messages: " + complaint(error));
  }
}

std::vector<PromptPart> ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                             const ChatOptions& options) const {
  Json list = Json::array();
  for (const ChatMessage& message : messages) {
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  ChatRequest request;
  request.messages = to_text(list);
  request.adds_generation_prompt = options.adds_generation_prompt;
  request.variables = options.extra;
  return apply(request).parts;
}

bool ChatTemplate::calls_tools() const {
  return engine_ != nullptr && engine_->can("supports_tool_calls");
}

}  // namespace gumbelspec::server
