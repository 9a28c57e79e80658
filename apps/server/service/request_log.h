// One line per request: what it was and what it took. Never what it said.
#ifndef GUMBELSPEC_APPS_SERVER_SERVICE_REQUEST_LOG_H_
#define GUMBELSPEC_APPS_SERVER_SERVICE_REQUEST_LOG_H_

#include <cstddef>
#include <functional>
#include <optional>
#include <string>

namespace gumbelspec::server {

enum class LogFormat { text, json };

struct RequestRecord {
  std::string time;  // UTC, "2026-01-31T12:00:00.123Z"
  std::string method;
  std::string path;  // without the query, which could hold a key
  int status = 0;    // 499: the client went away
  double total_ms = 0.0;
  // Of completions only:
  std::optional<std::size_t> n_prompt = {};
  std::optional<std::size_t> n_generated = {};
  std::optional<double> tokens_per_pass = {};
  std::optional<double> first_token_ms = {};
  std::string finish = {};
};

// Without a line break.
[[nodiscard]] std::string log_line(const RequestRecord& record, LogFormat format);

// The time now, in the form that a record wants.
[[nodiscard]] std::string log_time();

// Where lines go. Threads: any number at once.
using LogSink = std::function<void(const std::string& line)>;

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_SERVICE_REQUEST_LOG_H_
