// What the routes share. Private to http/.
#ifndef GUMBELSPEC_APPS_SERVER_HTTP_HTTP_STATE_H_
#define GUMBELSPEC_APPS_SERVER_HTTP_HTTP_STATE_H_

#include <httplib.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <ctime>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "apps/server/http/http_server.h"
#include "apps/server/http/service_gate.h"

namespace gumbelspec::server {

// How many completions are being answered.
class UnderWay {
 public:
  void begin() {
    const std::lock_guard lock(mutex_);
    ++n_;
  }
  void end() {
    {
      const std::lock_guard lock(mutex_);
      --n_;
    }
    changed_.notify_all();
  }
  bool wait_until_none(Clock::time_point until) {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, until, [this] { return n_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t n_ = 0;
};

// A POST route, answered with errors and all.
struct PostRoute {
  std::string path;  // without the prefix; a regular expression
  std::function<void(const httplib::Request&, httplib::Response&, const std::string& body)> answer;
};

struct HttpState {
  HttpState(HttpOptions given, Metrics& m)
      : options(std::move(given)), metrics(m), gate(options.wake) {
    for (const HttpOptions::Adapter& adapter : options.adapters) scales.push_back(adapter.scale);
  }

  const HttpOptions options;
  Metrics& metrics;
  const std::int64_t start_time = static_cast<std::int64_t>(std::time(nullptr));
  ServiceGate gate;
  std::atomic<EmbeddingService*> embeddings{nullptr};  // null: it generates texts
  std::atomic<bool> refuses{false};
  UnderWay under_way;
  std::mutex scales_mutex;       // held while they change
  std::vector<float> scales;     // of the adapters
  std::vector<PostRoute> posts;  // complete when the server listens

  // The service. Requires: a ServiceUse, as every handler of add_post() has it.
  [[nodiscard]] Service& ready_service() const { return gate.service(); }
  // A request's path without the prefix, with the names that endpoint_docs() has for paths of the
  // operator's; empty: it is not below that.
  [[nodiscard]] std::string path_of(const std::string& path) const;
  // The log line and the counters of a request that is over.
  void record(const RequestRecord& request) const;
};

using HttpHandler = std::function<void(const httplib::Request&, httplib::Response&)>;

// Before routing: keys, unknown paths and methods, CORS. Returns: whether the answer is complete.
bool answer_before_routing(const HttpState& state, const httplib::Request& request,
                           httplib::Response& response);

// All routes of endpoint_docs() and static_files().
void add_routes(httplib::Server& server, HttpState& state);

// Of them, those of page_routes.cc.
void add_page_routes(httplib::Server& server, const HttpState& state);
// Those of peer_routes.cc.
void add_peer_routes(httplib::Server& server, HttpState& state);
void add_ollama_routes(httplib::Server& server, HttpState& state);
// And those of embedding_routes.cc and lora_routes.cc.
void add_embedding_routes(httplib::Server& server, HttpState& state);
void add_lora_routes(httplib::Server& server, HttpState& state);
// Those of a server of several models, instead of all others but the page.
void add_router_routes(httplib::Server& server, HttpState& state);
// And that of predict_route.cc, which asks those that are there before it.
void add_predict_route(httplib::Server& server, HttpState& state);

// Runs the handler; what it throws becomes the answer.
void run_guarded(httplib::Response& response, const std::function<void()>& handler);
using Guard = std::function<void(httplib::Response&, const std::function<void()>&)>;

// A route that reads a JSON body.
using BodyHandler =
    std::function<void(const httplib::Request&, httplib::Response&, const std::string& body)>;
// Below the prefix; path: a regular expression. What handlers throw becomes the answer.
// POST wakes a service that sleeps, GET does not unless its handler does.
void add_post(httplib::Server& server, HttpState& state, const std::string& path,
              BodyHandler handler, Guard guard = run_guarded);
// The same without a service; nothing may be thrown.
void add_body_route(httplib::Server& server, const HttpState& state, const std::string& path,
                    BodyHandler handler);
void add_get(httplib::Server& server, const HttpState& state, const std::string& path,
             HttpHandler handler);

// 501: "WHAT is not served here; REMEDY".
[[nodiscard]] ApiError not_served(const std::string& what, const std::string& remedy);
void set_error(httplib::Response& response, const ApiError& error);
// The whole body; false: the answer is complete already. Throws: nothing.
bool read_body(const httplib::ContentReader& reader, httplib::Response& response,
               std::string& body);

// Answers a request to a completion endpoint, with a stream or at once. Throws: ApiError.
// type: of a stream's events.
void answer_completion(HttpState& state, Endpoint endpoint, const httplib::Request& request,
                       httplib::Response& response, const std::string& body,
                       const Service::Wrap& wrap = {},
                       const char* type = "text/event-stream; charset=utf-8");

// Keys of httplib::Response::user_data: when the request arrived (Clock::time_point); that it is
// in the log, or will be (bool).
inline constexpr const char* kArrival = "arrival";
inline constexpr const char* kIsRecorded = "is_recorded";

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_HTTP_HTTP_STATE_H_
