#include "apps/server/api/answer_json.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "gumbelspec/noise.h"

namespace gumbelspec::server {
namespace {

// With llama.cpp's id.
Json chat_token(const std::string& bytes, const TokenLogprob& token) {
  return {{"id", static_cast<std::int32_t>(token.token)},
          {"token", bytes},
          {"logprob", finite(token.logprob)},
          {"bytes", bytes_json(bytes)}};
}

Json candidate_map(const ApiModel& model, const TokenReport& report) {
  Json out = Json::object();
  for (const TokenLogprob& top : report.top) {
    // Two tokens can be spelled alike; the likelier one comes first.
    out.emplace(token_name(model.tokenizer->piece(top.token)), finite(top.logprob));
  }
  out.emplace(token_name(report.bytes), finite(report.chosen.logprob));
  return out;
}

std::size_t n_characters(const std::string& bytes) {
  return static_cast<std::size_t>(std::count_if(bytes.begin(), bytes.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  }));
}

double ratio(double part, double whole) { return whole > 0.0 ? part / whole : 0.0; }

}  // namespace

// JSON has no infinity; this is what OpenAI writes for it.
double finite(float logprob) {
  return std::isfinite(logprob) ? static_cast<double>(logprob) : -9999.0;
}

Json bytes_json(const std::string& bytes) {
  Json out = Json::array();
  for (const char byte : bytes) out.push_back(static_cast<unsigned char>(byte));
  return out;
}

std::string token_name(const std::string& bytes) {
  if (!apps::first_invalid_utf8(bytes)) return bytes;
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "bytes:";
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    out += "\\x";
    out += kHex[value >> 4U];
    out += kHex[value & 0xFU];
  }
  return out;
}

Json answer_head(const ApiModel& model, Endpoint endpoint, bool is_chunk,
                 const AnswerOptions& options) {
  const bool is_chat = endpoint == Endpoint::chat;
  const char* object = !is_chat   ? "text_completion"
                       : is_chunk ? "chat.completion.chunk"
                                  : "chat.completion";
  return {{"id", (is_chat ? "chatcmpl-" : "cmpl-") + options.id},
          {"object", object},
          {"created", options.created},
          {"model", model.id},
          {"system_fingerprint", model.fingerprint}};
}

Json prompt_logprobs(const ApiModel& model, std::span<const TokenId> prompt,
                     std::span<const TokenReport> reports, std::span<const TokenReport> text) {
  std::vector<TokenReport> all;
  // The first token has nothing before it that could predict it.
  TokenReport first;
  first.bytes = model.tokenizer->text(prompt.front());
  all.push_back(std::move(first));
  all.insert(all.end(), reports.begin(), reports.end());
  std::size_t offset = 0;
  for (TokenReport& report : all) {
    report.offset = offset;
    offset += n_characters(report.bytes);
  }
  for (const TokenReport& report : text) {
    all.push_back(report);
    all.back().offset += offset;
  }
  Json out = completion_logprobs(model, all);
  out["token_logprobs"][0] = nullptr;
  if (!out["top_logprobs"].is_null()) out["top_logprobs"][0] = nullptr;
  return out;
}

Json completion_logprobs(const ApiModel& model, std::span<const TokenReport> reports) {
  Json tokens = Json::array();
  Json logprobs = Json::array();
  Json offsets = Json::array();
  Json top = Json::array();
  bool has_top = false;
  for (const TokenReport& report : reports) {
    tokens.push_back(token_name(report.bytes));
    logprobs.push_back(finite(report.chosen.logprob));
    offsets.push_back(report.offset);
    top.push_back(candidate_map(model, report));
    has_top = has_top || !report.top.empty();
  }
  return {{"tokens", tokens},
          {"token_logprobs", logprobs},
          {"top_logprobs", has_top ? top : Json(nullptr)},
          {"text_offset", offsets}};
}

Json chat_logprobs(const ApiModel& model, std::span<const TokenReport> reports) {
  Json content = Json::array();
  for (const TokenReport& report : reports) {
    Json token = chat_token(report.bytes, report.chosen);
    Json top = Json::array();
    for (const TokenLogprob& candidate : report.top) {
      top.push_back(chat_token(model.tokenizer->piece(candidate.token), candidate));
    }
    token["top_logprobs"] = top;
    content.push_back(token);
  }
  return {{"content", content}, {"refusal", nullptr}};
}

Json timings_json(std::span<const AnswerChoice> choices) {
  std::size_t n_reused = 0;
  std::size_t n_prompt = 0;
  std::size_t n_generated = 0;
  std::size_t n_drafted = 0;
  std::size_t n_accepted = 0;
  double prompt_ms = 0.0;
  double decode_ms = 0.0;
  for (const AnswerChoice& choice : choices) {
    const Statistics& s = choice.statistics();
    n_reused += choice.n_reused();
    n_prompt += s.n_prompt - std::min(choice.n_reused(), s.n_prompt);
    n_generated += choice.n_generated();
    n_drafted += s.n_drafted;
    n_accepted += s.n_accepted;
    prompt_ms = std::max(prompt_ms, 1e3 * s.prompt_s);
    decode_ms = std::max(decode_ms, 1e3 * s.decode_s);
  }
  const auto read = static_cast<double>(n_prompt);
  const auto generated = static_cast<double>(n_generated);
  return {{"cache_n", n_reused},
          {"prompt_n", n_prompt},
          {"prompt_ms", prompt_ms},
          {"prompt_per_token_ms", ratio(prompt_ms, read)},
          {"prompt_per_second", ratio(1e3 * read, prompt_ms)},
          {"predicted_n", n_generated},
          {"predicted_ms", decode_ms},
          {"predicted_per_token_ms", ratio(decode_ms, generated)},
          {"predicted_per_second", ratio(1e3 * generated, decode_ms)},
          {"draft_n", n_drafted},
          {"draft_n_accepted", n_accepted}};
}

AnswerSummary summary_of(const ParsedRequest& request, std::span<const AnswerChoice> choices) {
  AnswerSummary sums;
  std::size_t n_passes = 0;
  std::size_t n_generated = 0;
  std::vector<std::size_t> reused(request.prompts.size(), std::numeric_limits<std::size_t>::max());
  for (const AnswerChoice& choice : choices) {
    const Statistics& s = choice.statistics();
    n_passes += s.n_target_passes;
    n_generated += s.n_generated;
    sums.n_generated += choice.n_generated();
    sums.n_rounds += choice.n_rounds();
    sums.n_drafted += s.n_drafted;
    sums.n_accepted += s.n_accepted;
    reused[choice.prompt()] = std::min(reused[choice.prompt()], choice.n_reused());
    if (choice.finish_reason() != nullptr) sums.finish = choice.finish_reason();
  }
  for (std::size_t p = 0; p < request.prompts.size(); ++p) {
    sums.n_prompt += request.prompts[p].size();
    sums.n_reused += reused[p];
  }
  if (n_passes > 0) {
    sums.tokens_per_pass = static_cast<double>(n_generated) / static_cast<double>(n_passes);
  }
  return sums;
}

Json usage_json(const AnswerSummary& summary) {
  return {{"prompt_tokens", summary.n_prompt},
          {"completion_tokens", summary.n_generated},
          {"total_tokens", summary.n_prompt + summary.n_generated},
          {"prompt_tokens_details", {{"cached_tokens", summary.n_reused}}}};
}

Json sampling_json(const SamplingOptions& sampling) {
  return {{"temperature", sampling.temperature},
          {"top_k", sampling.top_k},
          {"top_p", sampling.top_p},
          {"min_p", sampling.min_p},
          {"repeat_penalty", sampling.repeat_penalty},
          {"presence_penalty", sampling.presence_penalty},
          {"frequency_penalty", sampling.frequency_penalty},
          {"repeat_last_n", sampling.penalty_last_n},
          {"min_keep", sampling.min_keep},
          {"top_n_sigma", sampling.top_n_sigma},
          {"typical_p", sampling.typical_p},
          {"xtc_probability", sampling.xtc_probability},
          {"xtc_threshold", sampling.xtc_threshold},
          {"dynatemp_range", sampling.dynatemp_range},
          {"dynatemp_exponent", sampling.dynatemp_exponent},
          {"dry_multiplier", sampling.dry_multiplier},
          {"dry_base", sampling.dry_base},
          {"dry_allowed_length", sampling.dry_allowed_length},
          {"dry_penalty_last_n", sampling.dry_penalty_last_n},
          {"mirostat", sampling.mirostat},
          {"mirostat_tau", sampling.mirostat_tau},
          {"mirostat_eta", sampling.mirostat_eta},
          {"adaptive_target", sampling.adaptive_target},
          {"adaptive_decay", sampling.adaptive_decay}};
}

Json gumbelspec_json(const ParsedRequest& request, std::uint64_t seed,
                     const AnswerSummary& summary) {
  return {{"seed", seed},
          {"noise_version", kNoiseVersion},
          {"guarantee", to_string(request.text.guarantee)},
          {"method", to_string(request.text.method)},
          {"tokens_per_pass", summary.tokens_per_pass}};
}

}  // namespace gumbelspec::server
