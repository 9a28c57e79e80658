// Ollama's API, which front ends look for: its bodies become ours, and our answers its.
#ifndef GUMBELSPEC_APPS_SERVER_API_OLLAMA_H_
#define GUMBELSPEC_APPS_SERVER_API_OLLAMA_H_

#include <string>
#include <string_view>

#include "apps/server/api/answer.h"
#include "apps/server/api/api_model.h"
#include "apps/server/api/json_text.h"

namespace gumbelspec::server {

enum class OllamaEndpoint { chat, generate };

// The body of POST /api/chat or /api/generate as one of ours; it streams unless it says otherwise.
// Throws: ApiError.
struct OllamaRequest {
  Endpoint endpoint = Endpoint::chat;  // or native
  std::string body;
  bool streams = true;
};
[[nodiscard]] OllamaRequest read_ollama(OllamaEndpoint endpoint, std::string_view body);

// Where the answer to that goes, as lines of JSON. ours: OllamaRequest::endpoint.
// Lifetime: model outlives the result.
[[nodiscard]] AnswerOutput ollama_output(OllamaEndpoint endpoint, Endpoint ours,
                                         const ApiModel& model, AnswerOutput inner);

[[nodiscard]] Json ollama_model_json(const ApiModel& model);
// GET /api/version, GET /api/tags, POST /api/show. Throws: ApiError.
[[nodiscard]] std::string answer_ollama_version();
[[nodiscard]] std::string answer_ollama_tags(const ApiModel& model);
[[nodiscard]] std::string answer_ollama_show(const ApiModel& model, std::string_view body);

// Its clients read errors as {"error": TEXT}.
[[nodiscard]] std::string ollama_error(const ApiError& error);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_OLLAMA_H_
