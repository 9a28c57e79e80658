// A request while its fields are being read, and the table of them.
#ifndef GUMBELSPEC_APPS_SERVER_API_REQUEST_READING_H_
#define GUMBELSPEC_APPS_SERVER_API_REQUEST_READING_H_

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "apps/server/api/field_value.h"
#include "apps/server/api/reasoning.h"
#include "apps/server/api/request.h"
#include "gumbelspec/llama_grammar.h"

namespace gumbelspec::server {

inline constexpr int kMaxLogprobs = 20;
inline constexpr std::size_t kMaxStops = 16;
inline constexpr std::size_t kMaxStopBytes = 1024;
inline constexpr std::size_t kMaxBiases = 4096;
inline constexpr std::size_t kMaxMessages = 1024;
inline constexpr std::size_t kMaxTools = 256;

struct RequestReading {
  const ApiModel& model;
  ParsedRequest request = {};
  std::size_t max_prompts = kMaxTexts;
  std::size_t max_prompt_tokens = model.n_context > 0 ? model.n_context - 1 : 0;
  // What has to wait for other fields.
  Json messages = Json::array();  // as the chat template's engine reads them
  ChatOptions chat = {};
  Json tools = Json::array();  // likewise
  llama_common::ToolChoice tool_choice = llama_common::ToolChoice::automatic;
  std::string function = {};  // that tool_choice names
  std::optional<bool> calls_in_parallel = {};
  std::string reasoning_format = {};  // empty: the model's
  std::string reasoning_effort = {};
  std::optional<std::int64_t> reasoning_budget = {};
  std::string reasoning_budget_message = {};
  std::optional<std::vector<std::string>> dry_breakers = {};
  bool wants_logprobs = false;  // chat: "logprobs"
  std::optional<int> n_top_logprobs = {};
  std::optional<Guarantee> guarantee = {};
  bool reads_control = true;           // control tokens in the texts of prompts
  std::optional<bool> continues = {};  // continue_final_message
  llama_common::Continuation continuation = llama_common::Continuation::automatic;
  bool adds_generation_prompt_given = false;
  std::string gbnf = {};          // of grammar or response_format; empty: none
  std::string grammar_name = {};  // which of them
  std::string schema = {};        // of which gbnf is the grammar; empty: of none
  GrammarTrigger trigger = {};
  std::optional<ReasoningRule> reasoning = {};
};

// Reads one field into the request. Throws: ApiError.
using ReadField = void (*)(RequestReading&, const FieldValue&);

struct RequestField {
  FieldDoc doc;
  ReadField read;
};

// In the order in which they are read and documented.
[[nodiscard]] std::span<const RequestField> request_field_table();
// Of them llama.cpp's own, the last ones.
[[nodiscard]] std::span<const RequestField> native_field_table();
// Of them llama.cpp's samplers with a state or a memory: dry, mirostat, adaptive-p.
[[nodiscard]] std::span<const RequestField> sampler_field_table();
// Of them those about tools and thinking.
[[nodiscard]] std::span<const RequestField> chat_field_table();

// The fields that go where they belong as they are: &SamplingOptions::top_p, &ParsedRequest::echo.
template <float SamplingOptions::*kMember>
void set_number(RequestReading& reading, const FieldValue& value) {
  reading.request.text.sampling.*kMember = value.number();
}
template <bool ParsedRequest::*kMember>
void set_flag(RequestReading& reading, const FieldValue& value) {
  reading.request.*kMember = value.boolean();
}
template <bool TextOptions::*kMember>
void set_text_flag(RequestReading& reading, const FieldValue& value) {
  reading.request.text.*kMember = value.boolean();
}
template <bool NativeOptions::*kMember>
void set_option(RequestReading& reading, const FieldValue& value) {
  reading.request.native.*kMember = value.boolean();
}

// The fields that take more than a line.
void read_prompt(RequestReading& reading, const FieldValue& value);
void read_messages(RequestReading& reading, const FieldValue& value);
void read_tools(RequestReading& reading, const FieldValue& value);
void read_tool_choice(RequestReading& reading, const FieldValue& value);
void read_seed(RequestReading& reading, const FieldValue& value);
void read_logit_bias(RequestReading& reading, const FieldValue& value);
void read_response_format(RequestReading& reading, const FieldValue& value);
void read_json_schema(RequestReading& reading, const FieldValue& value);

// The prompt of /infill from its own fields. Throws: ApiError, 501 where the model fills no gaps.
void read_infill(RequestReading& reading, const Json& body);

void add_prompt(RequestReading& reading, std::vector<TokenId> tokens, std::string text);
// llama.cpp's less common samplers (request_samplers.cc).
void read_min_keep(RequestReading& reading, const FieldValue& value);
void read_typical_p(RequestReading& reading, const FieldValue& value);
void read_xtc_probability(RequestReading& reading, const FieldValue& value);
void read_samplers(RequestReading& reading, const FieldValue& value);
// What dry looks no further back than. Throws: ApiError.
void settle_breakers(RequestReading& reading);

// The messages by the template. Throws: ApiError.
[[nodiscard]] std::string render_messages(RequestReading& reading);
// And as a prompt of the request, with what its answers are to be like. Throws: ApiError.
void add_messages(RequestReading& reading);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_REQUEST_READING_H_
