// A server of several models: requests go to the process of theirs.
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "apps/server/api/api_model.h"
#include "apps/server/api/json_text.h"
#include "apps/server/api/ollama.h"
#include "apps/server/api/tokens.h"
#include "apps/server/http/endpoints.h"
#include "apps/server/http/http_state.h"
#include "apps/server/http/relay.h"

namespace gumbelspec::server {
namespace {

constexpr const char* kJson = "application/json";
constexpr int kClientGone = 499;

// What goes back with an answer.
constexpr std::array<const char*, 5> kHeaders = {"Cache-Control", "Retry-After",
                                                 "X-Accel-Buffering", "Process-Start-Time-Unix",
                                                 "WWW-Authenticate"};

// A request to a model's process, from its lease to the last byte of its answer.
class Forwarding {
 public:
  Forwarding(HttpState& state, std::unique_ptr<Router::Lease> lease, httplib::Request request)
      : state_(state), lease_(std::move(lease)), relay_(lease_->address(), std::move(request)) {
    state_.under_way.begin();
  }
  ~Forwarding() { state_.under_way.end(); }
  Forwarding(const Forwarding&) = delete;
  Forwarding& operator=(const Forwarding&) = delete;
  [[nodiscard]] Relay& relay() { return relay_; }

 private:
  HttpState& state_;
  std::unique_ptr<Router::Lease> lease_;
  Relay relay_;  // before the lease goes
};

ApiError lost() {
  return {502, "server_error", "the model's process went away; try again", "", "process_lost"};
}

void send_stream(const std::shared_ptr<Forwarding>& forwarding, const httplib::Request& request,
                 const std::string& type, httplib::Response& response) {
  const auto send = [forwarding](std::size_t /*offset*/, httplib::DataSink& sink) {
    std::string data;
    switch (forwarding->relay().take(data)) {
      case Relay::State::waiting:
        return true;
      case Relay::State::data:
        return sink.write(data.data(), data.size());
      case Relay::State::ended:
        sink.done();
        return true;
      case Relay::State::broken:
        return false;
    }
    return false;
  };
  if (request.version == "HTTP/1.0") {
    response.set_content_provider(type, send);
  } else {
    response.set_chunked_content_provider(type, send);
  }
}

void send_whole(Relay& relay, const std::string& type, httplib::Response& response) {
  std::string body;
  std::string data;
  Relay::State state = Relay::State::waiting;
  while (state == Relay::State::waiting || state == Relay::State::data) {
    state = relay.take(data);
    body += data;
  }
  if (state == Relay::State::broken) throw lost();
  response.set_content(std::move(body), type);
}

httplib::Request forwarded(const HttpState& state, const httplib::Request& request,
                           const std::string& body) {
  httplib::Request out;
  out.method = request.method;
  const std::size_t query = request.target.find('?');
  out.path = state.path_of(request.path) +
             (query == std::string::npos ? std::string() : request.target.substr(query));
  out.headers.emplace("Host", "localhost");
  for (const char* name : {"Content-Type", "Accept"}) {
    if (request.has_header(name)) out.headers.emplace(name, request.get_header_value(name));
  }
  out.body = body;
  return out;
}

bool may_load(const HttpState& state, const httplib::Request& request) {
  const std::string wanted = request.get_param_value("autoload");
  if (wanted.empty()) return state.options.router->options().loads_on_demand;
  return wanted == "true" || wanted == "1";
}

void forward(HttpState& state, const std::string& model, const httplib::Request& request,
             const std::string& body, httplib::Response& response) {
  if (model.empty()) {
    throw bad_request("there is no model; this server has several, GET /models lists them", "model",
                      "missing_field");
  }
  const auto is_gone = [&request] { return request.is_connection_closed(); };
  auto lease = state.options.router->acquire(model, may_load(state, request), is_gone);
  const auto forwarding =
      std::make_shared<Forwarding>(state, std::move(lease), forwarded(state, request, body));
  const auto head = forwarding->relay().wait_for_head(is_gone);
  if (!head) {
    if (!is_gone()) throw lost();
    response.status = kClientGone;
    return;
  }
  const auto header = [&](const char* name) {
    const auto found = head->headers.find(name);
    return found == head->headers.end() ? std::string() : found->second;
  };
  response.status = head->status;
  for (const char* name : kHeaders) {
    if (const std::string value = header(name); !value.empty()) response.set_header(name, value);
  }
  const std::string type = header("Content-Type");
  if (header("Transfer-Encoding") == "chunked") {
    send_stream(forwarding, request, type, response);
  } else {
    send_whole(forwarding->relay(), type, response);
  }
}

std::string model_of(const std::string& body) {
  const Json json = parse_body(body);
  const auto found = json.find("model");
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

// What a loaded model's process tells of it; null: nothing.
Json meta_of(const ModelStatus& status) {
  if (status.address.empty()) return nullptr;
  httplib::Client client(status.address);
  client.set_address_family(AF_UNIX);
  client.set_read_timeout(std::chrono::seconds(2));
  const auto result = client.Get("/v1/models", httplib::Headers{{"Host", "localhost"}});
  if (!result || result->status != 200) return nullptr;
  Json list = Json::parse(result->body, nullptr, /*allow_exceptions=*/false);
  return list.is_object() && list["data"].is_array() && !list["data"].empty()
             ? list["data"][0].value("meta", Json())
             : Json();
}

Json status_json(const ModelStatus& status) {
  Json out{{"value", to_string(status.state)}};
  if (status.state != ModelState::unloaded || status.has_failed) {
    out["args"] = status.source.arguments;
  }
  if (status.has_failed) {
    out["failed"] = true;
    out["exit_code"] = status.exit_code;
    out["message"] = status.why;
  }
  return out;
}

Json model_json(const HttpState& state, const ModelStatus& status) {
  return {{"id", status.source.name},     {"aliases", Json::array({status.source.name})},
          {"tags", Json::array()},        {"object", "model"},
          {"created", state.start_time},  {"owned_by", "gumbelspec"},
          {"path", status.source.path},   {"meta", meta_of(status)},
          {"status", status_json(status)}};
}

void tell_models(const HttpState& state, const httplib::Request& request,
                 httplib::Response& response) {
  const std::string reload = request.get_param_value("reload");
  if ((reload == "1" || reload == "true") && state.options.reload_models) {
    state.options.reload_models();
  }
  Json data = Json::array();
  Json names = Json::array();
  for (const ModelStatus& status : state.options.router->models()) {
    data.push_back(model_json(state, status));
    names.push_back({{"name", status.source.name}, {"model", status.source.name}});
  }
  response.set_content(to_text({{"models", names}, {"object", "list"}, {"data", data}}), kJson);
}

void tell_model(const HttpState& state, const std::string& name, httplib::Response& response) {
  for (const ModelStatus& status : state.options.router->models()) {
    if (status.source.name != name) continue;
    response.set_content(to_text(model_json(state, status)), kJson);
    return;
  }
  throw ApiError(404, "invalid_request_error",
                 "there is no model " + shown(Json(name)) + "; GET /models lists those there are",
                 "model", "model_not_found");
}

std::string router_props(const HttpState& state) {
  const RouterOptions& options = state.options.router->options();
  return to_text({{"role", "router"},
                  {"max_instances", options.max_loaded},
                  {"models_autoload", options.loads_on_demand},
                  {"model_alias", "gumbelspec"},
                  {"model_path", "none"},
                  {"default_generation_settings", {{"params", nullptr}, {"n_ctx", 0}}},
                  {"total_slots", 0},
                  {"build_info", router_fingerprint()}});
}

void add_list_routes(httplib::Server& server, HttpState& state) {
  Router& router = *state.options.router;
  for (const char* path : {"/v1/models", "/models"}) {
    add_get(server, state, path, [&state](const auto& request, auto& response) {
      tell_models(state, request, response);
    });
  }
  add_get(server, state, "/v1/models/(.+)", [&state](const auto& request, auto& response) {
    tell_model(state, request.matches[1], response);
  });
  const auto add = [&](const char* path, void (Router::*action)(const std::string&)) {
    add_body_route(server, state, path,
                   [&router, action](const auto& /*request*/, auto& response, auto& body) {
                     run_guarded(response, [&] {
                       (router.*action)(model_of(body));
                       response.set_content(to_text({{"success", true}}), kJson);
                     });
                   });
  };
  add("/models/load", &Router::load);
  add("/models/unload", &Router::unload);
}

// Of a model where the request names one, else of this server.
void add_told_routes(httplib::Server& server, HttpState& state) {
  const auto add = [&](const char* path, const std::function<std::string()>& own) {
    add_get(server, state, path, [&state, own](const auto& request, auto& response) {
      const std::string model = request.get_param_value("model");
      if (model.empty() && own) return response.set_content(own(), kJson);
      forward(state, model, request, "", response);
    });
  };
  add("/props", [&state] { return router_props(state); });
  add("/slots", {});
  add("/lora-adapters", {});
  for (const char* path : {"/health", "/v1/health"}) {
    add_get(server, state, path, [](const auto& /*request*/, auto& response) {
      response.set_content(answer_health(), kJson);
    });
  }
  add_get(server, state, "/metrics", [&state](const auto& request, auto& response) {
    const std::string model = request.get_param_value("model");
    if (!model.empty()) return forward(state, model, request, "", response);
    response.set_content(state.metrics.text(), "text/plain; version=0.0.4; charset=utf-8");
  });
  add_get(server, state, "/api/version", [](const auto& /*request*/, auto& response) {
    response.set_content(answer_ollama_version(), kJson);
  });
  add_get(server, state, "/api/tags",
          [&state](const auto& request, auto& response) { tell_models(state, request, response); });
}

}  // namespace

void add_router_routes(httplib::Server& server, HttpState& state) {
  add_list_routes(server, state);
  add_told_routes(server, state);
  for (const EndpointDoc& endpoint : endpoint_docs()) {
    std::string path(endpoint.path);
    if (endpoint.method != "POST" || path == "/predict" || path.rfind("/models/", 0) == 0) continue;
    // A slot's id is followed by no name of a model in the body, but by one in the query.
    if (const std::size_t brace = path.find('{'); brace != std::string::npos) {
      path = path.substr(0, brace) + "([^/]+)";
    }
    add_body_route(server, state, path, [&state](const auto& request, auto& response, auto& body) {
      run_guarded(response, [&] {
        std::string model = request.get_param_value("model");
        if (model.empty()) model = model_of(body);
        forward(state, model, request, body, response);
      });
    });
  }
}

}  // namespace gumbelspec::server
