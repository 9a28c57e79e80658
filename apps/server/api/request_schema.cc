// The requests' part of docs/openapi.json.
#include "apps/server/api/json_text.h"
#include "apps/server/api/request_reading.h"

namespace gumbelspec::server {

std::string request_schema(Endpoint endpoint) {
  const bool is_chat = endpoint == Endpoint::chat;
  Json properties = Json::object();
  for (const FieldDoc& field : request_fields()) {
    if (!(is_chat ? field.in_chat : field.in_completions)) continue;
    Json schema = Json::parse(field.schema);
    if (!field.default_value.empty()) schema["default"] = Json::parse(field.default_value);
    schema["description"] = field.description;
    properties[std::string(field.name)] = std::move(schema);
  }
  const Json schema{{"type", "object"},
                    {"required", Json::array({is_chat ? "messages" : "prompt"})},
                    {"properties", std::move(properties)}};
  return schema.dump(2);
}

}  // namespace gumbelspec::server
