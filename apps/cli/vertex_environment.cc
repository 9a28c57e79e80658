#include "apps/cli/vertex_environment.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <string>

#include "apps/common/arguments.h"
#include "apps/common/utf8_stream.h"
#include "apps/server/http/endpoints.h"

namespace gumbelspec::apps::cli {
namespace {

constexpr const char* kPredictRoute = "AIP_PREDICT_ROUTE";
constexpr const char* kPort = "AIP_HTTP_PORT";

std::string given(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : value;
}

// Characters that mean nothing in a pattern or a URL.
std::string route(const char* name) {
  std::string path = given(name);
  if (!path.empty() && path.front() != '/') path.insert(path.begin(), '/');
  const bool is_plain = std::all_of(path.begin(), path.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '/' || c == '-' || c == '_';
  });
  if (path.empty() || (is_plain && path.size() > 1)) return path;
  throw bad_option(std::string(name) + " is " + in_quotes(path) +
                   ", but must be a path of letters, digits, - and _");
}

}  // namespace

void take_vertex_environment(server::HttpOptions& http) {
  if (given("AIP_MODE") != "PREDICTION") return;
  http.predict_path = route(kPredictRoute);
  if (http.predict_path.empty()) http.predict_path = "/predict";
  http.health_path = route("AIP_HEALTH_ROUTE");
  const bool is_own =
      http.predict_path == "/predict" || server::allowed_methods(http.predict_path).empty();
  if (!is_own || http.predict_path == http.health_path) {
    throw bad_option(std::string(kPredictRoute) + " is " + in_quotes(http.predict_path) +
                     ", which is another endpoint's path; give one of its own");
  }
  const std::string port = given(kPort);
  if (port.empty()) return;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), http.port);
  if (error != std::errc() || end != port.data() + port.size() || http.port < 1 ||
      http.port > 65535) {
    throw bad_option(std::string(kPort) + " is " + in_quotes(port) +
                     ", but must be a port, 1 to 65535");
  }
}

}  // namespace gumbelspec::apps::cli
