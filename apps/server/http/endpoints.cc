#include "apps/server/http/endpoints.h"

#include <algorithm>
#include <array>

#include "apps/server/http/static_files.h"

namespace gumbelspec::server {
namespace {

constexpr std::array<EndpointDoc, 8> kEndpoints = {{
    {"POST", "/v1/completions", true, "Continues a prompt, as OpenAI's endpoint of that name."},
    {"POST", "/v1/chat/completions", true,
     "Answers messages, as OpenAI's endpoint of that name; the chat template is the model's."},
    {"GET", "/v1/models", true, "The model that is served."},
    {"POST", "/tokenize", true, "`{\"content\": TEXT}` to `{\"tokens\": [...]}`."},
    {"POST", "/detokenize", true, "`{\"tokens\": [...]}` to `{\"content\": TEXT}`."},
    {"GET", "/health", false,
     "200 when requests are taken; 503 while the models are being loaded, while the server shuts "
     "down, and when its engine has failed."},
    {"GET", "/metrics", true, "Counts and times in Prometheus' text format."},
    {"GET", "/", false,
     "The page (docs/web.md) where the client accepts HTML, as browsers do; else this list."},
}};

}  // namespace

std::span<const EndpointDoc> endpoint_docs() { return kEndpoints; }

const EndpointDoc* find_endpoint(std::string_view method, std::string_view path) {
  const std::string_view routed = method == "HEAD" ? "GET" : method;
  const auto* found = std::find_if(kEndpoints.begin(), kEndpoints.end(), [&](const EndpointDoc& e) {
    return e.path == path && (routed.empty() || e.method == routed);
  });
  return found == kEndpoints.end() ? nullptr : found;
}

std::string allowed_methods(std::string_view path) {
  if (find_static_file(path) != nullptr) return "GET, HEAD";
  const EndpointDoc* endpoint = find_endpoint("", path);
  if (endpoint == nullptr) return {};
  return endpoint->method == "GET" ? "GET, HEAD" : std::string(endpoint->method);
}

}  // namespace gumbelspec::server
