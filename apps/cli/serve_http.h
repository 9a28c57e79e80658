// The options of `gumbelspec serve` as its HTTP server has them.
#ifndef GUMBELSPEC_APPS_CLI_SERVE_HTTP_H_
#define GUMBELSPEC_APPS_CLI_SERVE_HTTP_H_

#include <memory>
#include <string>
#include <vector>

#include "apps/cli/serve_options.h"
#include "apps/server/http/http_server.h"

namespace gumbelspec::apps::cli {

// What is left for the last events to be written, and for connections to be closed.
inline constexpr std::chrono::seconds kLastWords{1};

// Of --api-key and --api-key-file. Throws: Error.
[[nodiscard]] std::vector<std::string> keys_of(const ServeOptions& options);

// With a line for each request on standard error, and what the environment says for Vertex AI.
// Throws: Error{invalid_option}.
[[nodiscard]] server::HttpOptions http_options_of(const ServeOptions& options,
                                                  const std::vector<std::string>& keys);

// Listens, and says where, and who can come. Throws: Error{invalid_option, file_not_found}.
[[nodiscard]] std::unique_ptr<server::HttpServer> listen(server::HttpOptions http, bool has_keys,
                                                         server::Metrics& metrics);

// Stops listening; ends the program where a client that does not read holds a thread.
void stop_listening(server::HttpServer& http);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_SERVE_HTTP_H_
