// Whether values fit schemas, and whether two schemas have values in common.
#include <algorithm>

#include "apps/structure/json_schema.h"
#include "apps/structure/schema_shapes.h"

namespace gumbelspec::structure {
namespace {

using Kind = JsonNode::Kind;

constexpr int kMaxDisjointDepth = 6;

bool is_multiple(const Decimal& value, const std::vector<Decimal>& of) {
  return std::all_of(of.begin(), of.end(), [&](const Decimal& factor) {
    NumberLimits limits;
    limits.multiples_of = {factor};
    limits.is_integer = value.is_whole();
    return numbers_within(limits).takes(value.text());
  });
}

bool is_within(const Decimal& value, const NumberLimits& limits) {
  if (limits.is_integer && !value.is_whole()) return false;
  if (limits.least) {
    const int order = compare(value, limits.least->value);
    if (order < 0 || (order == 0 && limits.least->is_exclusive)) return false;
  }
  if (limits.most) {
    const int order = compare(value, limits.most->value);
    if (order > 0 || (order == 0 && limits.most->is_exclusive)) return false;
  }
  return is_multiple(value, limits.multiples_of);
}

unsigned type_of(const JsonNode& value) {
  switch (value.kind) {
    case Kind::null:
      return kNull;
    case Kind::boolean:
      return kBoolean;
    case Kind::number:
      return Decimal::parse(value.text).is_whole() ? kInteger : kFraction;
    case Kind::string:
      return kString;
    case Kind::array:
      return kArray;
    default:
      return kObject;
  }
}

bool are_unique(const std::vector<JsonNode>& items) {
  for (std::size_t i = 0; i < items.size(); ++i) {
    for (std::size_t k = 0; k < i; ++k) {
      if (equal_values(items[i], items[k])) return false;
    }
  }
  return true;
}

bool fits_list(const JsonNode& value, const JsonNode& schema) {
  const JsonNode* list = schema.find("enum");
  if (list != nullptr &&
      std::none_of(list->items.begin(), list->items.end(),
                   [&](const JsonNode& item) { return equal_values(item, value); })) {
    return false;
  }
  const JsonNode* one = schema.find("const");
  return one == nullptr || equal_values(*one, value);
}

}  // namespace

bool SchemaShapes::fits(const JsonNode& value, const Conjunction& conjunction) {
  const std::vector<Shape> ways = shapes(conjunction);
  return std::any_of(ways.begin(), ways.end(),
                     [&](const Shape& shape) { return fits(value, shape); });
}

bool SchemaShapes::fits(const JsonNode& value, const Shape& shape) {
  if ((shape.types & type_of(value)) == 0) return false;
  for (const JsonNode* node : shape.nodes) {
    if (!fits_list(value, *node)) return false;
  }
  return fits_keywords(value, shape);
}

bool SchemaShapes::fits_keywords(const JsonNode& value, const Shape& shape) {
  if (value.is(Kind::number)) return is_within(Decimal::parse(value.text), number_limits(shape));
  if (value.is(Kind::string)) {
    const StringLimits& limits = string_limits(shape);
    const std::size_t n = to_points(value.text).size();
    return n >= limits.least && n <= limits.most &&
           (!limits.patterns || limits.patterns->takes(value.text));
  }
  if (value.is(Kind::array)) {
    const std::size_t n = value.items.size();
    if (n < greatest(shape, "minItems", 0) || n > least(shape, "maxItems", Regex::kNoLimit)) {
      return false;
    }
    Shape without = shape;  // "contains" may be anywhere in a value that is given
    for (const JsonNode* node : shape.nodes) {
      const JsonNode* unique = node->find("uniqueItems");
      if (unique != nullptr && unique->truth && !are_unique(value.items)) return false;
      const JsonNode* contained = node->find("contains");
      if (contained == nullptr) continue;
      const auto n_fits =
          std::count_if(value.items.begin(), value.items.end(),
                        [&](const JsonNode& item) { return fits(item, Conjunction{contained}); });
      if (static_cast<std::uint64_t>(n_fits) < count_of(*node, "minContains", 1)) return false;
    }
    for (std::size_t i = 0; i < n; ++i) {
      Conjunction schemas = item(shape, i);
      for (const JsonNode* node : shape.nodes) {
        const JsonNode* contained = node->find("contains");
        schemas.erase(std::remove(schemas.begin(), schemas.end(), contained), schemas.end());
      }
      if (!fits(value.items[i], schemas)) return false;
    }
    return true;
  }
  if (!value.is(Kind::object)) return true;
  const std::size_t n = value.members.size();
  if (n < greatest(shape, "minProperties", 0) ||
      n > least(shape, "maxProperties", Regex::kNoLimit)) {
    return false;
  }
  const std::optional<Automaton> allowed = names(shape);
  for (const auto& [name, part] : value.members) {
    if (allowed && !allowed->takes(name)) return false;
    if (!fits(part, member(shape, name))) return false;
  }
  for (const JsonNode* node : shape.nodes) {
    const JsonNode* required = node->find("required");
    if (required == nullptr) continue;
    for (const JsonNode& name : required->items) {
      if (value.find(name.text) == nullptr) return false;
    }
  }
  return true;
}

std::optional<std::vector<const JsonNode*>> SchemaShapes::listed(const Shape& shape) {
  for (const JsonNode* node : shape.nodes) {
    const JsonNode* list = node->find("enum");
    const JsonNode* one = node->find("const");
    if (list == nullptr && one == nullptr) continue;
    std::vector<const JsonNode*> out;
    if (one != nullptr) {
      if (fits(*one, shape)) out.push_back(one);
      return out;
    }
    for (const JsonNode& value : list->items) {
      const bool is_known = std::any_of(out.begin(), out.end(), [&](const JsonNode* other) {
        return equal_values(*other, value);
      });
      if (!is_known && fits(value, shape)) out.push_back(&value);
    }
    return out;
  }
  return std::nullopt;
}

bool SchemaShapes::are_disjoint(const Conjunction& a, const Conjunction& b, int depth) {
  if (is_never(a) || is_never(b)) return true;
  if (depth > kMaxDisjointDepth) return false;
  const std::vector<Shape> left = shapes(a);
  const std::vector<Shape> right = shapes(b);
  return std::all_of(left.begin(), left.end(), [&](const Shape& x) {
    return std::all_of(right.begin(), right.end(),
                       [&](const Shape& y) { return are_disjoint(x, y, depth); });
  });
}

bool SchemaShapes::are_disjoint(const Shape& a, const Shape& b, int depth) {
  const unsigned types = a.types & b.types;
  if (types == 0) return true;
  for (const auto& [x, y] : {std::make_pair(&a, &b), std::make_pair(&b, &a)}) {
    const auto values = listed(*x);
    if (!values) continue;
    return std::none_of(values->begin(), values->end(),
                        [&, &other = *y](const JsonNode* value) { return fits(*value, other); });
  }
  if ((types & (kNull | kBoolean)) != 0) return false;
  try {
    if ((types & (kInteger | kFraction)) != 0) {
      Shape shape{types, a.nodes};
      for (const JsonNode* node : b.nodes) add_unique(shape.nodes, node);
      if (!numbers_within(number_limits(shape)).is_empty()) return false;
    }
    if ((types & kString) != 0 && !common(strings(a), strings(b)).is_empty()) return false;
  } catch (const std::exception&) {
    return false;  // not known
  }
  if ((types & kArray) != 0 &&
      least(a, "maxItems", Regex::kNoLimit) >= greatest(b, "minItems", 0) &&
      least(b, "maxItems", Regex::kNoLimit) >= greatest(a, "minItems", 0)) {
    return false;
  }
  return (types & kObject) == 0 || are_objects_disjoint(a, b, depth);
}

// They are if a name that one requires has no value in common, or is none of the other's.
bool SchemaShapes::are_objects_disjoint(const Shape& a, const Shape& b, int depth) {
  for (const auto* shape : {&a, &b}) {
    for (const JsonNode* node : shape->nodes) {
      const JsonNode* required = node->find("required");
      if (required == nullptr) continue;
      for (const JsonNode& name : required->items) {
        if (are_disjoint(member(a, name.text), member(b, name.text), depth + 1)) return true;
      }
    }
  }
  return false;
}

}  // namespace gumbelspec::structure
