// The one source of what a request may say: the parser, docs/server.md and docs/openapi.json come
// from this table.
#include <array>
#include <limits>
#include <vector>

#include "apps/server/api/request_reading.h"
#include "apps/structure/json_schema.h"
#include "gumbelspec/error.h"
#include "gumbelspec/llama_grammar.h"

namespace gumbelspec::server {
namespace {

using Reading = RequestReading;
using Value = FieldValue;

constexpr std::int64_t kMaxInt = std::numeric_limits<std::int32_t>::max();

void read_model(Reading& /*reading*/, const Value& value) { (void)value.text(); }

void read_n(Reading& reading, const Value& value) {
  reading.request.n = static_cast<int>(value.integer(1, kMaxChoices));
}

// Of several names the newest wins, which is read last. -1: as many as the context holds.
void read_max_tokens(Reading& reading, const Value& value) {
  const std::int64_t n = value.integer(-1, kMaxInt);
  reading.request.text.max_tokens = n < 0 ? reading.model.n_context : static_cast<std::size_t>(n);
}

void read_stop(Reading& reading, const Value& value) {
  const auto add = [&](const Value& stop) {
    const std::string& text = stop.text();
    if (text.empty() || text.size() > kMaxStopBytes) {
      stop.refuse("a string of 1 to " + std::to_string(kMaxStopBytes) + " bytes");
    }
    reading.request.stop.push_back(text);
  };
  if (value.json().is_string()) return add(value);
  if (!value.json().is_array()) value.refuse("a string or an array of strings");
  for (std::size_t i = 0; i < value.array(0, kMaxStops).size(); ++i) add(value.element(i));
}

void read_stream_options(Reading& reading, const Value& value) {
  if (!value.has("include_usage")) return;
  reading.request.includes_usage = value.member("include_usage").boolean();
}

void read_temperature(Reading& reading, const Value& value) {
  constexpr float kLeast = 1e-4F;  // of SamplingOptions; the text is that of 0 long before
  const float temperature = value.number();
  reading.request.text.sampling.temperature =
      temperature > 0.0F && temperature < kLeast ? 0.0F : temperature;
}

void read_top_k(Reading& reading, const Value& value) {
  // -1 is how others say "all".
  const std::int64_t k = value.integer(-1, kMaxInt);
  reading.request.text.sampling.top_k = k < 0 ? 0 : static_cast<int>(k);
}

void read_repeat_last_n(Reading& reading, const Value& value) {
  reading.request.text.sampling.penalty_last_n = static_cast<int>(value.integer(-1, kMaxInt));
}

void read_logprobs(Reading& reading, const Value& value) {
  if (reading.request.endpoint == Endpoint::chat) {
    reading.wants_logprobs = value.boolean();
  } else {
    // false: none.
    if (value.json().is_boolean() && !value.boolean()) return;
    reading.request.text.n_logprobs = static_cast<int>(value.integer(0, kMaxLogprobs));
  }
}

void read_top_logprobs(Reading& reading, const Value& value) {
  reading.n_top_logprobs = static_cast<int>(value.integer(0, kMaxLogprobs));
}

void read_grammar(Reading& reading, const Value& value) {
  if (value.text().empty()) return;
  try {
    structure::check_size(value.text(), "grammar");
    check_grammar(value.text());
  } catch (const Error& error) {
    throw bad_field(error, value.name(), "");
  }
  reading.gbnf = value.text();
  reading.grammar_name = value.name();
}

void read_parse_special(Reading& reading, const Value& value) {
  reading.reads_control = value.boolean();
}

void read_method(Reading& reading, const Value& value) {
  try {
    reading.request.text.method = parse_method(value.text());
  } catch (const Error& error) {
    throw bad_field(error, value.name());
  }
}

void read_guarantee(Reading& reading, const Value& value) {
  try {
    reading.guarantee = parse_guarantee(value.text());
  } catch (const Error&) {
    value.refuse("seed, distribution or auto");
  }
}

void read_generation_prompt(Reading& reading, const Value& value) {
  reading.chat.adds_generation_prompt = value.boolean();
  reading.adds_generation_prompt_given = true;
}

void read_continue(Reading& reading, const Value& value) {
  const bool is_reasoning = value.json() == "reasoning_content";
  if (is_reasoning || value.json() == "content") {
    reading.continues = true;
    reading.continuation =
        is_reasoning ? llama_common::Continuation::reasoning : llama_common::Continuation::content;
    return;
  }
  reading.continues = value.boolean();
}

void read_template_variables(Reading& reading, const Value& value) {
  reading.chat.extra = to_text(value.object());
}

constexpr bool kBoth = true;

// name, type, schema, default, completions, chat, description
constexpr std::array kTable = {
    // Before the prompt, which is read by it.
    RequestField{
        {"parse_special", "boolean", R"({"type": "boolean"})", "true", true, false,
         "Whether texts of control tokens in the prompt (\"<|im_end|>\") are those tokens, "
         "as /tokenize reads them; false: they are mere text."},
        read_parse_special},
    RequestField{
        {"prompt", "string, object, or array of strings, tokens, objects, or arrays of those",
         R"({"oneOf": [{"type": "string"}, {"type": "object", "required": ["prompt_string"], "properties": {"prompt_string": {"type": "string"}}}, {"type": "array", "items": {"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "object"}, {"type": "array", "items": {"oneOf": [{"type": "integer"}, {"type": "string"}]}}]}}]})",
         "", true, false,
         "The text to go on with. Several (an array of strings, objects or arrays) are answered as "
         "choices, n for each; an array with a token in it is one prompt, whose strings are read "
         "in their places."},
        read_prompt},
    RequestField{
        {"messages", "array of messages",
         R"({"type": "array", "minItems": 1, "maxItems": 1024, "items": {"$ref": "#/components/schemas/Message"}})",
         "", false, true,
         "The conversation; roles: system, developer, user, assistant, tool, function. Content: a "
         "string, or parts of type text; an assistant's may be null where it has tool_calls."},
        read_messages},
    RequestField{{"model", "string", R"({"type": "string"})", "", kBoth, kBoth,
                  "Not looked at: there is one model, and the answer names it."},
                 read_model},
    RequestField{{"n_predict", "integer", R"({"type": "integer", "minimum": -1})", "", kBoth, kBoth,
                  "llama.cpp's name of max_tokens."},
                 read_max_tokens},
    RequestField{
        {"max_tokens", "integer", R"({"type": "integer", "minimum": -1})", "", kBoth, kBoth,
         "Tokens to generate at most; -1, or without it: as many as the context holds. Of "
         "several names the newest counts: max_completion_tokens, max_tokens, n_predict."},
        read_max_tokens},
    RequestField{{"max_completion_tokens", "integer", R"({"type": "integer", "minimum": -1})", "",
                  kBoth, kBoth, "OpenAI's newer name of max_tokens."},
                 read_max_tokens},
    RequestField{
        {"n", "integer", R"({"type": "integer", "minimum": 1, "maximum": 16})", "1", kBoth, kBoth,
         "Choices for each prompt: independent texts of the seed, choice i from noise "
         "stream i."},
        read_n},
    RequestField{
        {"seed", "integer",
         R"({"type": "integer", "minimum": -1, "maximum": 18446744073709551615})", "", kBoth, kBoth,
         "The same seed gives the same text, with every method and whatever else the "
         "server does; without it, or with -1, a random one, which the answer tells."},
        read_seed},
    RequestField{
        {"stop", "string or array of up to 16 strings",
         R"({"oneOf": [{"type": "string"}, {"type": "array", "maxItems": 16, "items": {"type": "string"}}]})",
         "", kBoth, kBoth,
         "The text ends before the first of these, each 1 to 1024 bytes; they are not "
         "part of it."},
        read_stop},
    RequestField{{"stream", "boolean", R"({"type": "boolean"})", "false", kBoth, kBoth,
                  "Server-sent events, as the text comes (docs/server-stream.md)."},
                 set_flag<&ParsedRequest::stream>},
    RequestField{
        {"stream_options", "object",
         R"({"type": "object", "properties": {"include_usage": {"type": "boolean"}}})", "", kBoth,
         kBoth, "include_usage: an event of its own at the end, without choices, has the usage."},
        read_stream_options},
    RequestField{{"temperature", "number", R"({"type": "number", "minimum": 0})", "1", kBoth, kBoth,
                  "0: always the likeliest token; below 0.0001 the same."},
                 read_temperature},
    RequestField{
        {"top_p", "number", R"({"type": "number", "exclusiveMinimum": 0, "maximum": 1})", "1",
         kBoth, kBoth, "Keep the likeliest tokens that together have this probability; 1: all."},
        set_number<&SamplingOptions::top_p>},
    RequestField{{"top_k", "integer", R"({"type": "integer", "minimum": -1})", "0", kBoth, kBoth,
                  "Keep the k likeliest tokens; 0 or -1: all."},
                 read_top_k},
    RequestField{
        {"min_p", "number", R"({"type": "number", "minimum": 0, "maximum": 1})", "0", kBoth, kBoth,
         "Keep tokens with at least this share of the likeliest one's probability; 0: "
         "all."},
        set_number<&SamplingOptions::min_p>},
    RequestField{{"min_keep", "integer", R"({"type": "integer", "minimum": 0})", "0", kBoth, kBoth,
                  "Tokens that typical_p, top_p, min_p and xtc leave at least; 0: one."},
                 read_min_keep},
    RequestField{{"top_n_sigma", "number", R"({"type": "number"})", "-1", kBoth, kBoth,
                  "Keep tokens whose logit is within so many standard deviations of the largest; 0 "
                  "or less: all."},
                 set_number<&SamplingOptions::top_n_sigma>},
    RequestField{{"typ_p", "number", R"({"type": "number", "exclusiveMinimum": 0})", "", kBoth,
                  kBoth, "Another name of typical_p."},
                 read_typical_p},
    RequestField{
        {"typical_p", "number", R"({"type": "number", "exclusiveMinimum": 0})", "1", kBoth, kBoth,
         "Keep the tokens of the most typical surprise that together have this "
         "probability; 1: all."},
        read_typical_p},
    RequestField{
        {"xtc_probability", "number", R"({"type": "number", "maximum": 1})", "0", kBoth, kBoth,
         "How often all tokens at or above xtc_threshold but the least likely of them are "
         "left out; 0: never."},
        read_xtc_probability},
    RequestField{
        {"xtc_threshold", "number", R"({"type": "number", "minimum": 0, "maximum": 1})", "0.1",
         kBoth, kBoth, "The probability from which xtc takes a token for likely; above 0.5: off."},
        set_number<&SamplingOptions::xtc_threshold>},
    RequestField{
        {"dynatemp_range", "number", R"({"type": "number", "minimum": 0})", "0", kBoth, kBoth,
         "The temperature is between so much below and above temperature, by the entropy "
         "of what is left; 0: off."},
        set_number<&SamplingOptions::dynatemp_range>},
    RequestField{{"dynatemp_exponent", "number", R"({"type": "number", "exclusiveMinimum": 0})",
                  "1", kBoth, kBoth, "Exponent of the entropy's share in dynatemp_range."},
                 set_number<&SamplingOptions::dynatemp_exponent>},
    RequestField{
        {"samplers", "array of names, or string of letters",
         R"({"oneOf": [{"type": "array", "maxItems": 64, "items": {"type": "string"}}, {"type": "string"}]})",
         "", kBoth, kBoth,
         "Which samplers work, in which order: penalties, dry, top_n_sigma, top_k, typ_p, top_p, "
         "min_p, xtc, temperature, adaptive_p (always last), or the letters edskypmxta; without it "
         "that order. Those that are left out do nothing."},
        read_samplers},
    RequestField{{"repeat_penalty", "number", R"({"type": "number", "exclusiveMinimum": 0})", "1",
                  kBoth, kBoth,
                  "Positive logits of tokens that occur are divided by it, negative ones "
                  "multiplied; 1: off."},
                 set_number<&SamplingOptions::repeat_penalty>},
    RequestField{{"presence_penalty", "number", R"({"type": "number"})", "0", kBoth, kBoth,
                  "Subtracted from the logit of each token that occurs."},
                 set_number<&SamplingOptions::presence_penalty>},
    RequestField{{"frequency_penalty", "number", R"({"type": "number"})", "0", kBoth, kBoth,
                  "Subtracted from a token's logit for each time it occurs."},
                 set_number<&SamplingOptions::frequency_penalty>},
    RequestField{
        {"repeat_last_n", "integer", R"({"type": "integer", "minimum": -1})", "64", kBoth, kBoth,
         "Tokens, prompt included, that the penalties look at; -1: all, 0: penalties "
         "off."},
        read_repeat_last_n},
    RequestField{
        {"logit_bias", "object or array of pairs",
         R"({"oneOf": [{"type": "object", "additionalProperties": {"type": "number"}}, {"type": "array", "maxItems": 4096, "items": {"type": "array", "minItems": 2, "maxItems": 2}}]})",
         "", kBoth, kBoth,
         "Added to the logits of tokens: {\"15043\": 1.5, \" word\": -1}, or llama.cpp's [[15043, "
         "1.5], "
         "[\" word\", -1], [2, false]], where false forbids; at most 4096."},
        read_logit_bias},
    RequestField{
        {"logprobs", "integer (completions) or boolean (chat)",
         R"({"oneOf": [{"type": "integer", "minimum": 0, "maximum": 20}, {"type": "boolean"}]})",
         "", kBoth, kBoth,
         "Log-probabilities of the tokens, before temperature, penalties and truncation; "
         "completions: with those of so many likeliest ones, 0 to 20."},
        read_logprobs},
    RequestField{{"top_logprobs", "integer", R"({"type": "integer", "minimum": 0, "maximum": 20})",
                  "", false, true, "With logprobs: those of so many likeliest tokens, too."},
                 read_top_logprobs},
    RequestField{{"grammar", "string", R"({"type": "string", "maxLength": 65536})", "", kBoth,
                  kBoth, "GBNF, with a rule root, that the text follows; at most 64 KiB."},
                 read_grammar},
    RequestField{
        {"response_format", "object",
         R"({"type": "object", "required": ["type"], "properties": {"type": {"type": "string", "enum": ["text", "json_object", "json_schema"]}, "schema": {"type": "object"}, "json_schema": {"type": "object"}}})",
         "", kBoth, kBoth,
         "type text; json_object, also with a schema; or json_schema with "
         "json_schema.schema. Not together with grammar."},
        read_response_format},
    RequestField{{"json_schema", "object", R"({"type": "object"})", "", kBoth, kBoth,
                  "llama.cpp's short form of response_format: a schema that the text follows."},
                 read_json_schema},
    RequestField{{"echo", "boolean", R"({"type": "boolean"})", "false", true, false,
                  "The text begins with the prompt; with logprobs, its tokens have theirs, but for "
                  "the first one (null). max_tokens 0: nothing else."},
                 set_flag<&ParsedRequest::echo>},
    RequestField{{"ignore_eos", "boolean", R"({"type": "boolean"})", "false", kBoth, kBoth,
                  "Go on behind the model's end of text; not together with a grammar."},
                 set_text_flag<&TextOptions::ignores_end>},
    RequestField{{"add_generation_prompt", "boolean", R"({"type": "boolean"})", "true", false, true,
                  "Whether the chat template ends with the beginning of the assistant's answer."},
                 read_generation_prompt},
    RequestField{
        {"continue_final_message", "boolean or string",
         R"({"oneOf": [{"type": "boolean"}, {"type": "string", "enum": ["content", "reasoning_content"]}]})",
         "", false, true,
         "Whether the answer goes on with a last message of role assistant, instead of "
         "answering it; so it is unless add_generation_prompt is given."},
        read_continue},
    RequestField{{"chat_template_kwargs", "object", R"({"type": "object"})", "", false, true,
                  "More variables for the chat template, e.g. {\"enable_thinking\": false}."},
                 read_template_variables},
    RequestField{{"method", "string", R"({"type": "string"})", "", kBoth, kBoth,
                  "How tokens are drafted, as --method; it changes the speed, never the text: "
                  "gumbel-tree, gumbel-beam:width=4,length=5, gumbel-chain, greedy-chain, ar. "
                  "rejection, rejection-tree and block keep the text's distribution only."},
                 read_method},
    RequestField{
        {"guarantee", "string", R"({"type": "string", "enum": ["seed", "distribution", "auto"]})",
         "", kBoth, kBoth,
         "seed: the text is that of its seed, whatever drafts; distribution: only its "
         "distribution is the model's, and gumbel-tree also uses rejection sampling where "
         "that is faster; auto: seed where the request has a seed, distribution where "
         "not. The answer's gumbelspec object says which it was. Default: as --guarantee, "
         "and distribution with a rejection method."},
        read_guarantee},
    RequestField{{"gumbelspec_trace", "boolean", R"({"type": "boolean"})", "false", kBoth, kBoth,
                  "With stream: each round's draft tree and path (docs/server-stream.md)."},
                 set_flag<&ParsedRequest::traces>},
};

}  // namespace

std::span<const RequestField> request_field_table() {
  static const std::vector<RequestField> kFields = [] {
    std::vector<RequestField> all(kTable.begin(), kTable.end());
    for (const auto more : {sampler_field_table(), chat_field_table(), native_field_table()}) {
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  }();
  return kFields;
}

std::span<const FieldDoc> request_fields() {
  static const std::vector<FieldDoc> kDocs = [] {
    std::vector<FieldDoc> out;
    for (const RequestField& field : request_field_table()) out.push_back(field.doc);
    return out;
  }();
  return kDocs;
}

}  // namespace gumbelspec::server
