#include "bindings/c/options.h"

#include <algorithm>
#include <array>
#include <limits>
#include <string_view>
#include <utility>

#include "apps/common/random_seed.h"
#include "apps/common/report.h"
#include "apps/server/api/field_value.h"
#include "apps/server/api/request.h"
#include "apps/server/api/unsupported_fields.h"
#include "bindings/c/status.h"

namespace gumbelspec::c {
namespace {

using server::FieldValue;
using server::Json;

// Of a server's answer, not of a text: streaming, several choices, the prompt, which tokens and
// chat_tokens have; and two that a library bounds and names differently.
constexpr std::array<std::string_view, 9> kNotOfATexts = {
    "prompt", "parse_special",    "model",   "n", "stream", "stream_options",
    "echo",   "gumbelspec_trace", "logprobs"};

// What the server does not have.
constexpr std::array kOwn = {
    OptionDoc{"logprobs", "integer",
              "Log-probabilities of the tokens, with those of so many likeliest ones, 0 to 1000"},
    OptionDoc{"noise_stream", "integer",
              "Independent texts of one seed, from 0; the server's choice i has i (0)"},
};

std::int64_t own_value(Json& options, std::string_view name, std::int64_t most,
                       std::int64_t fallback) {
  const auto found = options.find(name);
  if (found == options.end()) return fallback;
  const Json json = *found;
  options.erase(found);
  return json.is_null() ? fallback : FieldValue(json, std::string(name)).integer(0, most);
}

// What these models can run of it: recurrent ones cannot branch.
Method possible(const Method& method, const LoadedPair& pair) {
  if (!method.drafts()) return method;
  const ModelLimits& target = pair.pair.target().limits();
  const LanguageModel* const draft = pair.pair.draft();
  return possible_method(method, target, draft == nullptr ? target : draft->limits()).method;
}

struct BatchOption {
  OptionDoc doc;
  void (*read)(BatchOptions&, const FieldValue&);
};

constexpr std::int64_t kMaxInt = std::numeric_limits<std::int32_t>::max();

constexpr std::array kBatchOptions = {
    BatchOption{{"max_active", "integer", "Texts at once; 0: what the pair has sequences for (0)"},
                [](BatchOptions& o, const FieldValue& v) {
                  o.max_active = static_cast<std::size_t>(v.integer(0, kMaxInt));
                }},
    BatchOption{
        {"prompt_tokens_per_round", "integer", "Prompt tokens read between two rounds (256)"},
        [](BatchOptions& o, const FieldValue& v) {
          o.prompt_tokens_per_round = static_cast<std::size_t>(v.integer(1, kMaxInt));
        }},
    BatchOption{{"reuses_prefixes", "boolean", "Keep texts for prompts that begin alike (true)"},
                [](BatchOptions& o, const FieldValue& v) { o.reuses_prefixes = v.boolean(); }},
    BatchOption{{"max_gap_ms", "number", "What a round may take; 0: 1.8 plain ones (0)"},
                [](BatchOptions& o, const FieldValue& v) {
                  o.max_gap_ms = static_cast<double>(v.number());
                }},
};

}  // namespace

Json parse_options(const char* text) {
  if (text == nullptr || *text == '\0') return Json::object();
  return server::parse_body(text);
}

void refuse_unknown(const std::string& name, std::span<const OptionDoc> known) {
  std::string names;
  for (const OptionDoc& option : known) {
    names += (names.empty() ? "" : ", ") + std::string(option.name);
  }
  throw Error(ErrorCode::invalid_option,
              server::shown(Json(name)) + " is no option; give one of " + names, name);
}

std::span<const OptionDoc> text_option_docs() {
  static const std::vector<OptionDoc> kDocs = [] {
    std::vector<OptionDoc> out;
    for (const server::FieldDoc& field : server::request_fields()) {
      const bool is_left_out =
          std::find(kNotOfATexts.begin(), kNotOfATexts.end(), field.name) != kNotOfATexts.end();
      if (!field.in_completions || is_left_out) continue;
      out.push_back({field.name, field.type, field.description});
    }
    out.insert(out.end(), kOwn.begin(), kOwn.end());
    return out;
  }();
  return kDocs;
}

std::span<const OptionDoc> batch_option_docs() {
  static const std::vector<OptionDoc> kDocs = [] {
    std::vector<OptionDoc> out;
    for (const BatchOption& option : kBatchOptions) out.push_back(option.doc);
    return out;
  }();
  return kDocs;
}

TextOptions TextRequest::fresh() const {
  TextOptions out = options;
  if (grammar) out.constraint = grammar->matcher();
  return out;
}

TextRequest read_text_options(const LoadedPair& pair, const char* text) {
  Json json = parse_options(text);
  const std::span<const OptionDoc> known = text_option_docs();
  for (const auto& item : json.items()) {
    const bool is_known = server::is_checked(item.key()) ||
                          std::any_of(known.begin(), known.end(), [&](const OptionDoc& option) {
                            return option.name == item.key();
                          });
    if (!is_known) refuse_unknown(item.key(), known);
  }
  const auto n_logprobs = static_cast<int>(own_value(json, "logprobs", 1000, -1));
  const auto stream = static_cast<std::uint32_t>(
      own_value(json, "noise_stream", std::numeric_limits<std::uint32_t>::max(), 0));
  // The rest is a request, whose prompt is not looked at.
  json["prompt"] = Json::array({0});
  server::ParsedRequest request =
      server::parse_request(json.dump(), pair.api, server::Endpoint::completions);
  TextRequest out;
  out.options = std::move(request.text);
  out.options.n_logprobs = n_logprobs;
  out.options.stream = stream;
  out.options.method = possible(out.options.method, pair);
  out.options.seed = request.seed ? *request.seed : apps::random_seed();
  out.grammar = std::move(request.grammar);
  out.stop = std::move(request.stop);
  return out;
}

BatchOptions read_batch_options(const char* text) {
  BatchOptions out;
  const Json json = parse_options(text);
  for (const auto& item : json.items()) {
    const auto* const found =
        std::find_if(kBatchOptions.begin(), kBatchOptions.end(),
                     [&](const BatchOption& option) { return option.doc.name == item.key(); });
    if (found == kBatchOptions.end()) refuse_unknown(item.key(), batch_option_docs());
    if (!item.value().is_null()) found->read(out, FieldValue(item.value(), item.key()));
  }
  return out;
}

std::string report_of(const TextOptions& options, Outcome outcome, const Statistics& statistics) {
  return server::to_text(Json{
      {"seed", options.seed},
      {"method", to_string(options.method)},
      {"guarantee", to_string(options.guarantee)},
      {"stop_reason", to_string(outcome)},
      {"stats", apps::statistics_json(statistics)},
  });
}

}  // namespace gumbelspec::c
