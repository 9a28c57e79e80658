// What llama.cpp's server has besides completions, and Ollama's API.
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "apps/server/api/ollama.h"
#include "apps/server/http/http_state.h"

namespace gumbelspec::server {
namespace {

constexpr const char* kJson = "application/json";

// Runs the handler; what it throws becomes an answer that Ollama's clients read.
void run_for_ollama(httplib::Response& response, const std::function<void()>& handler) {
  try {
    handler();
  } catch (const ApiError& error) {
    set_error(response, error);
    response.set_content(ollama_error(error), kJson);
  } catch (const Error& error) {
    set_error(response, api_error(error));
    response.set_content(ollama_error(api_error(error)), kJson);
  }
}

}  // namespace

// What only llama.cpp's server has besides completions.
void add_peer_routes(httplib::Server& server, HttpState& state) {
  add_post(server, state, "/slots/([^/]+)",
           [&state](const auto& request, auto& response, auto& body) {
             response.set_content(state.ready_service().act_on_slot(
                                      request.matches[1], request.get_param_value("action"), body),
                                  kJson);
           });
  for (const char* path : {"/models/load", "/models/unload"}) {
    add_body_route(server, state, path,
                   [path](const auto& /*request*/, auto& response, auto& /*body*/) {
                     run_guarded(response, [&] {
                       throw not_served(path, "it has one model; start it with --models-dir");
                     });
                   });
  }
}

void add_ollama_routes(httplib::Server& server, HttpState& state) {
  const auto add = [&](const char* path, OllamaEndpoint endpoint) {
    const auto answer = [&state, endpoint](const auto& request, auto& response, auto& body) {
      const OllamaRequest ours = read_ollama(endpoint, body);
      const ApiModel& model = state.ready_service().model();
      answer_completion(
          state, ours.endpoint, request, response, ours.body,
          [&model, endpoint, &ours](AnswerOutput output) {
            return ollama_output(endpoint, ours.endpoint, model, std::move(output));
          },
          "application/x-ndjson");
    };
    add_post(server, state, path, answer, run_for_ollama);
  };
  add("/api/chat", OllamaEndpoint::chat);
  add("/api/generate", OllamaEndpoint::generate);
  add_get(server, state, "/api/version", [](const auto& /*request*/, auto& response) {
    response.set_content(answer_ollama_version(), kJson);
  });
  add_get(server, state, "/api/tags", [&state](const auto& /*request*/, auto& response) {
    run_for_ollama(response, [&] {
      response.set_content(answer_ollama_tags(state.gate.shown()->model), kJson);
    });
  });
  add_post(
      server, state, "/api/show",
      [&state](const auto& /*request*/, auto& response, auto& body) {
        response.set_content(answer_ollama_show(state.ready_service().model(), body), kJson);
      },
      run_for_ollama);
}

}  // namespace gumbelspec::server
