// JSON as a tree that keeps numbers as they are written, and knows where each value stands.
#ifndef GUMBELSPEC_APPS_STRUCTURE_JSON_NODE_H_
#define GUMBELSPEC_APPS_STRUCTURE_JSON_NODE_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace gumbelspec::structure {

struct JsonNode {
  enum class Kind : std::uint8_t { null, boolean, number, string, array, object };

  Kind kind = Kind::null;
  bool truth = false;
  std::string text = {};  // of a string; of a number as it is written
  std::vector<JsonNode> items = {};
  std::vector<std::pair<std::string, JsonNode>> members = {};  // in their order
  std::string place = {};                                      // "#/properties/a"

  [[nodiscard]] bool is(Kind of) const { return kind == of; }
  // Null: it is no object, or has none of that name.
  [[nodiscard]] const JsonNode* find(std::string_view name) const;
};

// "json_schema at PLACE WHAT": refuses what stands there.
[[noreturn]] void fail_schema(const std::string& place, const std::string& what);

// Throws: Error{invalid_option}, field "json_schema": not JSON, or deeper than kMaxDepth.
JsonNode parse_json(std::string_view text);

// The value as compact JSON, as grammars write it.
std::string json_text(const JsonNode& value);
std::string json_string(std::string_view text);

// As JSON Schema compares them: 1 and 1.0 are equal, and objects whatever their order.
bool equal_values(const JsonNode& a, const JsonNode& b);

// Well-formed UTF-8 only. to_utf8: characters only.
std::u32string to_points(std::string_view text);
std::string to_utf8(std::u32string_view points);

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_JSON_NODE_H_
