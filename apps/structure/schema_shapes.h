// What JSON schemas mean: references, combinations and alternatives resolved.
#ifndef GUMBELSPEC_APPS_STRUCTURE_SCHEMA_SHAPES_H_
#define GUMBELSPEC_APPS_STRUCTURE_SCHEMA_SHAPES_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/structure/automaton.h"
#include "apps/structure/json_node.h"
#include "apps/structure/number_language.h"

namespace gumbelspec::structure {

// Types of values, as bits. Numbers are whole or not.
inline constexpr unsigned kNull = 1;
inline constexpr unsigned kBoolean = 2;
inline constexpr unsigned kInteger = 4;
inline constexpr unsigned kFraction = 8;
inline constexpr unsigned kString = 16;
inline constexpr unsigned kArray = 32;
inline constexpr unsigned kObject = 64;
inline constexpr unsigned kAnyType = 127;

// Schemas that a value has to fit all at once, in the order in which they were met.
using Conjunction = std::vector<const JsonNode*>;

// One alternative of a conjunction: values of these types that fit the keywords of all nodes,
// beside "$ref", "allOf", "anyOf", "oneOf" and the dependent ones, which are resolved.
struct Shape {
  unsigned types = kAnyType;
  Conjunction nodes = {};
};

struct StringLimits {
  std::uint64_t least = 0;
  std::uint64_t most = Regex::kNoLimit;
  std::optional<Automaton> patterns = {};  // of "pattern" and "format"
  const JsonNode* place = nullptr;         // of the last of them
};

// Lifetime: the schema outlives it. Throws (all): Error{invalid_option}, field "json_schema", with
// the place and the keyword that cannot be followed.
class SchemaShapes {
 public:
  explicit SchemaShapes(const JsonNode& root) : root_(root) {}
  SchemaShapes(const SchemaShapes&) = delete;
  SchemaShapes& operator=(const SchemaShapes&) = delete;

  // Alternatives; a value fits the conjunction if it fits one of them.
  std::vector<Shape> shapes(const Conjunction& conjunction);

  bool fits(const JsonNode& value, const Conjunction& conjunction);
  bool fits(const JsonNode& value, const Shape& shape);

  // What an object's member of this name, and an array's item, has to fit.
  Conjunction member(const Shape& shape, const std::string& name);
  static Conjunction item(const Shape& shape, std::size_t i);
  static std::size_t n_first_items(const Shape& shape);  // with schemas of their own

  // nullopt: the shape lists no values.
  std::optional<std::vector<const JsonNode*>> listed(const Shape& shape);
  static NumberLimits number_limits(const Shape& shape);
  const StringLimits& string_limits(const Shape& shape);
  // The whole of string_limits(). Throws: TooLarge.
  Automaton strings(const Shape& shape);
  // The names that "propertyNames" leaves; nullopt: all.
  std::optional<Automaton> names(const Shape& shape);
  const Automaton& pattern(const std::string& pattern, const std::string& place);

  // The tightest of a keyword's values.
  static std::uint64_t greatest(const Shape& shape, const char* keyword, std::uint64_t none);
  static std::uint64_t least(const Shape& shape, const char* keyword, std::uint64_t none);

 private:
  const std::vector<Shape>& shapes_of(const JsonNode& node);
  std::vector<Shape> made_shapes(const JsonNode& node);
  void add_dependents(const JsonNode& node, std::vector<Shape>& shapes);
  const JsonNode& target(const JsonNode& reference);
  const JsonNode* with_anchor(const std::string& name) const;  // null: none
  std::vector<Shape> any_of_shapes(const JsonNode& list, bool is_one);
  bool are_disjoint(const Shape& a, const Shape& b, int depth);
  bool are_disjoint(const Conjunction& a, const Conjunction& b, int depth);
  bool are_objects_disjoint(const Shape& a, const Shape& b, int depth);
  bool fits_keywords(const JsonNode& value, const Shape& shape);
  const JsonNode& made_node(JsonNode node);

  const JsonNode& root_;
  std::deque<JsonNode> made_;
  std::map<const JsonNode*, std::vector<Shape>> known_;
  std::set<const JsonNode*> open_;
  std::map<std::string, Automaton> patterns_;
  std::map<Conjunction, StringLimits> strings_;
};

// Keyword by keyword what is followed, what says nothing about values, and what is refused.
// Checks the values of the keywords, too.
void check_keywords(const JsonNode& schema);

unsigned types_of(const JsonNode& schema);      // by "type"; kAnyType without one
bool is_never(const Conjunction& conjunction);  // a false, or "not": {}, is among them
void add_unique(Conjunction& conjunction, const JsonNode* node);
std::uint64_t count_of(const JsonNode& schema, const char* keyword, std::uint64_t none);

}  // namespace gumbelspec::structure

#endif  // GUMBELSPEC_APPS_STRUCTURE_SCHEMA_SHAPES_H_
