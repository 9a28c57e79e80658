// What the server answers to: one source for the routes, their methods and docs/server.md.
#ifndef GUMBELSPEC_APPS_SERVER_HTTP_ENDPOINTS_H_
#define GUMBELSPEC_APPS_SERVER_HTTP_ENDPOINTS_H_

#include <span>
#include <string>
#include <string_view>

namespace gumbelspec::server {

struct EndpointDoc {
  std::string_view method;
  std::string_view path;
  bool needs_key = true;  // where the server has one
  std::string_view description;
};
[[nodiscard]] std::span<const EndpointDoc> endpoint_docs();

// Null: the server has no such path. method empty: any.
[[nodiscard]] const EndpointDoc* find_endpoint(std::string_view method, std::string_view path);

// The methods of a path, "GET, HEAD"; empty: there is no such path.
[[nodiscard]] std::string allowed_methods(std::string_view path);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_HTTP_ENDPOINTS_H_
