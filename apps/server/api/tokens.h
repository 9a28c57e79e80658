// The small endpoints: JSON in, JSON out.
#ifndef GUMBELSPEC_APPS_SERVER_API_TOKENS_H_
#define GUMBELSPEC_APPS_SERVER_API_TOKENS_H_

#include <string>
#include <string_view>

#include "apps/server/api/api_error.h"
#include "apps/server/api/api_model.h"
#include "apps/server/api/request.h"

namespace gumbelspec::server {

// POST /tokenize: {"content", "add_special": false, "parse_special": true, "with_pieces": false}
// -> {"tokens": [...]}, as llama.cpp's server. Throws: ApiError.
[[nodiscard]] std::string answer_tokenize(std::string_view body, const ApiModel& model);

// POST /detokenize: {"tokens": [...]} -> {"content": "..."}. Throws: ApiError.
[[nodiscard]] std::string answer_detokenize(std::string_view body, const ApiModel& model);

// GET /v1/models, and of one of them. Throws: ApiError{404}.
[[nodiscard]] std::string answer_models(const ApiModel& model);
[[nodiscard]] std::string answer_model(const ApiModel& model, const std::string& id);

// POST /apply-template: a chat's body -> {"prompt": "..."}. Throws: ApiError.
[[nodiscard]] std::string answer_apply_template(std::string_view body, const ApiModel& model);
// POST /v1/chat/completions/input_tokens: the same -> {"input_tokens": N}; so the counting
// endpoints of the other forms of a chat. Throws: ApiError.
[[nodiscard]] std::string answer_input_tokens(std::string_view body, const ApiModel& model,
                                              Endpoint endpoint);
[[nodiscard]] std::string answer_input_tokens(std::string_view body, const ApiModel& model);

// GET /props and /slots, of them what clients look for. n_slots: texts decoded at once;
// is_asleep: the models are not loaded just now; n_texts: those there are, waiting ones too.
[[nodiscard]] std::string answer_props(const ApiModel& model, std::size_t n_slots,
                                       bool is_asleep = false);
[[nodiscard]] std::string answer_slots(const ApiModel& model, std::size_t n_slots,
                                       std::size_t n_texts);

// GET /health. 503 with the error object while the model is being loaded.
[[nodiscard]] std::string answer_health();
[[nodiscard]] ApiError still_loading();

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_TOKENS_H_
