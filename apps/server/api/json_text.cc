#include "apps/server/api/json_text.h"

#include <cstddef>

#include "apps/server/api/api_error.h"
#include "apps/server/api/request.h"

namespace gumbelspec::server {

std::string to_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string to_event(const Json& json) { return "data: " + to_text(json) + "\n\n"; }

Json parse_body(std::string_view body) {
  if (body.size() > kMaxBodyBytes) {
    throw ApiError(413, "invalid_request_error",
                   "the body has " + std::to_string(body.size()) + " bytes, at most " +
                       std::to_string(kMaxBodyBytes) + " are read; send less",
                   "", "body_too_large");
  }
  const auto check_depth = [](int depth, Json::parse_event_t /*event*/, Json& /*value*/) {
    if (depth > kMaxJsonDepth) {
      throw bad_request("the body's JSON is nested deeper than " + std::to_string(kMaxJsonDepth) +
                            " levels; flatten it",
                        "", "json_too_deep");
    }
    return true;
  };
  Json json;
  try {
    json = Json::parse(body.begin(), body.end(), check_depth);
  } catch (const Json::parse_error& error) {
    throw bad_request("the body is not JSON: it goes wrong at byte " + std::to_string(error.byte) +
                          "; send a JSON object in UTF-8",
                      "", "invalid_json");
  } catch (const Json::exception&) {
    throw bad_request("the body holds a number out of range; send a smaller one", "",
                      "invalid_json");
  }
  if (!json.is_object()) {
    throw bad_request(std::string("the body is of JSON type ") + json.type_name() +
                          "; send an object, e.g. {\"prompt\": \"Once\"}",
                      "", "invalid_json");
  }
  return json;
}

std::string shown(const Json& value) {
  if (value.is_object() || value.is_array()) {
    return std::string("an ") + value.type_name() + " of " + std::to_string(value.size());
  }
  if (value.is_string() && value.get_ref<const std::string&>().size() > 64) {
    return "a string of " + std::to_string(value.get_ref<const std::string&>().size()) + " bytes";
  }
  return to_text(value);
}

}  // namespace gumbelspec::server
