#include "apps/server/http/http_server.h"

#include <sys/socket.h>

#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <filesystem>
#include <mutex>
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

// A route, not what clients make up.
std::string route_of(const std::string& path) {
  if (find_endpoint("", path) != nullptr) return path;
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

Service& HttpState::ready_service() const {
  Service* ready = service.load();
  if (ready == nullptr) throw still_loading();
  return *ready;
}

void HttpState::record(const RequestRecord& request) const {
  metrics.count_request(route_of(request.path), request.status, request.total_ms / 1e3);
  if (options.log) options.log(log_line(request, options.log_format));
}

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

class HttpServer::Impl {
 public:
  Impl(HttpOptions options, Metrics& metrics)
      : state(std::move(options), metrics), server(make_server(state.options)) {
    configure();
    add_routes(*server, state);
    bind();
    listener = std::thread([this] { listen(); });
    server->wait_until_ready();
  }
  ~Impl() {
    server->stop();
    listener.join();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void configure();
  void add_hooks();
  void bind();
  void listen();
  void record_other(const httplib::Request& request, const httplib::Response& response) const;

  HttpState state;
  std::unique_ptr<httplib::Server> server;
  int port = 0;
  std::mutex mutex;
  std::condition_variable stopped;
  bool has_stopped = false;
  std::thread listener;
};

void HttpServer::Impl::configure() {
  const HttpOptions& options = state.options;
  server->set_payload_max_length(options.max_body_bytes);
  server->set_read_timeout(options.io_timeout);
  server->set_write_timeout(options.io_timeout);
  server->set_keep_alive_timeout(options.keep_alive.count());
  server->set_keep_alive_max_count(kRequestsPerConnection);
  server->set_tcp_nodelay(true);
  server->set_socket_options(set_socket_options);
  server->new_task_queue = [most = options.max_connections] {
    return new ConnectionThreads(most, kMostWaiting);
  };
  httplib::Headers headers = {{"Server", "gumbelspec"}, {"X-Content-Type-Options", "nosniff"}};
  if (!options.origins.cors_origin.empty()) headers.emplace("Vary", "Origin");
  // What depends on the page is said when it is known.
  if (const std::string any = allowed_origin(options.origins, ""); !any.empty()) {
    headers.emplace("Access-Control-Allow-Origin", any);
  }
  server->set_default_headers(std::move(headers));
  add_hooks();
}

void HttpServer::Impl::add_hooks() {
  using Result = httplib::Server::HandlerResponse;
  server->set_pre_routing_handler([this](const httplib::Request& request,
                                         httplib::Response& response) {
    response.user_data.set(kArrival, Clock::now());
    return answer_before_routing(state, request, response) ? Result::Handled : Result::Unhandled;
  });
  // What httplib itself refuses has no body yet.
  server->set_error_handler(
      [this](const httplib::Request& /*request*/, httplib::Response& response) {
        if (response.body.empty()) set_error(response, error_of(response.status, state.options));
        return Result::Handled;
      });
  server->set_logger([this](const httplib::Request& request, const httplib::Response& response) {
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

void HttpServer::Impl::bind() {
  const std::string& host = state.options.host;
  errno = 0;
  if (state.options.port == 0) {
    port = server->bind_to_any_port(host);
  } else if (server->bind_to_port(host, state.options.port)) {
    port = state.options.port;
  }
  if (port > 0) return;
  const std::string reason =
      errno == 0 ? "no such address" : std::generic_category().message(errno);
  throw Error(ErrorCode::invalid_option, "cannot listen on " + host + ", port " +
                                             std::to_string(state.options.port) + ": " + reason +
                                             "; give another --host or --port");
}

void HttpServer::Impl::listen() {
  server->listen_after_bind();
  {
    const std::lock_guard lock(mutex);
    has_stopped = true;
  }
  stopped.notify_all();
}

HttpServer::HttpServer(HttpOptions options, Metrics& metrics)
    : impl_(std::make_unique<Impl>(std::move(options), metrics)) {}
HttpServer::~HttpServer() = default;

int HttpServer::port() const { return impl_->port; }

std::string HttpServer::url() const {
  const HttpOptions& options = impl_->state.options;
  const bool is_ipv6 = options.host.find(':') != std::string::npos;
  return (options.ssl_cert_file.empty() ? "http://" : "https://") +
         (is_ipv6 ? "[" + options.host + "]" : options.host) + ":" + std::to_string(port());
}

void HttpServer::set_service(Service& service) { impl_->state.service = &service; }
void HttpServer::refuse_requests() { impl_->state.refuses = true; }

bool HttpServer::wait_until_quiet(Clock::time_point until) {
  return impl_->state.under_way.wait_until_none(until);
}

bool HttpServer::stop(Clock::time_point until) {
  impl_->server->stop();
  std::unique_lock lock(impl_->mutex);
  return impl_->stopped.wait_until(lock, until, [this] { return impl_->has_stopped; });
}

}  // namespace gumbelspec::server
