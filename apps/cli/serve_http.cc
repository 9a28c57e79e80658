#include "apps/cli/serve_http.h"

#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <mutex>
#include <utility>

#include "apps/cli/vertex_environment.h"
#include "apps/common/arguments.h"
#include "apps/common/output.h"
#include "apps/common/prompt.h"
#include "apps/common/stop_signals.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::cli {

std::vector<std::string> keys_of(const ServeOptions& options) {
  std::vector<std::string> keys;
  std::string rest = options.api_keys;
  while (!rest.empty()) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    keys.push_back(rest.substr(0, comma));
    rest.erase(0, comma + 1);
  }
  if (options.api_key_file.empty()) return keys;
  const auto more = server::keys_of_lines(read_file(options.api_key_file));
  if (more.empty()) {
    throw bad_option("--api-key-file " + in_quotes(options.api_key_file) +
                     " has no key; write one per line");
  }
  keys.insert(keys.end(), more.begin(), more.end());
  return keys;
}

server::HttpOptions http_options_of(const ServeOptions& options,
                                    const std::vector<std::string>& keys) {
  server::HttpOptions http;
  http.host = options.host;
  http.port = options.port;
  http.io_timeout = options.io_timeout;
  http.keys = server::ApiKeys(keys);
  http.origins = {options.cors_origin, options.allowed_hosts};
  for (const std::string& host : server::listed_hosts(options.host)) {
    http.origins.hosts.push_back(host);
  }
  http.prefix = options.prefix;
  http.has_page = options.has_page;
  http.has_slots = options.has_slots;
  http.has_metrics = options.has_metrics;
  http.ssl_cert_file = options.ssl_cert_file;
  http.ssl_key_file = options.ssl_key_file;
  http.log_format = options.log_format;
  // Lines of several threads, each whole.
  http.log = [mutex = std::make_shared<std::mutex>()](const std::string& line) {
    const std::lock_guard lock(*mutex);
    std::cerr << line << std::endl;
  };
  take_vertex_environment(http);
  return http;
}

std::unique_ptr<server::HttpServer> listen(server::HttpOptions http, bool has_keys,
                                           server::Metrics& metrics) {
  const std::string hosts = http.host;
  std::unique_ptr<server::HttpServer> listening;
  {
    const StopSignalsBlocked blocked;
    listening = std::make_unique<server::HttpServer>(std::move(http), metrics);
  }
  say("listening on " + listening->url());
  for (const std::string& host : server::listed_hosts(hosts)) {
    if (server::is_loopback(host) || has_keys) continue;
    say("warning: anybody who can reach " + host +
        " can use this server; give it a key with --api-key-file, or listen on 127.0.0.1");
  }
  return listening;
}

void stop_listening(server::HttpServer& http) {
  if (http.stop(server::Clock::now() + kLastWords)) return;
  // A thread writes to a client that does not read; there is nothing left to lose.
  say("stopped");
  std::cerr << std::flush;
  ::_exit(0);
}

}  // namespace gumbelspec::apps::cli
