// LoRA adapters: which there are, and other scales for them.
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "apps/server/api/field_value.h"
#include "apps/server/api/json_text.h"
#include "apps/server/http/http_state.h"

namespace gumbelspec::server {
namespace {

constexpr const char* kJson = "application/json";

// Of each adapter; 0 of those that the list leaves out, as llama.cpp's server has it.
std::vector<float> read_scales(const std::string& body, std::size_t n_adapters) {
  const Json list = Json::parse(body, nullptr, /*allow_exceptions=*/false);
  if (!list.is_array()) {
    throw bad_request("the body is no list; give [{\"id\": 0, \"scale\": 0.5}]", "",
                      "invalid_value");
  }
  std::vector<float> scales(n_adapters, 0.0F);
  for (std::size_t i = 0; i < list.size(); ++i) {
    const FieldValue one(list[i], "[" + std::to_string(i) + "]");
    (void)one.object();
    for (const char* name : {"id", "scale"}) {
      if (!one.has(name)) {
        throw bad_request(one.name() + " has no " + name + "; give it", one.name(),
                          "missing_field");
      }
    }
    if (n_adapters == 0) {
      throw bad_request("this server has no adapters; start it with --lora FILE", one.name(),
                        "invalid_value");
    }
    const auto id = one.member("id").integer(0, static_cast<std::int64_t>(n_adapters) - 1);
    scales[static_cast<std::size_t>(id)] = one.member("scale").number();
  }
  return scales;
}

}  // namespace

void add_lora_routes(httplib::Server& server, HttpState& state) {
  add_get(server, state, "/lora-adapters", [&state](const auto& /*request*/, auto& response) {
    Json list = Json::array();
    const std::lock_guard lock(state.scales_mutex);
    for (std::size_t i = 0; i < state.scales.size(); ++i) {
      list.push_back(
          {{"id", i}, {"path", state.options.adapters[i].path}, {"scale", state.scales[i]}});
    }
    response.set_content(to_text(list), kJson);
  });
  // Not a user of the service, which goes for another.
  const auto set = [&state](const auto& /*request*/, auto& response, auto& body) {
    run_guarded(response, [&] {
      (void)state.gate.shown();
      const std::vector<float> scales = read_scales(body, state.options.adapters.size());
      const std::lock_guard lock(state.scales_mutex);
      if (scales != state.scales) {
        // Texts of different scales never share a pass, nor what past ones have evaluated.
        state.scales = scales;
        state.gate.replace([&] { state.options.set_scales(scales); });
      }
      response.set_content(to_text({{"success", true}}), kJson);
    });
  };
  add_body_route(server, state, "/lora-adapters", set);
}

}  // namespace gumbelspec::server
