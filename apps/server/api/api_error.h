// What a request is refused with: an HTTP status and OpenAI's error object.
#ifndef GUMBELSPEC_APPS_SERVER_API_API_ERROR_H_
#define GUMBELSPEC_APPS_SERVER_API_API_ERROR_H_

#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gumbelspec/error.h"

namespace gumbelspec::server {

// One line: the value, the limit and the remedy.
class ApiError : public std::runtime_error {
 public:
  // type: "invalid_request_error", "server_error", "overloaded_error", ... param: the field that is
  // wrong; code: for programs, e.g. "context_length_exceeded". Empty ones are null in the body.
  ApiError(int status, std::string type, const std::string& message, std::string param = "",
           std::string code = "");

  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const std::string& type() const { return type_; }
  [[nodiscard]] const std::string& param() const { return param_; }
  [[nodiscard]] const std::string& code() const { return code_; }

  // A number for programs, a member of the body beside those below: "n_ctx".
  ApiError& tell(std::string name, std::size_t value) {
    numbers_.emplace_back(std::move(name), value);
    return *this;
  }
  [[nodiscard]] const std::vector<std::pair<std::string, std::size_t>>& numbers() const {
    return numbers_;
  }

  // {"error": {"code", "message", "type", "param"}}
  [[nodiscard]] std::string body() const;
  // The same as a server-sent event.
  [[nodiscard]] std::string event() const;

 private:
  int status_;
  std::string type_;
  std::string param_;
  std::string code_;
  std::vector<std::pair<std::string, std::size_t>> numbers_;
};

// 400, "invalid_request_error".
[[nodiscard]] ApiError bad_request(const std::string& message, const std::string& param,
                                   const std::string& code = "");

// 400: a prompt that does not fit, with the numbers under llama.cpp's names.
[[nodiscard]] ApiError too_long(std::size_t n_prompt, std::size_t n_context,
                                const std::string& param);

// What a request calls a field of the library's options: "repeat_last_n" for "penalty_last_n";
// mostly the same.
[[nodiscard]] std::string json_name(std::string_view field);

// What the library reported, in a request's words: 400 for what the request can change, with the
// field in param(), 500 or 503 otherwise.
[[nodiscard]] ApiError api_error(const Error& error);

// The same, 400, of what came in this field of the request, whatever the library calls it.
[[nodiscard]] ApiError bad_field(const Error& error, const std::string& param,
                                 const std::string& code = "invalid_value");

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_API_ERROR_H_
