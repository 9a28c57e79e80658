// Vertex AI's form: several requests to other endpoints in one body, answered together.
#include <algorithm>
#include <atomic>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "apps/server/api/field_value.h"
#include "apps/server/api/json_text.h"
#include "apps/server/http/http_state.h"

namespace gumbelspec::server {
namespace {

constexpr std::size_t kMostInstances = 128;
constexpr const char* kFormat = "@requestFormat";

// "/v1/chat/completions" is called "chatCompletions".
std::string format_of(std::string_view path) {
  if (path.substr(0, 3) == "/v1") path.remove_prefix(3);
  if (!path.empty()) path.remove_prefix(1);
  std::string name;
  bool begins_word = false;
  for (const char c : path) {
    if (c == '/' || c == '-' || c == '_') {
      begins_word = true;
      continue;
    }
    name += begins_word && c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    begins_word = false;
  }
  return name;
}

// Of several paths of one name the one of OpenAI's. Null: there is none.
const PostRoute* find_route(const std::vector<PostRoute>& routes, const std::string& format) {
  const PostRoute* found = nullptr;
  for (const PostRoute& route : routes) {
    const bool is_plain = route.path.find('(') == std::string::npos;
    const bool is_ollamas = route.path.rfind("/api/", 0) == 0;
    if (!is_plain || is_ollamas || (route.path != format && format_of(route.path) != format)) {
      continue;
    }
    if (found == nullptr || route.path.rfind("/v1/", 0) == 0) found = &route;
  }
  return found;
}

Json error_json(const ApiError& error) { return Json::parse(error.body()); }

Json predict_one(const std::vector<PostRoute>& routes, const httplib::Request& request,
                 Json instance) {
  const bool has_format =
      instance.is_object() && instance.contains(kFormat) && instance[kFormat].is_string();
  if (!has_format) {
    return error_json(bad_request("an instance is " + shown(instance) +
                                      ", but must be an object with a text @requestFormat, e.g. "
                                      "\"chatCompletions\"",
                                  "instances", "invalid_value"));
  }
  const std::string format = instance[kFormat];
  const PostRoute* route = find_route(routes, format);
  if (route == nullptr) {
    return error_json(bad_request("@requestFormat is " + shown(instance[kFormat]) +
                                      ", which is no endpoint here; give e.g. \"chatCompletions\" "
                                      "or \"completions\"",
                                  "instances", "invalid_value"));
  }
  instance.erase(kFormat);
  // As llama.cpp's server has it: an answer has all of its text.
  if (instance.contains("stream")) instance["stream"] = false;
  httplib::Response response;
  route->answer(request, response, to_text(instance));
  Json out = Json::parse(response.body, nullptr, /*allow_exceptions=*/false);
  return out.is_discarded() ? Json(response.body) : out;
}

std::vector<Json> read_instances(const std::string& body) {
  const Json json = parse_body(body);
  if (!json.contains("instances")) {
    throw bad_request("there are no instances; give an array of them", "instances",
                      "missing_field");
  }
  const FieldValue list(json["instances"], "instances");
  std::vector<Json> instances;
  for (std::size_t i = 0; i < list.array(0, kMostInstances).size(); ++i) {
    instances.push_back(list.element(i).json());
  }
  return instances;
}

}  // namespace

void add_predict_route(httplib::Server& server, HttpState& state) {
  if (state.options.predict_path.empty()) return;
  const auto routes = std::make_shared<const std::vector<PostRoute>>(state.posts);
  const auto answer_all = [&state, routes](const auto& request, auto& response, auto& body) {
    const std::vector<Json> instances = read_instances(body);
    std::vector<Json> predictions(instances.size());
    // Not more at once than there are texts at once: they would fill the queue that others wait in.
    std::atomic<std::size_t> next{0};
    const auto work = [&] {
      for (std::size_t i = next++; i < instances.size(); i = next++) {
        predictions[i] = predict_one(*routes, request, instances[i]);
      }
    };
    std::vector<std::thread> threads;
    const std::size_t n = std::min(instances.size(), state.gate.shown()->n_active);
    for (std::size_t i = 1; i < n; ++i) threads.emplace_back(work);
    work();
    for (std::thread& thread : threads) thread.join();
    response.set_content(to_text({{"predictions", predictions}}), "application/json");
  };
  // No user of the service itself: those that it asks are.
  add_body_route(server, state, state.options.predict_path,
                 [answer_all](const auto& request, auto& response, auto& body) {
                   run_guarded(response, [&] { answer_all(request, response, body); });
                 });
}

}  // namespace gumbelspec::server
