#include <chrono>
#include <exception>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "apps/server/api/tokens.h"
#include "apps/server/http/endpoints.h"
#include "apps/server/http/http_state.h"
#include "apps/server/http/static_files.h"

namespace gumbelspec::server {
namespace {

constexpr const char* kJson = "application/json";
constexpr const char* kRetryAfter = "1";  // seconds

// "Bearer KEY", or the header that some clients send instead.
std::string given_key(const httplib::Request& request) {
  std::string key = key_of_authorization(request.get_header_value("Authorization"));
  return key.empty() ? request.get_header_value("X-Api-Key") : key;
}

ApiError wrong_key() {
  return {401, "authentication_error",
          "the API key is missing or wrong; send \"Authorization: Bearer KEY\"", "",
          "invalid_api_key"};
}

ApiError shutting_down() {
  return {503, "server_error", "the server is shutting down", "", "shutting_down"};
}

ApiError forbidden(const std::string& why) {
  return {403, "permission_error", why, "", "forbidden"};
}

ApiError not_json() {
  return {415, "invalid_request_error",
          "web pages send JSON with \"Content-Type: application/json\"", "",
          "unsupported_media_type"};
}

// Pages that must not come, under whatever name. Before keys and paths: they learn nothing.
bool refuse_page(const OriginRules& rules, const httplib::Request& request,
                 httplib::Response& response) {
  const std::string host = request.get_header_value("Host");
  const std::string origin = request.get_header_value("Origin");
  const std::string type = request.get_header_value("Content-Type");
  const Sender sender{host, origin, type, request.method == "POST"};
  std::string why = why_host_refused(rules, host);
  if (why.empty()) {
    why = why_origin_refused(rules, sender);
    // A browser asks first, and is told by what is not there, as llama.cpp's server tells it.
    if (!why.empty() && request.method == "OPTIONS" && !rules.cors_origin.empty()) {
      response.status = 200;
      return true;
    }
  }
  if (!why.empty()) {
    set_error(response, forbidden(why));
    return true;
  }
  if (!hides_json(sender)) return false;
  set_error(response, not_json());
  return true;
}

void answer_preflight(const httplib::Request& request, httplib::Response& response) {
  response.status = 200;
  // Of all paths; one that does not take a method says so itself.
  response.set_header("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
  // The origin is trusted; clients' libraries send headers of their own.
  const std::string wanted = request.get_header_value("Access-Control-Request-Headers");
  response.set_header("Access-Control-Allow-Headers",
                      wanted.empty() ? "Authorization, Content-Type" : wanted);
  response.set_header("Access-Control-Max-Age", "86400");
}

// Its times are those of the service, which is not there while it sleeps.
struct EngineHealth {
  bool has_failed = false;
  Clock::duration in_round{0};
};
EngineHealth engine_health(ServiceGate& gate) {
  if (!gate.enter_if_awake()) return {};
  const Scheduler& scheduler = gate.service().scheduler();
  const EngineHealth health{scheduler.has_failed(), scheduler.time_in_round()};
  gate.leave_unused();
  return health;
}

void tell_health(HttpState& state, httplib::Response& response) {
  const auto unavailable = [&](const std::string& status, const ApiError& error) {
    auto body = nlohmann::ordered_json::parse(error.body());
    body["status"] = status;
    response.status = 503;
    response.set_content(body.dump(), kJson);
  };
  try {
    (void)state.gate.shown();
  } catch (const ApiError& error) {
    return unavailable("loading model", error);
  }
  if (state.refuses) return unavailable("shutting down", shutting_down());
  const EngineHealth engine = engine_health(state.gate);
  if (engine.has_failed) {
    return unavailable("failed",
                       {503, "server_error", "the engine has failed; restart the server"});
  }
  if (engine.in_round > state.options.longest_round) {
    const auto n = std::chrono::duration_cast<std::chrono::seconds>(engine.in_round).count();
    return unavailable("stuck", {503, "server_error",
                                 "the engine has been in one round for " + std::to_string(n) +
                                     " seconds; smaller prompts or batches take less"});
  }
  response.set_content(answer_health(), kJson);
}

// A route below the prefix. httplib takes paths with characters of patterns for patterns.
std::string pattern(const HttpState& state, const std::string& path) {
  std::string prefix;
  for (const char c : state.options.prefix) {
    if (c == '.') prefix += '\\';
    prefix += c;
  }
  // The prefix alone is the front.
  return prefix.empty() || path != "/" ? prefix + path : prefix + "/?";
}

// The other forms of a chat.
void add_newer_posts(httplib::Server& server, HttpState& state) {
  for (const char* path : {"/v1/responses", "/responses"}) {
    add_post(server, state, path, [&state](const auto& request, auto& response, auto& body) {
      answer_completion(state, Endpoint::responses, request, response, body);
    });
  }
  add_post(server, state, "/v1/messages",
           [&state](const auto& request, auto& response, auto& body) {
             answer_completion(state, Endpoint::messages, request, response, body);
           });
  const auto add_count = [&](const char* path, Endpoint endpoint) {
    add_post(server, state, path, [&state, endpoint](const auto&, auto& response, auto& body) {
      response.set_content(answer_input_tokens(body, state.ready_service().model(), endpoint),
                           kJson);
    });
  };
  add_count("/v1/responses/input_tokens", Endpoint::responses);
  add_count("/v1/messages/count_tokens", Endpoint::messages);
}

void add_posts(httplib::Server& server, HttpState& state) {
  add_post(server, state, "/v1/completions",
           [&state](const auto& request, auto& response, auto& body) {
             answer_completion(state, Endpoint::completions, request, response, body);
           });
  for (const char* path : {"/completion", "/completions"}) {
    add_post(server, state, path, [&state](const auto& request, auto& response, auto& body) {
      answer_completion(state, Endpoint::native, request, response, body);
    });
  }
  add_post(server, state, "/infill", [&state](const auto& request, auto& response, auto& body) {
    answer_completion(state, Endpoint::infill, request, response, body);
  });
  for (const char* path : {"/v1/chat/completions", "/chat/completions"}) {
    add_post(server, state, path, [&state](const auto& request, auto& response, auto& body) {
      answer_completion(state, Endpoint::chat, request, response, body);
    });
  }
  add_newer_posts(server, state);
  for (const char* path : {"/v1/chat/completions/input_tokens", "/chat/completions/input_tokens"}) {
    add_post(server, state, path, [&state](const auto& /*request*/, auto& response, auto& body) {
      response.set_content(answer_input_tokens(body, state.ready_service().model()), kJson);
    });
  }
  add_post(server, state, "/apply-template",
           [&state](const auto& /*request*/, auto& response, auto& body) {
             response.set_content(answer_apply_template(body, state.ready_service().model()),
                                  kJson);
           });
  add_post(server, state, "/tokenize",
           [&state](const auto& /*request*/, auto& response, auto& body) {
             response.set_content(answer_tokenize(body, state.ready_service().model()), kJson);
           });
  add_post(server, state, "/detokenize",
           [&state](const auto& /*request*/, auto& response, auto& body) {
             response.set_content(answer_detokenize(body, state.ready_service().model()), kJson);
           });
}

void add_gets(httplib::Server& server, HttpState& state) {
  for (const char* path : {"/v1/models", "/models"}) {
    add_get(server, state, path, [&state](const auto& /*request*/, auto& response) {
      response.set_content(answer_models(state.gate.shown()->model), kJson);
    });
  }
  add_get(server, state, "/v1/models/(.+)", [&state](const auto& request, auto& response) {
    response.set_content(answer_model(state.gate.shown()->model, request.matches[1]), kJson);
  });
  std::vector<std::string> health = {"/health", "/v1/health"};
  if (!state.options.health_path.empty()) health.push_back(state.options.health_path);
  for (const std::string& path : health) {
    add_get(server, state, path,
            [&state](const auto& /*request*/, auto& response) { tell_health(state, response); });
  }
  add_get(server, state, "/props", [&state](const auto& /*request*/, auto& response) {
    const auto shown = state.gate.shown();
    response.set_content(answer_props(shown->model, shown->n_active, state.gate.is_asleep()),
                         kJson);
  });
  add_get(server, state, "/slots", [&state](const auto& request, auto& response) {
    if (!state.options.has_slots) {
      throw not_served("/slots", "start the server with --slots");
    }
    const ServiceUse use(state.gate);
    Service& service = state.ready_service();
    const std::size_t n_texts = service.scheduler().n_texts();
    if (request.has_param("fail_on_no_slot") && n_texts >= service.n_active()) {
      throw ApiError(503, "unavailable_error", "no slot is free; try again later", "", "no_slot");
    }
    response.set_content(answer_slots(service.model(), service.n_active(), n_texts), kJson);
  });
}

}  // namespace

ApiError not_served(const std::string& what, const std::string& remedy) {
  return {501, "not_supported_error", what + " is not served here; " + remedy, "", "unsupported"};
}

void add_post(httplib::Server& server, HttpState& state, const std::string& path,
              BodyHandler handler, Guard guard) {
  const auto answer = [&state, handler = std::move(handler), guard = std::move(guard)](
                          const httplib::Request& request, httplib::Response& response,
                          const std::string& body) {
    guard(response, [&] {
      const ServiceUse use(state.gate);
      handler(request, response, body);
    });
  };
  add_body_route(server, state, path, answer);
  state.posts.push_back({path, answer});
}

void add_body_route(httplib::Server& server, const HttpState& state, const std::string& path,
                    BodyHandler handler) {
  server.Post(
      pattern(state, path),
      [handler = std::move(handler)](const httplib::Request& request, httplib::Response& response,
                                     const httplib::ContentReader& reader) {
        std::string body;
        if (read_body(reader, response, body)) handler(request, response, body);
      });
}

void add_get(httplib::Server& server, const HttpState& state, const std::string& path,
             HttpHandler handler) {
  server.Get(pattern(state, path), [handler = std::move(handler)](const httplib::Request& request,
                                                                  httplib::Response& response) {
    run_guarded(response, [&] { handler(request, response); });
  });
}

void set_error(httplib::Response& response, const ApiError& error) {
  response.status = error.status();
  response.set_content(error.body(), kJson);
  if (error.status() == 401) response.set_header("WWW-Authenticate", "Bearer");
  if (error.status() == 429 || error.status() == 503) {
    response.set_header("Retry-After", kRetryAfter);
  }
}

void run_guarded(httplib::Response& response, const std::function<void()>& handler) {
  try {
    handler();
  } catch (const ApiError& error) {
    set_error(response, error);
  } catch (const Error& error) {
    set_error(response, api_error(error));
  } catch (const std::exception& error) {
    set_error(response, {500, "server_error",
                         std::string("internal error: ") + error.what() + "; please report it"});
  }
}

bool read_body(const httplib::ContentReader& reader, httplib::Response& response,
               std::string& body) {
  const bool is_whole = reader([&](const char* data, std::size_t n) {
    body.append(data, n);
    return true;
  });
  if (!is_whole && response.status < 400) response.status = 400;
  return is_whole;
}

bool answer_before_routing(const HttpState& state, const httplib::Request& request,
                           httplib::Response& response) {
  const OriginRules& origins = state.options.origins;
  if (refuse_page(origins, request, response)) return true;
  const std::string page = allowed_origin(origins, request.get_header_value("Origin"));
  if (!page.empty()) {
    response.headers.erase("Access-Control-Allow-Origin");  // what is said of pages in general
    response.set_header("Access-Control-Allow-Origin", page);
  }
  const std::string path = state.path_of(request.path);
  const bool is_page = find_static_file(path) != nullptr;
  const std::string methods = is_page && !state.options.has_page ? "" : allowed_methods(path);
  const EndpointDoc* endpoint = find_endpoint(request.method, path);
  const bool is_public = is_page || (endpoint != nullptr && !endpoint->needs_key);
  if (request.method == "OPTIONS" && !origins.cors_origin.empty() && !methods.empty()) {
    answer_preflight(request, response);
    return true;
  }
  if (!is_public && !state.options.keys.accept(given_key(request))) {
    set_error(response, wrong_key());
    return true;
  }
  if (methods.empty()) {
    set_error(response,
              {404, "invalid_request_error",
               "there is no such path; docs/server.md lists those there are", "", "not_found"});
    return true;
  }
  const std::string method = request.method;
  if (("," + methods + ",").find(method) == std::string::npos) {
    set_error(response,
              {405, "invalid_request_error",
               "this path does not take " + method + "; use " + methods, "", "method_not_allowed"});
    response.set_header("Allow", methods);
    return true;
  }
  if (state.refuses && method == "POST") {
    set_error(response, shutting_down());
    return true;
  }
  return false;
}

namespace {

void add_model_routes(httplib::Server& server, HttpState& state) {
  state.posts.clear();  // another address has the same ones
  add_posts(server, state);
  add_gets(server, state);
  add_peer_routes(server, state);
  add_ollama_routes(server, state);
  add_embedding_routes(server, state);
  add_lora_routes(server, state);
  add_predict_route(server, state);
  add_get(server, state, "/metrics", [&state](const auto& /*request*/, auto& response) {
    if (!state.options.has_metrics) {
      throw not_served("/metrics", "start the server with --metrics");
    }
    response.set_header("Process-Start-Time-Unix", std::to_string(state.start_time));
    response.set_content(state.metrics.text(), "text/plain; version=0.0.4; charset=utf-8");
  });
}

}  // namespace

void add_routes(httplib::Server& server, HttpState& state) {
  if (state.options.router != nullptr) {
    add_router_routes(server, state);
  } else {
    add_model_routes(server, state);
  }
  add_page_routes(server, state);
}

}  // namespace gumbelspec::server
