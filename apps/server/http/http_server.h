// The endpoints over HTTP: routes, keys, limits, errors as JSON, one thread per connection.
#ifndef GUMBELSPEC_APPS_SERVER_HTTP_HTTP_SERVER_H_
#define GUMBELSPEC_APPS_SERVER_HTTP_HTTP_SERVER_H_

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/server/http/api_keys.h"
#include "apps/server/http/origins.h"
#include "apps/server/router/router.h"
#include "apps/server/service/embedding_service.h"
#include "apps/server/service/metrics.h"
#include "apps/server/service/request_log.h"
#include "apps/server/service/service.h"

namespace gumbelspec::server {

struct HttpOptions {
  // Addresses separated by commas, all with the same port; or the path of a socket, which ends with
  // ".sock".
  std::string host = "127.0.0.1";
  int port = 8080;                // 0: any free one
  std::string prefix = {};        // before all paths: "/llm"
  std::string predict_path = {};  // of Vertex AI's form; empty: nowhere
  std::string health_path = {};   // another path of /health; empty: none
  bool has_page = true;           // at "/"
  bool has_slots = true;          // GET /slots
  bool has_metrics = true;        // GET /metrics
  std::size_t max_body_bytes = kMaxBodyBytes;
  // Connections with a thread; more wait until one of these is closed.
  std::size_t max_connections = 1024;
  // For one read of a request, or one write of an answer, to get on.
  std::chrono::seconds io_timeout{60};
  std::chrono::seconds keep_alive{30};  // between two requests of a connection
  // An engine that is longer in one round is told to be stuck (GET /health).
  std::chrono::milliseconds longest_round{10'000};
  ApiKeys keys = ApiKeys();
  OriginRules origins = {};
  std::string ssl_cert_file = {};
  std::string ssl_key_file = {};
  LogFormat log_format = LogFormat::text;
  LogSink log = {};  // empty: no log
  // Several models, each in a process of its own, instead of a service; outlives the server.
  // Null: there is one model.
  Router* router = nullptr;
  std::function<void()> reload_models = {};  // of the router, for GET /models?reload=1; may throw
  // Of the LoRA adapters that are there, by their numbers: their files and scales.
  struct Adapter {
    std::string path;
    float scale = 1.0F;
  };
  std::vector<Adapter> adapters = {};
  // Gives them other scales, once nobody uses the service, which it brings anew with set_service().
  // May throw. Requires: as many as adapters. Empty: they stay as they are.
  std::function<void(const std::vector<float>& scales)> set_scales = {};
  // Brings a service back that was taken away, with set_service(); called by a request's thread.
  // May throw; the request is answered with 503 then. Empty: it never is.
  std::function<void()> wake = {};
};

// Of HttpOptions::host. Throws: Error{invalid_option} for an empty one.
[[nodiscard]] std::vector<std::string> listed_hosts(const std::string& hosts);

// Whether only this machine can reach a server that listens there.
[[nodiscard]] bool is_loopback(const std::string& host);

// Threads: any, but for the destructor.
class HttpServer {
 public:
  // Listens at once; answers 503 until there is a service. Lifetime: metrics outlives it.
  // Throws: Error{invalid_option, file_not_found} for certificates and addresses that do not work.
  HttpServer(HttpOptions options, Metrics& metrics);
  // Closes all connections, and waits for their threads.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  [[nodiscard]] int port() const;
  // "http://127.0.0.1:8080"
  [[nodiscard]] std::string url() const;

  // Lifetime: outlives the server, or lives until take_service_after() has taken it away.
  void set_service(Service& service);
  // Takes the service away if no request has used it for that long; the next one that needs it has
  // it brought back (HttpOptions::wake). GET of health, models, properties and metrics is answered
  // meanwhile, and uses nothing. Returns: whether it is taken away now.
  [[nodiscard]] bool take_service_after(Clock::duration idle);
  // The same of a server that makes vectors instead of texts; before set_service(), whose engine is
  // then never asked.
  void set_embeddings(EmbeddingService& embeddings);

  // From now on 503 for new requests; those under way go on.
  void refuse_requests();
  // Waits until no answer to a completion is under way. Returns: whether it came to that in time.
  [[nodiscard]] bool wait_until_quiet(Clock::time_point until);
  // Stops listening, and breaks off what is under way. Returns: whether all threads ended in time;
  // one that writes to a client that does not read may take as long as io_timeout.
  [[nodiscard]] bool stop(Clock::time_point until);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_HTTP_HTTP_SERVER_H_
