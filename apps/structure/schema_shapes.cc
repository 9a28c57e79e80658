#include "apps/structure/schema_shapes.h"

#include <algorithm>

#include "apps/structure/json_schema.h"
#include "apps/structure/string_formats.h"

namespace gumbelspec::structure {
namespace {

using Kind = JsonNode::Kind;

constexpr std::size_t kMaxShapes = 500;

void add_shape(std::vector<Shape>& shapes, Shape shape, const JsonNode& place) {
  if (shape.types == 0) return;
  if (shapes.size() >= kMaxShapes) {
    fail_schema(place.place, "combines into more than " + std::to_string(kMaxShapes) +
                                 " alternatives; use fewer");
  }
  shapes.push_back(std::move(shape));
}

Shape both(const Shape& a, const Shape& b) {
  Shape out{a.types & b.types, a.nodes};
  for (const JsonNode* node : b.nodes) add_unique(out.nodes, node);
  return out;
}

std::vector<Shape> each_with_each(const std::vector<Shape>& a, const std::vector<Shape>& b,
                                  const JsonNode& place) {
  std::vector<Shape> out;
  for (const Shape& first : a) {
    for (const Shape& second : b) add_shape(out, both(first, second), place);
  }
  return out;
}

const JsonNode* items_behind(const JsonNode& node, const JsonNode*& first) {
  const JsonNode* items = node.find("items");
  first = node.find("prefixItems");
  if (first == nullptr && items != nullptr && items->is(Kind::array)) {  // before 2020-12
    first = items;
    return node.find("additionalItems");
  }
  return items;
}

}  // namespace

void add_unique(Conjunction& conjunction, const JsonNode* node) {
  if (node->is(Kind::boolean) && node->truth) return;
  if (std::find(conjunction.begin(), conjunction.end(), node) == conjunction.end()) {
    conjunction.push_back(node);
  }
}

bool is_never(const Conjunction& conjunction) {
  return std::any_of(conjunction.begin(), conjunction.end(), [](const JsonNode* node) {
    if (node->is(Kind::boolean)) return !node->truth;
    const JsonNode* excluded = node->find("not");
    return excluded != nullptr &&
           (excluded->truth || (excluded->is(Kind::object) && excluded->members.empty()));
  });
}

const JsonNode& SchemaShapes::made_node(JsonNode node) {
  made_.push_back(std::move(node));
  return made_.back();
}

std::vector<Shape> SchemaShapes::shapes(const Conjunction& conjunction) {
  std::vector<Shape> out = {{}};
  for (const JsonNode* node : conjunction) out = each_with_each(out, shapes_of(*node), *node);
  return out;
}

const std::vector<Shape>& SchemaShapes::shapes_of(const JsonNode& node) {
  const auto known = known_.find(&node);
  if (known != known_.end()) return known->second;
  if (!open_.insert(&node).second) {
    fail_schema(node.place, "refers to itself without a value in between; leave that out");
  }
  std::vector<Shape> made = made_shapes(node);
  open_.erase(&node);
  return known_.emplace(&node, std::move(made)).first->second;
}

std::vector<Shape> SchemaShapes::made_shapes(const JsonNode& node) {
  if (node.is(Kind::boolean)) return node.truth ? std::vector<Shape>{{}} : std::vector<Shape>{};
  if (!node.is(Kind::object)) {
    fail_schema(node.place, "is no schema; give an object, true or false");
  }
  check_keywords(node);
  if (is_never({&node})) return {};
  std::vector<Shape> shapes = {{types_of(node), {&node}}};
  if (const JsonNode* reference = node.find("$ref")) {
    shapes = each_with_each(shapes, shapes_of(target(*reference)), node);
  }
  if (const JsonNode* all = node.find("allOf")) {
    for (const JsonNode& part : all->items) shapes = each_with_each(shapes, shapes_of(part), node);
  }
  if (const JsonNode* any = node.find("anyOf")) {
    shapes = each_with_each(shapes, any_of_shapes(*any, false), node);
  }
  if (const JsonNode* one = node.find("oneOf")) {
    shapes = each_with_each(shapes, any_of_shapes(*one, true), node);
  }
  add_dependents(node, shapes);
  return shapes;
}

std::vector<Shape> SchemaShapes::any_of_shapes(const JsonNode& list, bool is_one) {
  std::vector<Shape> out;
  for (std::size_t i = 0; i < list.items.size(); ++i) {
    for (std::size_t k = 0; is_one && k < i; ++k) {
      if (are_disjoint(Conjunction{&list.items[k]}, Conjunction{&list.items[i]}, 0)) continue;
      fail_schema(list.place, "cannot be followed: a value may fit both " + std::to_string(k) +
                                  " and " + std::to_string(i) +
                                  "; use anyOf, or give both a property with another const");
    }
    for (const Shape& shape : shapes_of(list.items[i])) add_shape(out, shape, list);
  }
  return out;
}

// Either the name is not there, or what depends on it holds.
void SchemaShapes::add_dependents(const JsonNode& node, std::vector<Shape>& shapes) {
  const auto add = [&](const std::string& name, const JsonNode& place, Shape with) {
    JsonNode never{Kind::boolean};
    never.place = place.place;
    JsonNode properties{Kind::object};
    properties.members.emplace_back(name, std::move(never));
    JsonNode without{Kind::object};
    without.place = place.place;
    without.members.emplace_back("properties", std::move(properties));
    with.types &= kObject;
    const Shape absent{kAnyType, {&made_node(std::move(without))}};
    shapes = each_with_each(shapes, {absent, with}, place);
  };
  const auto requiring = [&](std::vector<std::string> names, const JsonNode& place) {
    JsonNode required{Kind::array};
    for (std::string& name : names) {
      required.items.push_back({Kind::string, false, std::move(name)});
    }
    JsonNode out{Kind::object};
    out.place = place.place;
    out.members.emplace_back("required", std::move(required));
    return &made_node(std::move(out));
  };
  if (const JsonNode* lists = node.find("dependentRequired")) {
    for (const auto& [name, list] : lists->members) {
      std::vector<std::string> names = {name};
      for (const JsonNode& item : list.items) names.push_back(item.text);
      add(name, list, {kObject, {requiring(std::move(names), list)}});
    }
  }
  if (const JsonNode* schemas = node.find("dependentSchemas")) {
    for (const auto& [name, schema] : schemas->members) {
      const JsonNode* present = requiring({name}, schema);
      std::vector<Shape> with;
      for (const Shape& shape : shapes_of(schema))
        with.push_back(both({kObject, {present}}, shape));
      if (with.empty()) with.push_back({0, {}});
      if (with.size() > 1) {
        fail_schema(schema.place,
                    "has alternatives below \"dependentSchemas\", which is not "
                    "supported; use anyOf instead");
      }
      add(name, schema, with.front());
    }
  }
}

Conjunction SchemaShapes::member(const Shape& shape, const std::string& name) {
  Conjunction out;
  for (const JsonNode* node : shape.nodes) {
    bool is_matched = false;
    if (const JsonNode* properties = node->find("properties")) {
      if (const JsonNode* schema = properties->find(name)) {
        add_unique(out, schema);
        is_matched = true;
      }
    }
    if (const JsonNode* patterns = node->find("patternProperties")) {
      for (const auto& [text, schema] : patterns->members) {
        if (!pattern(text, schema.place).takes(name)) continue;
        add_unique(out, &schema);
        is_matched = true;
      }
    }
    const JsonNode* others = node->find("additionalProperties");
    if (!is_matched && others != nullptr) add_unique(out, others);
  }
  return out;
}

std::size_t SchemaShapes::n_first_items(const Shape& shape) {
  std::size_t n = 0;
  for (const JsonNode* node : shape.nodes) {
    const JsonNode* first = nullptr;
    (void)items_behind(*node, first);
    if (first != nullptr) n = std::max(n, first->items.size());
    if (node->find("contains") != nullptr) {
      n = std::max<std::size_t>(n, count_of(*node, "minContains", 1));
    }
  }
  return n;
}

Conjunction SchemaShapes::item(const Shape& shape, std::size_t i) {
  Conjunction out;
  for (const JsonNode* node : shape.nodes) {
    const JsonNode* first = nullptr;
    const JsonNode* rest = items_behind(*node, first);
    if (first != nullptr && i < first->items.size()) {
      add_unique(out, &first->items[i]);
    } else if (rest != nullptr) {
      add_unique(out, rest);
    }
    // The first items are those that "contains" asks for.
    const JsonNode* contained = node->find("contains");
    if (contained != nullptr && i < count_of(*node, "minContains", 1)) add_unique(out, contained);
  }
  return out;
}

std::uint64_t SchemaShapes::greatest(const Shape& shape, const char* keyword, std::uint64_t none) {
  std::uint64_t out = none;
  for (const JsonNode* node : shape.nodes) out = std::max(out, count_of(*node, keyword, none));
  return out;
}

std::uint64_t SchemaShapes::least(const Shape& shape, const char* keyword, std::uint64_t none) {
  std::uint64_t out = none;
  for (const JsonNode* node : shape.nodes) out = std::min(out, count_of(*node, keyword, none));
  return out;
}

NumberLimits SchemaShapes::number_limits(const Shape& shape) {
  NumberLimits limits;
  limits.is_integer = (shape.types & kFraction) == 0;
  const auto add = [&](const JsonNode& node, const char* keyword, auto use) {
    if (const JsonNode* value = node.find(keyword)) use(Decimal::parse(value->text));
  };
  for (const JsonNode* node : shape.nodes) {
    add(*node, "minimum", [&](const Decimal& v) { limits.add_least({v, false}); });
    add(*node, "maximum", [&](const Decimal& v) { limits.add_most({v, false}); });
    add(*node, "exclusiveMinimum", [&](const Decimal& v) { limits.add_least({v, true}); });
    add(*node, "exclusiveMaximum", [&](const Decimal& v) { limits.add_most({v, true}); });
    add(*node, "multipleOf", [&](const Decimal& v) { limits.multiples_of.push_back(v); });
    const JsonNode* format = node->find("format");
    if (const auto range = format == nullptr ? std::nullopt : limits_of_format(format->text)) {
      limits.is_integer = true;
      limits.add_least({Decimal::parse(range->first), false});
      limits.add_most({Decimal::parse(range->second), false});
    }
  }
  return limits;
}

const Automaton& SchemaShapes::pattern(const std::string& pattern, const std::string& place) {
  const auto known = patterns_.find(pattern);
  if (known != patterns_.end()) return known->second;
  try {
    return patterns_.emplace(pattern, Automaton::that_holds(parse_pattern(pattern, place)))
        .first->second;
  } catch (const TooLarge&) {
    fail_schema(place, "has a pattern that needs more than " +
                           std::to_string(Automaton::kMaxStates) + " states; use a simpler one");
  }
}

const StringLimits& SchemaShapes::string_limits(const Shape& shape) {
  const auto known = strings_.find(shape.nodes);
  if (known != strings_.end()) return known->second;
  StringLimits limits;
  limits.least = greatest(shape, "minLength", 0);
  limits.most = least(shape, "maxLength", Regex::kNoLimit);
  const auto add = [&](const std::string& text, const JsonNode& place) {
    if (text.empty()) return;
    const Automaton& one = pattern(text, place.place);
    try {
      limits.patterns = limits.patterns ? common(*limits.patterns, one) : one;
    } catch (const TooLarge&) {
      fail_schema(place.place, "needs too many states together with other patterns; use fewer");
    }
    limits.place = &place;
  };
  for (const JsonNode* node : shape.nodes) {
    if (const JsonNode* value = node->find("pattern")) {
      if (value->text.size() > kMaxPatternBytes) {
        fail_schema(value->place, "has a pattern of " + std::to_string(value->text.size()) +
                                      " bytes, at most " + std::to_string(kMaxPatternBytes) +
                                      " are allowed; shorten it");
      }
      add(value->text, *value);
    }
    if (const JsonNode* value = node->find("format")) {
      const char* text = pattern_of_format(value->text);
      if (text != nullptr) add(text, *value);
    }
  }
  return strings_.emplace(shape.nodes, std::move(limits)).first->second;
}

Automaton SchemaShapes::strings(const Shape& shape) {
  const StringLimits& limits = string_limits(shape);
  const bool has_length = limits.least > 0 || limits.most != Regex::kNoLimit;
  if (limits.least > limits.most) return Automaton({});
  if (!limits.patterns) return Automaton::of_length(limits.least, limits.most);
  if (!has_length) return *limits.patterns;
  return common(*limits.patterns, Automaton::of_length(limits.least, limits.most));
}

std::optional<Automaton> SchemaShapes::names(const Shape& shape) {
  std::optional<Automaton> out;
  for (const JsonNode* node : shape.nodes) {
    const JsonNode* schema = node->find("propertyNames");
    if (schema == nullptr) continue;
    try {
      for (const Shape& names : shapes({schema})) {
        if ((names.types & kString) == 0) {  // names are strings
          out = Automaton({});
          continue;
        }
        if (const auto values = listed(names)) {
          std::vector<std::string> texts;
          for (const JsonNode* value : *values) {
            if (value->is(Kind::string)) texts.push_back(value->text);
          }
          const Automaton some = Automaton::of_texts(texts);
          out = out ? common(*out, some) : some;
        } else {
          const Automaton some = strings(names);
          out = out ? common(*out, some) : some;
        }
      }
      if (shapes({schema}).size() != 1) {
        fail_schema(schema->place,
                    "has alternatives or no value below \"propertyNames\", which "
                    "is not supported; use one pattern or enum");
      }
    } catch (const TooLarge&) {
      fail_schema(schema->place, "needs too many states; use a simpler one");
    }
  }
  return out;
}

}  // namespace gumbelspec::structure
