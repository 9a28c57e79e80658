#include "apps/server/api/api_error.h"

#include <utility>

#include "apps/server/api/json_text.h"

namespace gumbelspec::server {
namespace {

Json or_null(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }

Json to_json(const ApiError& error) {
  Json body{{"code", or_null(error.code())},
            {"message", error.what()},
            {"type", error.type()},
            {"param", or_null(error.param())}};
  for (const auto& [name, value] : error.numbers()) body[name] = value;
  return {{"error", body}};
}

}  // namespace

ApiError::ApiError(int status, std::string type, const std::string& message, std::string param,
                   std::string code)
    : std::runtime_error(message),
      status_(status),
      type_(std::move(type)),
      param_(std::move(param)),
      code_(std::move(code)) {}

std::string ApiError::body() const { return to_text(to_json(*this)); }
std::string ApiError::event() const { return to_event(to_json(*this)); }

ApiError bad_request(const std::string& message, const std::string& param,
                     const std::string& code) {
  return ApiError(400, "invalid_request_error", message, param, code);
}

ApiError too_long(std::size_t n_prompt, std::size_t n_context, const std::string& param) {
  return ApiError(400, "exceed_context_size_error",
                  "the prompt has " + std::to_string(n_prompt) +
                      " tokens, which exceeds the available context size of " +
                      std::to_string(n_context) +
                      " with at least 1 to generate; shorten it or serve with a larger -c",
                  param, "context_length_exceeded")
      .tell("n_prompt_tokens", n_prompt)
      .tell("n_ctx", n_context);
}

std::string json_name(std::string_view field) {
  if (field == "penalty_last_n") return "repeat_last_n";
  if (field == "n_logprobs") return "logprobs";
  if (field == "slot") return "id_slot";
  if (field == "text") return "prompt";
  // Not the request's to change.
  if (field == "n_context") return "the server's -c";
  return std::string(field);
}

ApiError api_error(const Error& error) {
  const std::string message = error.message_with(json_name);
  const std::string param = json_name(error.field());
  switch (error.code()) {
    case ErrorCode::prompt_too_long:
      return bad_request(message, param, "context_length_exceeded");
    case ErrorCode::invalid_prompt:
      return bad_request(message, param, "invalid_prompt");
    case ErrorCode::invalid_option:
      return bad_request(message, param, "invalid_value");
    case ErrorCode::no_token_allowed:
      return bad_request(message, "", "no_token_allowed");
    case ErrorCode::out_of_memory:
      return ApiError(503, "server_error", message, "", "out_of_memory");
    case ErrorCode::peer_lost:
      return ApiError(503, "server_error", message, "", "peer_lost");
    default:
      return ApiError(500, "server_error", message, "", "evaluation_failed");
  }
}

ApiError bad_field(const Error& error, const std::string& param, const std::string& code) {
  return bad_request(error.message_with([&](std::string_view field) {
    return field == error.field() ? param : json_name(field);
  }),
                     param, code);
}

}  // namespace gumbelspec::server
