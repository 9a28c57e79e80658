// llama.cpp's own form of an answer, of /completion and /infill.
#ifndef GUMBELSPEC_APPS_SERVER_API_ANSWER_NATIVE_H_
#define GUMBELSPEC_APPS_SERVER_API_ANSWER_NATIVE_H_

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "apps/server/api/answer_choice.h"
#include "apps/server/api/api_model.h"
#include "apps/server/api/json_text.h"
#include "apps/server/api/request.h"

namespace gumbelspec::server {

// What a text is told of at a time.
struct NativePart {
  std::string text;
  std::vector<TokenId> tokens = {};
  std::span<const TokenReport> reports = {};
};

// An event of a text under way.
[[nodiscard]] Json native_event(const ApiModel& model, const AnswerChoice& choice,
                                const ParsedRequest& request, const NativePart& part);
// A text at its end, with what is still to be written of it.
[[nodiscard]] Json native_end(const ApiModel& model, const AnswerChoice& choice,
                              const ParsedRequest& request, std::uint64_t seed,
                              const NativePart& part);
// Of the members of an answer those that the request asks for; "a/b" is b within a. Those that are
// not there are left out.
[[nodiscard]] Json chosen_fields(const Json& answer, const std::vector<std::string>& fields);

// A prompt as the model reads it, control tokens as the vocabulary writes them.
[[nodiscard]] std::string prompt_text(const ApiModel& model, std::span<const TokenId> prompt);

// What requests leave out, under the names of generation_settings; in /props, too.
[[nodiscard]] Json settings_json(const SamplingOptions& sampling);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_ANSWER_NATIVE_H_
