// The parts of answers, as JSON.
#ifndef GUMBELSPEC_APPS_SERVER_API_ANSWER_JSON_H_
#define GUMBELSPEC_APPS_SERVER_API_ANSWER_JSON_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "apps/server/api/answer.h"
#include "apps/server/api/answer_choice.h"
#include "apps/server/api/json_text.h"
#include "apps/server/api/request.h"

namespace gumbelspec::server {

// What of an answer stays the same: id, object, created, model, system_fingerprint.
[[nodiscard]] Json answer_head(const ApiModel& model, Endpoint endpoint, bool is_chunk,
                               const AnswerOptions& options);

[[nodiscard]] Json completion_logprobs(const ApiModel& model, std::span<const TokenReport> reports);
[[nodiscard]] Json chat_logprobs(const ApiModel& model, std::span<const TokenReport> reports);

// Of a prompt and the text behind it, the first token's null.
[[nodiscard]] Json prompt_logprobs(const ApiModel& model, std::span<const TokenId> prompt,
                                   std::span<const TokenReport> reports,
                                   std::span<const TokenReport> text);

// A logarithm that JSON can hold: -infinity is OpenAI's -9999.
[[nodiscard]] double finite(float logprob);
[[nodiscard]] Json bytes_json(const std::string& bytes);

// llama.cpp's names. Counts are sums over the texts; times are the longest text's, since they come
// side by side.
[[nodiscard]] Json timings_json(std::span<const AnswerChoice> choices);

[[nodiscard]] AnswerSummary summary_of(const ParsedRequest& request,
                                       std::span<const AnswerChoice> choices);
[[nodiscard]] Json usage_json(const AnswerSummary& summary);

// {"seed", "noise_version", "guarantee", "method", "tokens_per_pass"}
[[nodiscard]] Json gumbelspec_json(const ParsedRequest& request, std::uint64_t seed,
                                   const AnswerSummary& summary);

// Under the names that requests have for them.
[[nodiscard]] Json sampling_json(const SamplingOptions& sampling);

// A round as the web page draws it (docs/server-stream.md).
[[nodiscard]] Json trace_json(const ApiModel& model, const BatchRound& round, std::size_t n_round,
                              std::size_t text_start);

// A token's bytes as text; not UTF-8: as OpenAI's completions write it, "bytes:\xe2\x80".
[[nodiscard]] std::string token_name(const std::string& bytes);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_ANSWER_JSON_H_
