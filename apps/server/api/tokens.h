// The small endpoints: JSON in, JSON out.
#ifndef GUMBELSPEC_APPS_SERVER_API_TOKENS_H_
#define GUMBELSPEC_APPS_SERVER_API_TOKENS_H_

#include <string>
#include <string_view>

#include "apps/server/api/api_error.h"
#include "apps/server/api/api_model.h"

namespace gumbelspec::server {

// POST /tokenize: {"content", "add_special": false, "parse_special": true, "with_pieces": false}
// -> {"tokens": [...]}, as llama.cpp's server. Throws: ApiError.
[[nodiscard]] std::string answer_tokenize(std::string_view body, const ApiModel& model);

// POST /detokenize: {"tokens": [...]} -> {"content": "..."}. Throws: ApiError.
[[nodiscard]] std::string answer_detokenize(std::string_view body, const ApiModel& model);

// GET /v1/models.
[[nodiscard]] std::string answer_models(const ApiModel& model);

// GET /health. 503 with the error object while the model is being loaded.
[[nodiscard]] std::string answer_health();
[[nodiscard]] ApiError still_loading();

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_TOKENS_H_
