#include "apps/server/api/request.h"

#include <algorithm>
#include <utility>

#include "apps/server/api/chat_body.h"
#include "apps/server/api/request_reading.h"
#include "apps/server/api/unsupported_fields.h"

namespace gumbelspec::server {
namespace {

void read_fields(RequestReading& reading, const Json& body) {
  const bool has_messages = is_chat(reading.request.endpoint);
  for (const RequestField& field : request_field_table()) {
    if (!(has_messages ? field.doc.in_chat : field.doc.in_completions)) continue;
    // The gap's fields are read together.
    if (reading.request.endpoint == Endpoint::infill && field.doc.name == "prompt") continue;
    const auto found = body.find(field.doc.name);
    // Clients write null for what they leave out.
    if (found == body.end() || found->is_null()) continue;
    field.read(reading, FieldValue(*found, std::string(field.doc.name)));
  }
}

void refuse_unknown(const Json& body, Endpoint endpoint) {
  const bool has_messages = is_chat(endpoint);
  for (const auto& item : body.items()) {
    const bool is_known =
        is_checked(item.key()) ||
        (endpoint == Endpoint::infill && item.key().rfind("input_", 0) == 0) ||
        std::any_of(request_field_table().begin(), request_field_table().end(),
                    [&](const RequestField& field) {
                      return field.doc.name == item.key() &&
                             (has_messages ? field.doc.in_chat : field.doc.in_completions);
                    });
    if (is_known) continue;
    throw bad_request(shown(Json(item.key())) +
                          " is no field that this endpoint knows (--strict-fields); leave it out",
                      item.key(), "unknown_field");
  }
}

void check_sampling(const SamplingOptions& sampling) {
  try {
    validate(sampling);
  } catch (const Error& error) {
    throw api_error(error);
  }
}

void check_prompts(const RequestReading& reading, const std::string& param) {
  const ParsedRequest& request = reading.request;
  for (const std::vector<TokenId>& prompt : request.prompts) {
    if (prompt.empty()) {
      throw bad_request("the prompt has no tokens, but must have at least 1; give some text", param,
                        "invalid_prompt");
    }
    if (prompt.size() >= reading.model.n_context) {
      // The numbers under llama.cpp's names.
      throw too_long(prompt.size(), reading.model.n_context, param);
    }
  }
  if (request.n_texts() > kMaxTexts) {
    throw bad_request("the request asks for " + std::to_string(request.n_texts()) +
                          " texts, at most " + std::to_string(kMaxTexts) +
                          " are allowed; send several requests",
                      "n", "invalid_value");
  }
}

void settle_logprobs(RequestReading& reading) {
  ParsedRequest& request = reading.request;
  if (reading.wants_logprobs) request.text.n_logprobs = reading.n_top_logprobs.value_or(0);
  if (reading.n_top_logprobs && !reading.wants_logprobs) {
    throw bad_request("top_logprobs is given without logprobs; set logprobs to true",
                      "top_logprobs", "invalid_value");
  }
}

void compile(RequestReading& reading) {
  ParsedRequest& request = reading.request;
  if (request.text.ignores_end) {
    throw bad_request(
        "ignore_eos is given with a grammar, whose end is the end of the text; leave "
        "it out",
        "ignore_eos", "invalid_value");
  }
  try {
    request.grammar = reading.model.compile_grammar(reading.gbnf, reading.trigger);
  } catch (const Error& error) {
    throw bad_field(error, reading.grammar_name);
  }
}

void settle_grammar(RequestReading& reading) {
  if (!reading.gbnf.empty()) compile(reading);
  if (!reading.reasoning) return;
  std::shared_ptr<const Grammar>& grammar = reading.request.grammar;
  grammar = with_reasoning(*std::move(reading.reasoning), std::move(grammar));
}

// The newer forms of a chat have no place for these in their answers.
void check_form(const ParsedRequest& request) {
  if (request.endpoint != Endpoint::responses && request.endpoint != Endpoint::messages) return;
  const char* field = request.n != 1                 ? "n"
                      : request.text.n_logprobs >= 0 ? "logprobs"
                      : request.traces               ? "gumbelspec_trace"
                                                     : nullptr;
  if (field == nullptr) return;
  throw bad_request(std::string(field) +
                        " is given, but this endpoint's answers have no place for it; leave it "
                        "out, or ask /v1/chat/completions",
                    field, "unsupported");
}

void settle_guarantee(RequestReading& reading) {
  ParsedRequest& request = reading.request;
  if (request.text.method.keeps_seed()) {
    request.text.guarantee = guarantee_for(reading.guarantee.value_or(reading.model.guarantee),
                                           request.seed.has_value());
    return;
  }
  if (reading.guarantee == Guarantee::seed) {
    throw bad_request("guarantee is seed, but method " + to_string(request.text.method) +
                          " keeps the distribution only; give distribution, or another method",
                      "guarantee", "invalid_value");
  }
  request.text.guarantee = Guarantee::distribution;
}

}  // namespace

ParsedRequest parse_request(std::string_view text, const ApiModel& model, Endpoint endpoint) {
  const Json body = chat_body(parse_body(text), endpoint);
  RequestReading reading{model};
  ParsedRequest& request = reading.request;
  request.endpoint = endpoint;
  request.text.sampling = model.sampling;
  request.text.method = model.method;
  request.text.max_tokens = model.max_tokens > 0 ? model.max_tokens : model.n_context;
  request.seed = model.seed;
  request.native.is_verbose = model.is_verbose;
  refuse_unsupported(body);
  if (model.refuses_unknown_fields) refuse_unknown(body, endpoint);
  read_fields(reading, body);
  check_sampling(request.text.sampling);
  settle_breakers(reading);
  settle_logprobs(reading);
  check_form(request);
  if (request.traces && !request.stream) {
    throw bad_request("gumbelspec_trace is given without stream; set stream to true",
                      "gumbelspec_trace", "invalid_value");
  }
  // What needs a draft model is decoded plainly without one.
  if (!model.has_draft && request.text.method.kind != MethodKind::gumbel_tree) {
    request.text.method = Method::of(MethodKind::ar);
  }
  settle_guarantee(reading);
  const bool has_messages = is_chat(endpoint);
  if (has_messages && !reading.messages.empty()) add_messages(reading);
  if (endpoint == Endpoint::infill) read_infill(reading, body);
  const std::string param = has_messages ? "messages" : "prompt";
  if (request.prompts.empty()) {
    throw bad_request("there is no " + param + "; give one", param, "missing_field");
  }
  check_prompts(reading, param);
  settle_grammar(reading);
  if (!request.echo) request.prompt_texts.clear();
  return std::move(request);
}

ParsedRequest parse_completion(std::string_view body, const ApiModel& model) {
  return parse_request(body, model, Endpoint::completions);
}

ParsedRequest parse_chat(std::string_view body, const ApiModel& model) {
  return parse_request(body, model, Endpoint::chat);
}

ParsedRequest parse_native(std::string_view body, const ApiModel& model) {
  return parse_request(body, model, Endpoint::native);
}

std::string chat_prompt(std::string_view body, const ApiModel& model) {
  const Json json = parse_body(body);
  RequestReading reading{model};
  reading.request.endpoint = Endpoint::chat;
  read_fields(reading, json);
  if (reading.messages.empty()) {
    throw bad_request("there is no messages; give one", "messages", "missing_field");
  }
  return render_messages(reading);
}

}  // namespace gumbelspec::server
