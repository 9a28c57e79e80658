#include "apps/chat/conversation.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "apps/common/utf8_stream.h"
#include "apps/server/api/prompt_tokens.h"
#include "gumbelspec/error.h"

namespace gumbelspec::chat {
namespace {

using Json = nlohmann::ordered_json;
using server::ChatMessage;
using server::PromptPart;

std::string text_of(const std::vector<PromptPart>& parts) {
  std::string text;
  for (const PromptPart& part : parts) text += part.text;
  return text;
}

// What is left behind the first n bytes.
std::vector<PromptPart> rest_of(std::vector<PromptPart> parts, std::size_t n) {
  std::vector<PromptPart> rest;
  for (PromptPart& part : parts) {
    const std::size_t n_cut = std::min(n, part.text.size());
    n -= n_cut;
    part.text.erase(0, n_cut);
    if (!part.text.empty()) rest.push_back(std::move(part));
  }
  return rest;
}

[[noreturn]] void refuse(const std::string& what) {
  throw Error(ErrorCode::invalid_option,
              "it " + what +
                  "; give {\"messages\": [{\"role\": \"user\", \"content\": \"...\"}, ...]}, as "
                  "/save writes it");
}

// Throws: Error{invalid_option}.
ChatMessage read_message(const Json& json, bool is_first, const std::string& before) {
  if (!json.is_object() || !json.contains("role") || !json["role"].is_string() ||
      !json.contains("content") || !json["content"].is_string()) {
    refuse("has a message without a role or content that is a string");
  }
  ChatMessage message{json["role"].get<std::string>(), json["content"].get<std::string>()};
  const bool fits = message.role == "system"      ? is_first
                    : message.role == "user"      ? before != "user"
                    : message.role == "assistant" ? before == "user"
                                                  : false;
  if (!fits) {
    refuse("has a message of the role " + apps::in_quotes(message.role) +
           " where user and assistant take turns, after one of system at most");
  }
  return message;
}

}  // namespace

Conversation::Conversation(const server::ApiModel& model, server::ChatOptions options,
                           std::string system)
    : model_(model), options_(std::move(options)) {
  if (!system.empty()) messages_.push_back({"system", std::move(system)});
}

bool Conversation::has_question() const {
  return !messages_.empty() && messages_.back().role == "user";
}

void Conversation::ask(std::string text) { messages_.push_back({"user", std::move(text)}); }

Prompt Conversation::prompt() const {
  const std::vector<PromptPart> parts = model_.chat_template->render(messages_, options_);
  Prompt prompt{server::tokenize_parts(*model_.tokenizer, parts), text_of(parts)};
  if (known_text_.empty() || prompt.text.compare(0, known_text_.size(), known_text_) != 0) {
    return prompt;
  }
  // The text may be cut otherwise into tokens than the model wrote it.
  const bool is_same =
      prompt.tokens.size() >= known_tokens_.size() &&
      std::equal(known_tokens_.begin(), known_tokens_.end(), prompt.tokens.begin());
  if (is_same) return prompt;
  const auto more = server::tokenize_parts(*model_.tokenizer, rest_of(parts, known_text_.size()),
                                           /*adds_first=*/false);
  prompt.tokens = known_tokens_;
  prompt.tokens.insert(prompt.tokens.end(), more.begin(), more.end());
  return prompt;
}

void Conversation::answer(std::string content, const Prompt& prompt,
                          const std::vector<TokenId>& written, const std::string& written_text) {
  messages_.push_back({"assistant", std::move(content)});
  known_tokens_ = prompt.tokens;
  known_tokens_.insert(known_tokens_.end(), written.begin(), written.end());
  known_text_ = prompt.text + written_text;
  // Templates that write a blank in front of an answer would write two where the model began with
  // one.
  std::string& said = messages_.back().content;
  const std::size_t n_blanks = std::min(said.find_first_not_of(" \n"), said.size());
  if (n_blanks == 0 || known_text_.empty() || repeats_what_is_known()) return;
  const std::string as_it_came = said;
  said.erase(0, n_blanks);
  if (!repeats_what_is_known()) messages_.back().content = as_it_came;
}

bool Conversation::repeats_what_is_known() const {
  server::ChatOptions options = options_;
  options.adds_generation_prompt = false;
  try {
    const std::string text = text_of(model_.chat_template->render(messages_, options));
    return text.compare(0, known_text_.size(), known_text_) == 0;
  } catch (const Error&) {
    return false;  // it wants a question at the end
  }
}

void Conversation::take_back() { messages_.pop_back(); }

bool Conversation::forget_answer() {
  if (messages_.empty() || messages_.back().role != "assistant") return false;
  messages_.pop_back();
  return true;
}

void Conversation::clear() {
  const bool has_system = !messages_.empty() && messages_.front().role == "system";
  messages_.resize(has_system ? 1 : 0);
  known_tokens_.clear();
  known_text_.clear();
}

std::string Conversation::to_json() const {
  Json list = Json::array();
  for (const ChatMessage& message : messages_) {
    list.push_back({{"role", message.role}, {"content", message.content}});
  }
  return Json{{"messages", list}}.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

void Conversation::from_json(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (json.is_discarded()) refuse("is not JSON");
  const Json* list = &json;
  if (json.is_object()) {
    const auto found = json.find("messages");
    if (found == json.end()) refuse("has no messages");
    list = &*found;
  }
  if (!list->is_array() || list->empty()) refuse("has no messages");
  std::vector<ChatMessage> messages;
  for (const Json& one : *list) {
    messages.push_back(read_message(one, messages.empty(),
                                    messages.empty() ? std::string() : messages.back().role));
  }
  messages_ = std::move(messages);
  known_tokens_.clear();
  known_text_.clear();
}

}  // namespace gumbelspec::chat
