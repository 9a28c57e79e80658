#include "apps/server/http/http_server.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#include "apps/server/api/tokens.h"
#include "apps/server/http/connection_threads.h"
#include "apps/server/http/endpoints.h"
#include "apps/server/http/http_state.h"
#include "apps/server/http/static_files.h"

namespace gumbelspec::server {
namespace {

// Connections that wait for a thread; beyond that they are closed.
constexpr std::size_t kMostWaiting = 1024;
constexpr std::size_t kRequestsPerConnection = 100000;
constexpr std::string_view kSocketEnd = ".sock";

void check_file(const std::string& path, const char* option) {
  std::error_code failure;
  if (std::filesystem::is_regular_file(path, failure)) return;
  throw Error(ErrorCode::file_not_found,
              std::string(option) + " is \"" + path + "\", which is not a file; give a PEM file");
}

std::unique_ptr<httplib::Server> make_server(const HttpOptions& options) {
  if (options.ssl_cert_file.empty() && options.ssl_key_file.empty()) {
    return std::make_unique<httplib::Server>();
  }
  check_file(options.ssl_cert_file, "--ssl-cert-file");
  check_file(options.ssl_key_file, "--ssl-key-file");
#ifdef CPPHTTPLIB_OPENSSL_SUPPORT
  auto server = std::make_unique<httplib::SSLServer>(options.ssl_cert_file.c_str(),
                                                     options.ssl_key_file.c_str());
  if (!server->is_valid()) {
    throw Error(ErrorCode::invalid_option, "the certificate \"" + options.ssl_cert_file +
                                               "\" and the key \"" + options.ssl_key_file +
                                               "\" cannot be used; give PEM files that belong "
                                               "together");
  }
  return server;
#else
  throw Error(ErrorCode::invalid_option,
              "this build has no TLS; build with OpenSSL (libssl-dev), or leave out "
              "--ssl-cert-file and --ssl-key-file");
#endif
}

// Not SO_REUSEPORT, which httplib would set: two servers on one port would share the requests.
void set_socket_options(socket_t socket) {
  const int yes = 1;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
}

bool is_socket_path(const std::string& host) {
  return host.size() > kSocketEnd.size() &&
         host.compare(host.size() - kSocketEnd.size(), kSocketEnd.size(), kSocketEnd) == 0;
}

// A socket that nobody listens on any more; anything else stays.
void remove_dead_socket(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) return;
  std::copy(path.begin(), path.end(), address.sun_path);
  const int probe = ::socket(AF_UNIX, SOCK_STREAM, 0);
  const bool is_alive =
      ::connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  ::close(probe);
  if (!is_alive) ::unlink(path.c_str());
  errno = 0;
}

// A route, not what clients make up.
std::string route_of(const std::string& path) {
  if (const EndpointDoc* endpoint = find_endpoint("", path); endpoint != nullptr) {
    return std::string(endpoint->path);
  }
  return find_static_file(path) != nullptr ? "static" : "other";
}

ApiError error_of(int status, const HttpOptions& options) {
  switch (status) {
    case 413:
      return {
          413, "invalid_request_error",
          "the body is longer than " + std::to_string(options.max_body_bytes) + " bytes; send less",
          "", "body_too_large"};
    case 414:
      return {414, "invalid_request_error", "the path is too long"};
    default:
      return {status, status < 500 ? "invalid_request_error" : "server_error",
              std::string("HTTP: ") + httplib::status_message(status)};
  }
}

}  // namespace

std::string HttpState::path_of(const std::string& path) const {
  const std::string& prefix = options.prefix;
  const bool is_below =
      prefix.empty() || (path.compare(0, prefix.size(), prefix) == 0 &&
                         (path.size() == prefix.size() || path[prefix.size()] == '/'));
  if (!is_below) return {};
  std::string inner = path.size() == prefix.size() ? "/" : path.substr(prefix.size());
  if (!options.health_path.empty() && inner == options.health_path) return "/health";
  if (!options.predict_path.empty() && inner == options.predict_path) return "/predict";
  return inner == "/predict" ? std::string() : inner;
}

void HttpState::record(const RequestRecord& request) const {
  metrics.count_request(route_of(path_of(request.path)), request.status, request.total_ms / 1e3);
  if (options.log) options.log(log_line(request, options.log_format));
}

std::vector<std::string> listed_hosts(const std::string& hosts) {
  std::vector<std::string> out;
  for (std::size_t begin = 0; begin <= hosts.size();) {
    const std::size_t end = std::min(hosts.find(',', begin), hosts.size());
    const std::size_t first = std::min(hosts.find_first_not_of(' ', begin), end);
    std::string host = hosts.substr(first, end - first);
    host.erase(host.find_last_not_of(' ') + 1);
    if (host.empty()) {
      throw Error(ErrorCode::invalid_option,
                  "--host has an empty address; give addresses separated by commas");
    }
    out.push_back(std::move(host));
    begin = end + 1;
  }
  return out;
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0 || is_socket_path(host);
}

// One address, with a thread that takes its connections.
struct Listener {
  std::string host;
  std::unique_ptr<httplib::Server> server;
  std::thread thread = {};
};

class HttpServer::Impl {
 public:
  Impl(HttpOptions options, Metrics& metrics) : state(std::move(options), metrics) {
    for (std::string& host : listed_hosts(state.options.host)) {
      listeners.push_back({std::move(host), make_server(state.options)});
      httplib::Server& server = *listeners.back().server;
      configure(server);
      add_routes(server, state);
      bind(listeners.back());
    }
    n_running = listeners.size();
    for (Listener& listener : listeners) {
      listener.thread = std::thread([this, &listener] { listen(*listener.server); });
      listener.server->wait_until_ready();
    }
  }
  ~Impl() {
    for (Listener& listener : listeners) listener.server->stop();
    for (Listener& listener : listeners) {
      listener.thread.join();
      if (is_socket_path(listener.host)) ::unlink(listener.host.c_str());
    }
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void configure(httplib::Server& server);
  void add_hooks(httplib::Server& server);
  void bind(Listener& listener);
  void listen(httplib::Server& server);
  void record_other(const httplib::Request& request, const httplib::Response& response) const;

  HttpState state;
  std::vector<Listener> listeners;  // at least one; does not grow once they listen
  int port = 0;                     // of all of them
  std::mutex mutex;
  std::condition_variable stopped;
  std::size_t n_running = 0;
};

void HttpServer::Impl::configure(httplib::Server& server) {
  const HttpOptions& options = state.options;
  server.set_payload_max_length(options.max_body_bytes);
  server.set_read_timeout(options.io_timeout);
  server.set_write_timeout(options.io_timeout);
  server.set_keep_alive_timeout(options.keep_alive.count());
  server.set_keep_alive_max_count(kRequestsPerConnection);
  server.set_tcp_nodelay(true);
  server.set_socket_options(set_socket_options);
  server.new_task_queue = [most = options.max_connections] {
    return new ConnectionThreads(most, kMostWaiting);
  };
  httplib::Headers headers = {{"Server", "gumbelspec"}, {"X-Content-Type-Options", "nosniff"}};
  if (!options.origins.cors_origin.empty()) headers.emplace("Vary", "Origin");
  // What depends on the page is said when it is known.
  if (const std::string any = allowed_origin(options.origins, ""); !any.empty()) {
    headers.emplace("Access-Control-Allow-Origin", any);
  }
  server.set_default_headers(std::move(headers));
  add_hooks(server);
}

void HttpServer::Impl::add_hooks(httplib::Server& server) {
  using Result = httplib::Server::HandlerResponse;
  server.set_pre_routing_handler([this](const httplib::Request& request,
                                        httplib::Response& response) {
    response.user_data.set(kArrival, Clock::now());
    return answer_before_routing(state, request, response) ? Result::Handled : Result::Unhandled;
  });
  // What httplib itself refuses has no body yet.
  server.set_error_handler(
      [this](const httplib::Request& /*request*/, httplib::Response& response) {
        if (response.body.empty()) set_error(response, error_of(response.status, state.options));
        return Result::Handled;
      });
  server.set_logger([this](const httplib::Request& request, const httplib::Response& response) {
    if (!response.user_data.has(kIsRecorded)) record_other(request, response);
  });
}

void HttpServer::Impl::record_other(const httplib::Request& request,
                                    const httplib::Response& response) const {
  RequestRecord record;
  record.time = log_time();
  record.method = request.method;
  record.path = request.path;
  record.status = response.status;
  if (const auto* arrival = response.user_data.get<Clock::time_point>(kArrival)) {
    record.total_ms = std::chrono::duration<double, std::milli>(Clock::now() - *arrival).count();
  }
  state.record(record);
}

void HttpServer::Impl::bind(Listener& listener) {
  httplib::Server& server = *listener.server;
  const bool is_path = is_socket_path(listener.host);
  errno = 0;
  int bound = 0;
  if (is_path) {
    server.set_address_family(AF_UNIX);
    // What a server that was killed has left; of one that runs, its socket is not taken.
    remove_dead_socket(listener.host);
    bound = server.bind_to_port(listener.host, 80) ? std::max(port, 1) : 0;
  } else if (port == 0 && state.options.port == 0) {
    // The next addresses take the same port.
    bound = port = server.bind_to_any_port(listener.host);
  } else {
    const int wanted = state.options.port == 0 ? port : state.options.port;
    if (server.bind_to_port(listener.host, wanted)) bound = port = wanted;
  }
  if (bound > 0) return;
  const std::string reason =
      errno == 0 ? "no such address" : std::generic_category().message(errno);
  throw Error(ErrorCode::invalid_option,
              "cannot listen on " + listener.host +
                  (is_path ? "" : ", port " + std::to_string(state.options.port)) + ": " + reason +
                  "; give another --host or --port");
}

void HttpServer::Impl::listen(httplib::Server& server) {
  server.listen_after_bind();
  {
    const std::lock_guard lock(mutex);
    --n_running;
  }
  stopped.notify_all();
}

HttpServer::HttpServer(HttpOptions options, Metrics& metrics)
    : impl_(std::make_unique<Impl>(std::move(options), metrics)) {}
HttpServer::~HttpServer() = default;

int HttpServer::port() const { return impl_->port; }

std::string HttpServer::url() const {
  const HttpOptions& options = impl_->state.options;
  std::string urls;
  for (const Listener& listener : impl_->listeners) {
    if (!urls.empty()) urls += ", ";
    const std::string scheme = options.ssl_cert_file.empty() ? "http" : "https";
    if (is_socket_path(listener.host)) {
      urls += scheme + "+unix://" + listener.host;
      continue;
    }
    const bool is_ipv6 = listener.host.find(':') != std::string::npos;
    urls += scheme + "://" + (is_ipv6 ? "[" + listener.host + "]" : listener.host) + ":" +
            std::to_string(port()) + options.prefix;
  }
  return urls;
}

void HttpServer::set_service(Service& service) { impl_->state.gate.open(service); }
bool HttpServer::take_service_after(Clock::duration idle) {
  return impl_->state.gate.close_after(idle);
}
void HttpServer::set_embeddings(EmbeddingService& embeddings) {
  impl_->state.embeddings = &embeddings;
}
void HttpServer::refuse_requests() { impl_->state.refuses = true; }

bool HttpServer::wait_until_quiet(Clock::time_point until) {
  return impl_->state.under_way.wait_until_none(until);
}

bool HttpServer::stop(Clock::time_point until) {
  for (Listener& listener : impl_->listeners) listener.server->stop();
  std::unique_lock lock(impl_->mutex);
  return impl_->stopped.wait_until(lock, until, [this] { return impl_->n_running == 0; });
}

}  // namespace gumbelspec::server
