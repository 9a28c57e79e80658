// llama.cpp's own code turns messages and tools into those of a chat; what it leaves out or takes
// for something else is looked at here.
#include "apps/server/api/chat_body.h"

#include <exception>
#include <string>
#include <utility>

#include "apps/llama_common/chat_engine.h"
#include "apps/server/api/field_value.h"

namespace gumbelspec::server {
namespace {

bool has(const Json& body, const char* name) {
  const auto found = body.find(name);
  return found != body.end() && !found->is_null();
}

void refuse_given(const Json& body, const char* name, const std::string& why) {
  if (!has(body, name) || body[name] == false || (body[name].is_structured() && body[name].empty()))
    return;
  throw bad_request(std::string(name) + " is given, but " + why, name, "unsupported");
}

Json converted(const Json& body, std::string (*convert)(const std::string&)) {
  try {
    return Json::parse(convert(to_text(body)));
  } catch (const std::exception& error) {
    throw bad_request(std::string("the body is not one that this endpoint reads: ") + error.what() +
                          "; see docs/server.md",
                      "", "invalid_value");
  }
}

// {"type": "json_schema", "schema": ...}, as both newer forms write it.
void take_format(Json& body, const Json& format) {
  if (!format.is_object() || format.value("type", Json()) != "json_schema") {
    body["response_format"] = format;
  } else {
    body["response_format"] = {{"type", "json_schema"}, {"json_schema", format}};
  }
}

// What clients leave out of an item, because it says so itself.
Json completed_input(const Json& input) {
  if (!input.is_array()) return input;
  Json items = Json::array();
  for (Json item : input) {
    if (item.is_object()) {
      if (item.value("role", Json()) == "assistant" && !item.contains("type")) {
        item["type"] = "message";
      }
      // Thinking that was only told in part, or encrypted, is none to read.
      const bool is_thought = item.value("type", Json()) == "reasoning";
      if (is_thought && (!has(item, "content") || item["content"].empty())) continue;
    }
    items.push_back(std::move(item));
  }
  return items;
}

Json of_responses(Json body) {
  refuse_given(body, "previous_response_id",
               "this server keeps no conversations; send all of the input");
  refuse_given(body, "conversation", "this server keeps no conversations; send all of the input");
  refuse_given(body, "background", "answers are given at once; leave it out");
  if (body.contains("input")) body["input"] = completed_input(body["input"]);
  for (const char* name : {"instructions", "max_output_tokens", "tools", "reasoning"}) {
    if (body.contains(name) && body[name].is_null()) body.erase(name);
  }
  Json chat = converted(body, llama_common::chat_of_responses);
  const auto text = chat.find("text");
  if (text != chat.end()) {
    if (text->is_object() && has(*text, "format")) take_format(chat, Json((*text)["format"]));
    chat.erase("text");
  }
  // What asks for nothing that is not done anyway.
  for (const char* name : {"previous_response_id", "conversation", "background", "store", "include",
                           "truncation", "prompt_cache_key", "prompt_cache_retention",
                           "safety_identifier", "client_metadata", "max_tool_calls", "prompt"}) {
    chat.erase(name);
  }
  return chat;
}

void take_choice(Json& chat, const Json& choice) {
  const FieldValue value(choice, "tool_choice");
  const std::string type = value.object().contains("type") ? value.member("type").text() : "auto";
  if (type == "tool") {
    chat["tool_choice"] = {{"type", "function"}, {"name", choice.value("name", Json(""))}};
  } else if (type == "any") {
    chat["tool_choice"] = "required";
  } else {
    chat["tool_choice"] = type;
  }
  if (value.has("disable_parallel_tool_use") &&
      value.member("disable_parallel_tool_use").boolean()) {
    chat["parallel_tool_calls"] = false;
  }
}

// Tools that Anthropic's own servers run have a type of their own; a client does not wait for calls
// of them.
void drop_foreign_tools(Json& body) {
  if (!has(body, "tools") || !body["tools"].is_array()) return;
  Json tools = Json::array();
  for (const Json& tool : body["tools"]) {
    const Json type = tool.is_object() ? tool.value("type", Json("custom")) : Json();
    if (type == "custom" || type.is_null()) tools.push_back(tool);
  }
  body["tools"] = std::move(tools);
}

Json of_messages(Json body) {
  refuse_given(body, "mcp_servers", "this server does not reach others; leave it out");
  drop_foreign_tools(body);
  Json chat = converted(body, llama_common::chat_of_messages);
  if (has(body, "tool_choice")) take_choice(chat, body["tool_choice"]);
  if (has(body, "thinking") && body["thinking"].is_object() &&
      body["thinking"].value("type", Json()) == "disabled") {
    chat["chat_template_kwargs"]["enable_thinking"] = false;
  }
  if (has(body, "output_config") && body["output_config"].is_object()) {
    const Json& config = body["output_config"];
    if (has(config, "format")) take_format(chat, config["format"]);
    if (has(config, "effort")) chat["reasoning_effort"] = config["effort"];
  }
  chat.erase("__metadata_user_id");
  for (const char* name :
       {"system", "messages", "tools", "tool_choice", "stop_sequences", "thinking", "metadata",
        "mcp_servers", "output_config", "service_tier", "container", "context_management", "betas",
        "cache_control", "inference_geo"}) {
    body.erase(name);
  }
  // All else is a chat's.
  for (const auto& item : body.items()) {
    if (!chat.contains(item.key())) chat[item.key()] = item.value();
  }
  return chat;
}

}  // namespace

Json chat_body(Json body, Endpoint endpoint) {
  if (endpoint == Endpoint::responses) return of_responses(std::move(body));
  if (endpoint == Endpoint::messages) return of_messages(std::move(body));
  return body;
}

}  // namespace gumbelspec::server
