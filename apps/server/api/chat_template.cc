#include "apps/server/api/chat_template.h"

#include <algorithm>
#include <ctime>
#include <exception>
#include <mutex>
#include <string_view>
#include <utility>

#include "gumbelspec/error.h"
#include "jinja/caps.h"
#include "jinja/lexer.h"
#include "jinja/parser.h"
#include "jinja/runtime.h"
#include "json.h"

namespace gumbelspec::server {
namespace {

constexpr const char* kChatMl =
    "{%- for message in messages -%}"
    "{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' -}}"
    "{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}";

constexpr const char* kPlain =
    "{%- for message in messages -%}"
    "{{- (message.role | capitalize) + ': ' + message.content + '\\n' -}}"
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

jinja::value text_value(const std::string& text, bool is_input) {
  auto value = jinja::mk_val<jinja::value_string>(text);
  if (is_input) value->val_str.mark_input();
  return value;
}

jinja::value content_value(const std::string& content, bool is_typed) {
  if (!is_typed) return text_value(content, true);
  auto part = jinja::mk_val<jinja::value_object>();
  part->insert("type", text_value("text", false));
  part->insert("text", text_value(content, true));
  auto parts = jinja::mk_val<jinja::value_array>();
  parts->push_back(part);
  return parts;
}

// Templates that know no system role leave such messages out without a word; there the first
// user's message begins with them, as llama.cpp's server does it.
std::vector<ChatMessage> without_system(const std::vector<ChatMessage>& messages) {
  std::vector<ChatMessage> out;
  std::string system;
  for (const ChatMessage& message : messages) {
    if (message.role == "system") {
      system += message.content + "\n";
      continue;
    }
    out.push_back(message);
    if (message.role == "user" && !system.empty()) {
      out.back().content = std::exchange(system, {}) + out.back().content;
    }
  }
  if (!system.empty()) {
    system.pop_back();
    out.push_back({"user", system});
  }
  return out;
}

const char* built_in_source(bool has_chatml) { return has_chatml ? kChatMl : kPlain; }

}  // namespace

class ChatTemplate::Impl {
 public:
  Impl(std::string source, std::string bos, std::string eos, bool has_chatml)
      : origin_(!source.empty() ? "model"
                : has_chatml    ? "chatml"
                                : "plain"),
        source_(source.empty() ? built_in_source(has_chatml) : std::move(source)),
        bos_(std::move(bos)),
        eos_(std::move(eos)) {
    try {
      jinja::lexer lexer;
      program_ = jinja::parse_from_tokens(lexer.tokenize(source_));
      caps_ = jinja::caps_get(program_);
    } catch (const std::exception& error) {
      origin_ = "unreadable";
      why_unreadable_ = complaint(error);
    }
  }

  std::vector<PromptPart> render(const std::vector<ChatMessage>& messages,
                                 const ChatOptions& options) {
    if (!why_unreadable_.empty()) {
      throw Error(ErrorCode::invalid_prompt,
                  "the model's chat template is not one that llama.cpp's Jinja engine reads (" +
                      why_unreadable_ + "); write the prompt out and send it to /v1/completions");
    }
    const std::scoped_lock lock(mutex_);
    try {
      jinja::context context(source_);
      set_variables(context, messages, options);
      jinja::runtime runtime(context);
      const auto parts = jinja::runtime::gather_string_parts(runtime.execute(program_));
      std::vector<PromptPart> out;
      for (const jinja::string_part& part : parts->val_str.parts) {
        if (!part.val.empty()) out.push_back({part.val, part.is_input});
      }
      return out;
    } catch (const std::exception& error) {
      throw Error(ErrorCode::invalid_prompt,
                  "the model's chat template refuses these messages: " + complaint(error));
    }
  }

  [[nodiscard]] const std::string& source() const { return source_; }
  [[nodiscard]] const std::string& bos() const { return bos_; }
  [[nodiscard]] const std::string& eos() const { return eos_; }
  [[nodiscard]] const char* origin() const { return origin_; }
  [[nodiscard]] const std::string& why_unreadable() const { return why_unreadable_; }

 private:
  void set_variables(jinja::context& context, const std::vector<ChatMessage>& messages,
                     const ChatOptions& options) const {
    auto list = jinja::mk_val<jinja::value_array>();
    const bool is_typed = caps_.supports_typed_content && !caps_.supports_string_content;
    for (const ChatMessage& message :
         caps_.supports_system_role ? messages : without_system(messages)) {
      auto object = jinja::mk_val<jinja::value_object>();
      object->insert("role", text_value(message.role, false));
      object->insert("content", content_value(message.content, is_typed));
      list->push_back(object);
    }
    context.set_val("messages", list);
    context.set_val("bos_token", text_value(bos_, false));
    context.set_val("eos_token", text_value(eos_, false));
    set_dates(context);
    // As llama.cpp's server; a template that has no use for it does not look.
    context.set_val("enable_thinking", jinja::mk_val<jinja::value_bool>(true));
    if (!options.extra.empty()) {
      jinja::global_from_json(context, common_json::parse(options.extra), /*mark_input=*/true);
    }
    context.set_val("add_generation_prompt",
                    jinja::mk_val<jinja::value_bool>(options.adds_generation_prompt));
  }

  // Under the names and in the forms of llama.cpp's server.
  static void set_dates(jinja::context& context) {
    const std::time_t now = std::time(nullptr);
    std::tm local{};
    localtime_r(&now, &local);
    const auto set = [&](const char* name, const char* format) {
      char text[64];
      const std::size_t n = std::strftime(text, sizeof text, format, &local);
      context.set_val(name, text_value(std::string(text, n), false));
    };
    set("date_string", "%d %b %Y");
    set("datetime", "%b %d %Y");
  }

  std::mutex mutex_;  // the engine does not say that a program may run twice at once
  const char* origin_;
  std::string why_unreadable_;
  std::string source_;
  std::string bos_;
  std::string eos_;
  jinja::program program_;
  jinja::caps caps_;
};

ChatTemplate::ChatTemplate(std::string source, std::string bos, std::string eos, bool has_chatml)
    : impl_(std::make_unique<Impl>(std::move(source), std::move(bos), std::move(eos), has_chatml)) {
}
ChatTemplate::~ChatTemplate() = default;

std::vector<PromptPart> ChatTemplate::render(const std::vector<ChatMessage>& messages,
                                             const ChatOptions& options) const {
  return impl_->render(messages, options);
}

const std::string& ChatTemplate::source() const { return impl_->source(); }
const std::string& ChatTemplate::bos() const { return impl_->bos(); }
const std::string& ChatTemplate::eos() const { return impl_->eos(); }
const char* ChatTemplate::origin() const { return impl_->origin(); }
const std::string& ChatTemplate::why_unreadable() const { return impl_->why_unreadable(); }

}  // namespace gumbelspec::server
