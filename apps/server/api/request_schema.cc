// The requests' part of docs/openapi.json.
#include "apps/server/api/json_text.h"
#include "apps/server/api/request_reading.h"

namespace gumbelspec::server {

std::string request_schema(Endpoint endpoint) {
  const bool has_messages = is_chat(endpoint);
  Json properties = Json::object();
  for (const FieldDoc& field : request_fields()) {
    if (!(has_messages ? field.in_chat : field.in_completions)) continue;
    Json schema = Json::parse(field.schema);
    if (!field.default_value.empty()) schema["default"] = Json::parse(field.default_value);
    schema["description"] = field.description;
    properties[std::string(field.name)] = std::move(schema);
  }
  const Json schema{{"type", "object"},
                    {"required", Json::array({has_messages ? "messages" : "prompt"})},
                    {"properties", std::move(properties)}};
  return schema.dump(2);
}

}  // namespace gumbelspec::server
