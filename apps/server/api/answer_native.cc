#include "apps/server/api/answer_native.h"

#include <algorithm>
#include <cmath>

#include "apps/server/api/answer_json.h"

namespace gumbelspec::server {
namespace {

Json ids_json(std::span<const TokenId> tokens) {
  Json out = Json::array();
  for (const TokenId token : tokens) out.push_back(static_cast<std::int32_t>(token));
  return out;
}

// A token with its log-probability, or, of the final distribution, its probability.
Json prob_json(const std::string& bytes, const TokenLogprob& token, bool is_final) {
  Json out{{"id", static_cast<std::int32_t>(token.token)},
           {"token", bytes},
           {"bytes", bytes_json(bytes)}};
  if (is_final) {
    out["prob"] = std::exp(static_cast<double>(token.logprob));
  } else {
    out["logprob"] = finite(token.logprob);
  }
  return out;
}

Json probs_json(const ApiModel& model, const ParsedRequest& request,
                std::span<const TokenReport> reports) {
  const bool is_final = request.text.final_logprobs;
  Json out = Json::array();
  for (const TokenReport& report : reports) {
    Json token = prob_json(report.bytes, report.chosen, is_final);
    Json top = Json::array();
    for (const TokenLogprob& candidate : report.top) {
      // What cannot come is not told.
      if (is_final && std::exp(static_cast<double>(candidate.logprob)) == 0.0) continue;
      top.push_back(prob_json(model.tokenizer->text(candidate.token), candidate, is_final));
    }
    token[is_final ? "top_probs" : "top_logprobs"] = std::move(top);
    out.push_back(std::move(token));
  }
  return out;
}

Json bias_json(const SamplingOptions& sampling) {
  Json out = Json::array();
  for (const LogitBias& bias : sampling.logit_bias) {
    // JSON has no infinity; llama.cpp's server writes null, too.
    out.push_back({{"token", static_cast<std::int32_t>(bias.token)},
                   {"bias", std::isfinite(bias.bias) ? Json(bias.bias) : Json(nullptr)}});
  }
  return out;
}

Json request_settings(const ParsedRequest& request, std::uint64_t seed) {
  Json settings = settings_json(request.text.sampling);
  settings["seed"] = seed;
  settings["n_predict"] = request.text.max_tokens;
  settings["max_tokens"] = request.text.max_tokens;
  settings["stop"] = request.stop;
  settings["stream"] = request.stream;
  settings["ignore_eos"] = request.text.ignores_end;
  settings["logit_bias"] = bias_json(request.text.sampling);
  settings["n_probs"] = request.native.has_probs ? request.text.n_logprobs : 0;
  settings["post_sampling_probs"] = request.text.final_logprobs;
  settings["timings_per_token"] = request.native.timings_per_token;
  return settings;
}

void add_part(const ApiModel& model, const ParsedRequest& request, const NativePart& part,
              Json& out) {
  out["content"] = part.text;
  out["tokens"] = ids_json(part.tokens);
  if (request.text.n_logprobs >= 0 && !part.reports.empty()) {
    out["completion_probabilities"] = probs_json(model, request, part.reports);
  }
}

}  // namespace

Json settings_json(const SamplingOptions& sampling) {
  Json out = sampling_json(sampling);
  const auto order = sampling.samplers ? std::span<const Sampler>(*sampling.samplers)
                                       : std::span<const Sampler>(kDefaultSamplers);
  Json names = Json::array();
  for (const Sampler sampler : order) names.push_back(to_string(sampler));
  out["samplers"] = std::move(names);
  return out;
}

std::string prompt_text(const ApiModel& model, std::span<const TokenId> prompt) {
  std::string text;
  for (const TokenId token : prompt) text += model.tokenizer->text(token);
  return text;
}

Json native_event(const ApiModel& model, const AnswerChoice& choice, const ParsedRequest& request,
                  const NativePart& part) {
  Json out{{"index", choice.index()}};
  add_part(model, request, part, out);
  out["stop"] = false;
  out["id_slot"] =
      request.text.slot == kAnySlot ? Json(-1) : Json(static_cast<std::int64_t>(request.text.slot));
  out["tokens_predicted"] = choice.n_generated();
  out["tokens_evaluated"] = request.prompts[choice.prompt()].size();
  return out;
}

Json native_end(const ApiModel& model, const AnswerChoice& choice, const ParsedRequest& request,
                std::uint64_t seed, const NativePart& part) {
  Json out = native_event(model, choice, request, part);
  out["stop"] = true;
  out["model"] = model.id;
  out["generation_settings"] = request_settings(request, seed);
  out["prompt"] = prompt_text(model, request.prompts[choice.prompt()]);
  out["has_new_line"] = choice.has_new_line();
  out["truncated"] = choice.is_truncated();
  out["stop_type"] = choice.stop_type();
  out["stopping_word"] = choice.stopping_word();
  out["tokens_cached"] = choice.n_reused();
  out["timings"] = timings_json({&choice, 1});
  return out;
}

Json chosen_fields(const Json& answer, const std::vector<std::string>& fields) {
  if (fields.empty()) return answer;
  Json out = Json::object();
  for (const std::string& field : fields) {
    const Json* value = &answer;
    for (std::size_t begin = 0; value != nullptr && begin <= field.size();) {
      const std::size_t end = std::min(field.find('/', begin), field.size());
      const std::string name = field.substr(begin, end - begin);
      const bool is_there = value->is_object() && value->contains(name);
      value = is_there ? &value->at(name) : nullptr;
      begin = end + 1;
    }
    if (value != nullptr) out[field] = *value;
  }
  return out;
}

}  // namespace gumbelspec::server
