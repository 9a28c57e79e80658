// JSON as the API writes it: fields in the order in which they were put in.
#ifndef GUMBELSPEC_APPS_SERVER_API_JSON_TEXT_H_
#define GUMBELSPEC_APPS_SERVER_API_JSON_TEXT_H_

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace gumbelspec::server {

using Json = nlohmann::ordered_json;

// On one line; bytes that are not UTF-8 become U+FFFD.
[[nodiscard]] std::string to_text(const Json& json);

// "data: {...}\n\n"
[[nodiscard]] std::string to_event(const Json& json);

// A body: an object, of at most kMaxBodyBytes and kMaxJsonDepth.
// Throws: ApiError that says where it is wrong, never what it says there.
[[nodiscard]] Json parse_body(std::string_view body);

// A value for a message: short, on one line.
[[nodiscard]] std::string shown(const Json& value);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_JSON_TEXT_H_
