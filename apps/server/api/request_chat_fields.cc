// The fields of chats that are about tools and thinking.
#include <algorithm>
#include <array>
#include <limits>
#include <string>

#include "apps/server/api/request_reading.h"

namespace gumbelspec::server {
namespace {

using Reading = RequestReading;
using Value = FieldValue;

constexpr std::int64_t kMaxInt = std::numeric_limits<std::int32_t>::max();

void read_parallel(Reading& reading, const Value& value) {
  reading.calls_in_parallel = value.boolean();
}

void read_reasoning_format(Reading& reading, const Value& value) {
  constexpr std::array kFormats = {"none", "auto", "deepseek", "deepseek-legacy"};
  if (std::find(kFormats.begin(), kFormats.end(), value.text()) == kFormats.end()) {
    value.refuse("none, auto, deepseek or deepseek-legacy");
  }
  reading.reasoning_format = value.text();
}

void read_reasoning_effort(Reading& reading, const Value& value) {
  reading.reasoning_effort = value.text();
}

void read_reasoning_budget(Reading& reading, const Value& value) {
  const std::int64_t n = value.integer(-1, kMaxInt);
  if (n >= 0) reading.reasoning_budget = n;
}

void read_reasoning_message(Reading& reading, const Value& value) {
  if (value.text().size() > kMaxStopBytes) {
    value.refuse("a string of at most " + std::to_string(kMaxStopBytes) + " bytes");
  }
  reading.reasoning_budget_message = value.text();
}

// name, type, schema, default, completions, chat, description
constexpr std::array kTable = {
    RequestField{
        {"tools", "array of tools",
         R"({"type": "array", "maxItems": 256, "items": {"type": "object", "required": ["type", "function"], "properties": {"type": {"type": "string", "enum": ["function"]}, "function": {"type": "object", "required": ["name"], "properties": {"name": {"type": "string"}, "description": {"type": "string"}, "parameters": {"type": "object"}}}}}})",
         "", false, true,
         "Functions that the answer may call, with JSON schemas of their parameters, which the "
         "arguments always follow; of type function only, 256 at most."},
        read_tools},
    RequestField{
        {"tool_choice", "string or object",
         R"({"oneOf": [{"type": "string", "enum": ["none", "auto", "required"]}, {"type": "object"}]})",
         R"("auto")", false, true,
         "none: no call; auto: as the model likes; required: at least one; an object "
         "{\"type\": \"function\", \"function\": {\"name\": NAME}}: of that one."},
        read_tool_choice},
    RequestField{{"parallel_tool_calls", "boolean", R"({"type": "boolean"})", "", false, true,
                  "Whether an answer may have several calls; without it, as the template can."},
                 read_parallel},
    RequestField{{"functions", "array", R"({"type": "array", "maxItems": 256})", "", false, true,
                  "OpenAI's older form of tools."},
                 read_tools},
    RequestField{
        {"function_call", "string or object",
         R"({"oneOf": [{"type": "string", "enum": ["none", "auto"]}, {"type": "object"}]})", "",
         false, true, "OpenAI's older form of tool_choice."},
        read_tool_choice},
    RequestField{
        {"reasoning_format", "string",
         R"({"type": "string", "enum": ["none", "auto", "deepseek", "deepseek-legacy"]})", "",
         false, true,
         "Where a model's thinking goes: none leaves it in content; all others put it into "
         "reasoning_content. Default: as --reasoning-format."},
        read_reasoning_format},
    RequestField{{"reasoning_effort", "string", R"({"type": "string"})", "", false, true,
                  "A variable of the chat template; none: no thinking."},
                 read_reasoning_effort},
    RequestField{{"thinking_budget_tokens", "integer", R"({"type": "integer", "minimum": -1})", "",
                  false, true, "Another name of reasoning_budget_tokens."},
                 read_reasoning_budget},
    RequestField{
        {"reasoning_budget_tokens", "integer", R"({"type": "integer", "minimum": -1})", "", false,
         true,
         "Tokens that the thinking may have, before it is closed; -1: any number. Default: as "
         "--reasoning-budget."},
        read_reasoning_budget},
    RequestField{{"reasoning_budget_message", "string", R"({"type": "string", "maxLength": 1024})",
                  "", false, true, "What is written before the thinking is closed."},
                 read_reasoning_message},
};

}  // namespace

std::span<const RequestField> chat_field_table() { return kTable; }

}  // namespace gumbelspec::server
