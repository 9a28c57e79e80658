// Messages of a chat, and tools: read, checked and handed to the chat template.
#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "apps/server/api/prompt_tokens.h"
#include "apps/server/api/reasoning.h"
#include "apps/server/api/request_reading.h"
#include "gumbelspec/llama_grammar.h"

namespace gumbelspec::server {
namespace {

using llama_common::Continuation;
using llama_common::ToolChoice;

// A string, or an array of texts; null where there is none. Without the key something else has to
// say what the message is, or a typing error would count as an empty text.
Json read_content(const FieldValue& message) {
  const bool says_more =
      message.has("tool_calls") || message.has("function_call") || message.has("reasoning_content");
  if (!message.json().contains("content") && !says_more) {
    throw bad_request(message.name() + " has no content; give it one, \"\" for an empty text",
                      message.name() + ".content", "invalid_value");
  }
  if (!message.has("content")) return nullptr;
  const FieldValue content = message.member("content");
  if (content.json().is_string()) return content.text();
  if (!content.json().is_array()) content.refuse("a string, or an array of parts of type text");
  Json parts = Json::array();
  for (std::size_t i = 0; i < content.array(0, kMaxMessages).size(); ++i) {
    const FieldValue part = content.element(i);
    const std::string type = part.has("type") ? part.member("type").text() : "";
    const char* field = type == "refusal" ? "refusal" : "text";
    if ((type != "text" && type != "refusal") || !part.has(field)) {
      throw bad_request(part.name() + " is not of type text; this model reads text only",
                        part.name(), "invalid_value");
    }
    parts.push_back({{"type", "text"}, {"text", part.member(field).text()}});
  }
  return parts;
}

Json read_call(const FieldValue& call) {
  const bool is_typed = call.has("type") && call.member("type").text() != "function";
  if (is_typed || !call.has("function")) {
    throw bad_request(call.name() + " is no call of a function; give it type and function",
                      call.name(), "invalid_value");
  }
  const FieldValue function = call.member("function");
  if (!function.has("name")) {
    throw bad_request(function.name() + " has no name; give it one", function.name(),
                      "invalid_value");
  }
  Json arguments = "{}";
  if (function.has("arguments")) {
    const FieldValue given = function.member("arguments");
    arguments = given.json().is_string() ? given.json() : Json(to_text(given.object()));
  }
  Json out{{"type", "function"},
           {"function", {{"name", function.member("name").text()}, {"arguments", arguments}}}};
  if (call.has("id")) out["id"] = call.member("id").text();
  return out;
}

Json read_calls(const FieldValue& message) {
  Json calls = Json::array();
  if (message.has("tool_calls")) {
    const FieldValue list = message.member("tool_calls");
    for (std::size_t i = 0; i < list.array(0, kMaxMessages).size(); ++i) {
      calls.push_back(read_call(list.element(i)));
    }
  }
  // OpenAI's older form of one call.
  if (message.has("function_call")) {
    const Json call{{"type", "function"}, {"function", message.member("function_call").json()}};
    calls.push_back(read_call(FieldValue(call, message.name() + ".function_call")));
  }
  return calls;
}

Json read_message(const FieldValue& message) {
  if (!message.has("role")) {
    throw bad_request(message.name() + " has no role; give it system, user, assistant or tool",
                      message.name() + ".role", "invalid_value");
  }
  constexpr std::array kRoles = {"system", "developer", "user", "assistant", "tool", "function"};
  const std::string& role = message.member("role").text();
  if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end()) {
    message.member("role").refuse("system, developer, user, assistant, tool or function");
  }
  Json out{{"role", role == "function" ? "tool" : role}};
  Json content = read_content(message);
  if (role == "assistant") {
    Json calls = read_calls(message);
    if (!calls.empty()) out["tool_calls"] = std::move(calls);
    if (message.has("reasoning_content")) {
      out["reasoning_content"] = message.member("reasoning_content").text();
    }
  } else if (content.is_null()) {
    content = "";
  }
  if (content.is_null() && !out.contains("tool_calls")) content = "";
  out["content"] = std::move(content);
  for (const char* name : {"tool_call_id", "name"}) {
    if (message.has(name)) out[name] = message.member(name).text();
  }
  return out;
}

// Whether the answer goes on with the last message, which is the assistant's.
bool goes_on(const RequestReading& reading) {
  const Json& messages = reading.messages;
  const bool is_possible = messages.back()["role"] == "assistant";
  if (!reading.continues.value_or(is_possible && !reading.adds_generation_prompt_given)) {
    return false;
  }
  if (!is_possible) {
    throw bad_request(
        "continue_final_message is true, but the last message is not the assistant's; leave it out",
        "continue_final_message", "invalid_value");
  }
  if (messages.back().contains("tool_calls")) {
    throw bad_request(
        "the last message calls tools, and an answer cannot go on with it; add the tools' results",
        "messages", "invalid_prompt");
  }
  if (reading.adds_generation_prompt_given && reading.chat.adds_generation_prompt) {
    throw bad_request(
        "continue_final_message and add_generation_prompt are both true; give one of them",
        "continue_final_message", "invalid_value");
  }
  if (messages.size() > 1 && messages[messages.size() - 2]["role"] == "assistant") {
    throw bad_request(
        "the last two messages are the assistant's, and an answer can go on with one; join them",
        "messages", "invalid_prompt");
  }
  return true;
}

// The variables that the template gets, with what other fields say of them.
void settle_thinking(RequestReading& reading, ChatRequest& chat) {
  Json variables = chat.variables.empty() ? Json::object() : Json::parse(chat.variables);
  // Of the server, unless the request says otherwise.
  if (reading.model.thinks && reading.reasoning_effort.empty() &&
      !variables.contains("enable_thinking")) {
    variables["enable_thinking"] = *reading.model.thinks;
  }
  const auto thinking = variables.find("enable_thinking");
  if (thinking != variables.end()) {
    chat.enable_thinking = FieldValue(*thinking, "chat_template_kwargs.enable_thinking").boolean();
  }
  if (reading.reasoning_effort == "none") {
    chat.enable_thinking = false;
    variables["enable_thinking"] = false;
    variables.erase("reasoning_effort");
  } else if (!reading.reasoning_effort.empty()) {
    variables["reasoning_effort"] = reading.reasoning_effort;
  }
  chat.variables = variables.empty() ? std::string() : to_text(variables);
}

// Parts of a text that is gone on with, as llama.cpp's server joins them there.
void join_parts(Json& content) {
  if (!content.is_array()) return;
  std::string text;
  for (const Json& part : content) {
    if (!text.empty()) text += "\n\n";
    text += part["text"].get_ref<const std::string&>();
  }
  content = std::move(text);
}

ChatRequest chat_request(RequestReading& reading) {
  ChatRequest chat;
  if (goes_on(reading)) {
    chat.continuation = reading.continuation;
    join_parts(reading.messages.back()["content"]);
  }
  chat.adds_generation_prompt =
      chat.continuation == Continuation::none && reading.chat.adds_generation_prompt;
  chat.messages = to_text(reading.messages);
  if (!reading.tools.empty()) chat.tools = to_text(reading.tools);
  chat.tool_choice = reading.tool_choice;
  chat.function = reading.function;
  chat.calls_in_parallel = reading.calls_in_parallel;
  chat.reasoning_format =
      reading.reasoning_format.empty() ? reading.model.reasoning_format : reading.reasoning_format;
  chat.variables = reading.chat.extra;
  settle_thinking(reading, chat);
  return chat;
}

bool may_call(const RequestReading& reading) {
  return !reading.tools.empty() && reading.tool_choice != ToolChoice::none;
}

[[noreturn]] void refuse_choice() {
  throw bad_request(
      "tool_choice asks for a call, but this server does not support tools with the model's chat "
      "template, which has no calls; serve with another --chat-template-file",
      "tool_choice", "unsupported");
}

void check_tools(const RequestReading& reading) {
  const auto has_function = [&](const Json& tool) {
    return tool["function"]["name"] == reading.function;
  };
  if (reading.tool_choice == ToolChoice::required && reading.tools.empty()) {
    throw bad_request("tool_choice asks for a call, but there are no tools; give some",
                      "tool_choice", "invalid_value");
  }
  if (!reading.function.empty() &&
      std::none_of(reading.tools.begin(), reading.tools.end(), has_function)) {
    throw bad_request("tool_choice names " + shown(Json(reading.function)) +
                          ", but no tool has that name; name one of tools",
                      "tool_choice", "invalid_value");
  }
  if (!may_call(reading)) return;
  if (reading.grammar_name == "grammar") {
    throw bad_request("grammar and tools are both given, and calls have a grammar; give one",
                      "grammar", "invalid_value");
  }
  if (reading.request.text.ignores_end) {
    throw bad_request("ignore_eos is given with tools, whose calls have an end; leave it out",
                      "ignore_eos", "invalid_value");
  }
  if (reading.tool_choice == ToolChoice::required && !reading.model.chat_template->calls_tools()) {
    refuse_choice();
  }
}

std::vector<TokenId> read_control(const RequestReading& reading, const std::string& text) {
  return reading.model.tokenizer->tokenize(text, {.adds_special = false, .reads_control = true});
}

// Control tokens that the answer's text has to have.
std::map<TokenId, std::string> written_tokens(const RequestReading& reading,
                                              const ChatPrompt& prompt) {
  std::map<TokenId, std::string> out;
  for (const std::string& text : prompt.preserved) {
    const std::vector<TokenId> tokens = read_control(reading, text);
    if (tokens.size() == 1 && reading.model.tokenizer->piece(tokens.front()).empty()) {
      out[tokens.front()] = text;
    }
  }
  return out;
}

GrammarTrigger trigger_of(const ChatPrompt& prompt, const std::map<TokenId, std::string>& written) {
  GrammarTrigger out;
  for (const llama_common::Trigger& trigger : prompt.triggers) {
    out.inner.push_back({trigger.text, trigger.grammar_begins, trigger.at_begin});
  }
  for (const auto& [token, text] : written) out.written.push_back({token, text});
  if (!prompt.is_lazy) out.begun = prompt.generation_prompt;
  return out;
}

void settle_reasoning(RequestReading& reading, const ChatPrompt& prompt) {
  if (prompt.thinking_start.empty() || prompt.thinking_ends.empty()) return;
  ReasoningRule rule;
  rule.budget = reading.reasoning_budget.value_or(reading.model.reasoning_budget);
  rule.hides = prompt.is_lazy && !prompt.grammar.empty();
  if (rule.budget < 0 && !rule.hides) return;
  rule.start = read_control(reading, prompt.thinking_start);
  for (const std::string& end : prompt.thinking_ends) {
    if (!end.empty()) rule.ends.push_back(read_control(reading, end));
  }
  if (rule.start.empty() || rule.ends.empty()) return;
  rule.closing = read_control(reading, reading.reasoning_budget_message);
  rule.closing.insert(rule.closing.end(), rule.ends.front().begin(), rule.ends.front().end());
  rule.prompt_end = read_control(reading, prompt.generation_prompt);
  rule.n_vocab = reading.model.tokenizer->n_vocab();
  rule.ends_character = [tokenizer = reading.model.tokenizer](TokenId token) {
    return ends_with_character(tokenizer->piece(token));
  };
  reading.reasoning = std::move(rule);
}

// What the template says of the answer.
void settle_format(RequestReading& reading, const ChatPrompt& prompt) {
  ParsedRequest& request = reading.request;
  for (const std::string& stop : prompt.stops) request.stop.push_back(stop);
  request.n_template_stops = prompt.stops.size();
  auto format = std::make_shared<ChatFormat>();
  format->format = prompt.format;
  format->written = written_tokens(reading, prompt);
  // Nothing would see to it that there is one.
  if (may_call(reading) && reading.tool_choice == ToolChoice::required && prompt.grammar.empty()) {
    refuse_choice();
  }
  if (!prompt.grammar.empty()) {
    if (reading.gbnf.empty()) reading.grammar_name = "tools";
    reading.gbnf = prompt.grammar;
    reading.trigger = trigger_of(prompt, format->written);
  }
  settle_reasoning(reading, prompt);
  if (!format->format->is_plain()) request.chat = std::move(format);
}

ChatPrompt apply_template(RequestReading& reading) {
  check_tools(reading);
  ChatRequest chat = chat_request(reading);
  try {
    // The schema of an answer without thought and tools is a grammar of our own.
    if (!reading.schema.empty() && may_call(reading)) chat.json_schema = reading.schema;
    ChatPrompt prompt = reading.model.chat_template->apply(chat);
    const bool thinks = !prompt.thinking_ends.empty() && chat.enable_thinking;
    if (reading.schema.empty() || !chat.json_schema.empty() || !thinks) return prompt;
    chat.json_schema = reading.schema;
    return reading.model.chat_template->apply(chat);
  } catch (const Error& error) {
    throw bad_field(error, "messages", "invalid_prompt");
  }
}

}  // namespace

void read_messages(RequestReading& reading, const FieldValue& value) {
  for (std::size_t i = 0; i < value.array(1, kMaxMessages).size(); ++i) {
    reading.messages.push_back(read_message(value.element(i)));
  }
}

void read_tools(RequestReading& reading, const FieldValue& value) {
  for (std::size_t i = 0; i < value.array(0, kMaxTools).size(); ++i) {
    const FieldValue tool = value.element(i);
    const bool is_old = value.name() == "functions";
    if (!is_old &&
        (!tool.has("type") || tool.member("type").text() != "function" || !tool.has("function"))) {
      throw bad_request(tool.name() + " is no tool of type function; this server has no others",
                        tool.name(), "unsupported");
    }
    const FieldValue function = is_old ? tool : tool.member("function");
    if (!function.has("name") || function.member("name").text().empty()) {
      throw bad_request(function.name() + " has no name; give it one", function.name(),
                        "invalid_value");
    }
    Json one{{"name", function.member("name").text()}};
    if (function.has("description")) one["description"] = function.member("description").text();
    if (function.has("parameters")) one["parameters"] = function.member("parameters").object();
    reading.tools.push_back({{"type", "function"}, {"function", std::move(one)}});
  }
}

void read_tool_choice(RequestReading& reading, const FieldValue& value) {
  if (value.json() == "none") {
    reading.tool_choice = ToolChoice::none;
  } else if (value.json() == "auto") {
    reading.tool_choice = ToolChoice::automatic;
  } else if (value.json() == "required" || value.json() == "any") {
    reading.tool_choice = ToolChoice::required;
  } else if (value.json().is_object() && (value.has("function") || value.has("name"))) {
    const FieldValue named = value.has("function") ? value.member("function") : value;
    if (!named.has("name")) named.refuse("an object with a name");
    reading.tool_choice = ToolChoice::required;
    reading.function = named.member("name").text();
  } else {
    value.refuse(
        "none, auto, required, or {\"type\": \"function\", \"function\": {\"name\": NAME}}");
  }
}

std::string render_messages(RequestReading& reading) {
  std::string text;
  for (const PromptPart& part : apply_template(reading).parts) text += part.text;
  return text;
}

void add_messages(RequestReading& reading) {
  const ChatPrompt prompt = apply_template(reading);
  try {
    add_prompt(reading, tokenize_parts(*reading.model.tokenizer, prompt.parts), "");
    settle_format(reading, prompt);
  } catch (const Error& error) {
    throw bad_field(error, "messages", "invalid_prompt");
  }
}

}  // namespace gumbelspec::server
