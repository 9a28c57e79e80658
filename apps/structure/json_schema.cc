#include "apps/structure/json_schema.h"

#include "apps/structure/json_node.h"
#include "apps/structure/schema_grammar.h"
#include "gumbelspec/error.h"

namespace gumbelspec::structure {

void check_size(std::string_view text, const std::string& field) {
  if (text.size() <= kMaxBytes) return;
  throw Error(ErrorCode::invalid_option,
              field + " has " + std::to_string(text.size()) + " bytes, at most " +
                  std::to_string(kMaxBytes) + " are allowed; use a smaller one",
              field);
}

std::string grammar_of_schema(std::string_view schema) {
  check_size(schema, "json_schema");
  const JsonNode root = parse_json(schema);
  if (!root.is(JsonNode::Kind::object) && !root.is(JsonNode::Kind::boolean)) {
    fail_schema("", R"(is no schema; give an object, e.g. {"type": "object"})");
  }
  return SchemaGrammar(root).write();
}

}  // namespace gumbelspec::structure
