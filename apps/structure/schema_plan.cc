// What the values of a conjunction need: one plan per alternative and type.
#include <algorithm>
#include <stdexcept>

#include "apps/structure/schema_grammar.h"

namespace gumbelspec::structure {
namespace {

using Kind = JsonNode::Kind;

// Longer texts are allowed by a schema, but not made: no text of a model is so long.
constexpr std::uint64_t kMostCharacters = 20'000;
constexpr std::uint64_t kMostItems = 10'000;
constexpr std::size_t kMaxPatternNames = 5;  // "patternProperties" that names are told apart by
constexpr std::size_t kMaxValues = 20'000;   // conjunctions

std::string repeat(std::uint64_t least, std::uint64_t most, std::uint64_t none) {
  return "{" + std::to_string(least) + "," + (most == none ? "" : std::to_string(most)) + "}";
}

const JsonNode* with_keyword(const Shape& shape, const char* keyword) {
  for (const JsonNode* node : shape.nodes) {
    if (node->find(keyword) != nullptr) return node->find(keyword);
  }
  return nullptr;
}

}  // namespace

SchemaGrammar::Id SchemaGrammar::id_of(const Conjunction& conjunction) {
  Conjunction key = conjunction;
  std::sort(key.begin(), key.end());
  const auto [found, is_new] = ids_.emplace(std::move(key), values_.size());
  if (is_new) {
    if (values_.size() >= kMaxValues) {
      fail_schema("", "combines into more than " + std::to_string(kMaxValues) +
                          " different schemas; use a simpler one");
    }
    values_.push_back({conjunction, {}, false, writer_.new_name()});
  }
  return found->second;
}

SchemaGrammar::Plan SchemaGrammar::text_plan(std::string text) {
  Plan plan;
  plan.text = std::move(text);
  return plan;
}

void SchemaGrammar::plan(Id id) {
  const Conjunction schemas = values_[id].schemas;
  std::vector<Plan> plans;
  const auto add = [&](std::optional<Plan> plan) {
    if (!plan) return;
    plan->place = schemas.empty() ? "#" : schemas.front()->place;
    plans.push_back(std::move(*plan));
  };
  for (const Shape& shape : shapes_.shapes(schemas)) {
    if (const auto values = shapes_.listed(shape)) {
      plan_listed(*values, plans);
      continue;
    }
    if ((shape.types & kNull) != 0) add(text_plan("\"null\""));
    if ((shape.types & kBoolean) != 0) add(text_plan("(\"true\" | \"false\")"));
    if ((shape.types & (kInteger | kFraction)) != 0) add(plan_number(shape));
    if ((shape.types & kString) != 0) add(plan_string(shape));
    if ((shape.types & kArray) != 0) add(plan_array(shape));
    if ((shape.types & kObject) != 0) add(plan_object(shape));
  }
  values_[id].plans = std::move(plans);
}

void SchemaGrammar::plan_listed(const std::vector<const JsonNode*>& values,
                                std::vector<Plan>& out) {
  if (values.empty()) return;
  std::string text;
  for (const JsonNode* value : values) {
    text += (text.empty() ? "" : " | ") + GrammarWriter::literal(json_text(*value));
  }
  out.push_back(text_plan("(" + text + ")"));
}

std::optional<SchemaGrammar::Plan> SchemaGrammar::plan_number(const Shape& shape) {
  const NumberLimits limits = SchemaShapes::number_limits(shape);
  if (!limits.any()) return text_plan(limits.is_integer ? "integer" : "number");
  const char* const kKeywords[] = {"multipleOf",       "minimum",          "maximum",
                                   "exclusiveMinimum", "exclusiveMaximum", "format"};
  const JsonNode* place = nullptr;
  for (const char* keyword : kKeywords) {
    if (place == nullptr) place = with_keyword(shape, keyword);
  }
  try {
    const Automaton numbers = numbers_within(limits);
    if (numbers.is_empty()) return std::nullopt;
    return text_plan(writer_.texts(numbers));
  } catch (const TooLarge&) {
    fail_schema(place->place,
                "has limits or multiples that need too many states; use simpler ones");
  } catch (const std::invalid_argument& error) {
    fail_schema(place->place, std::string("cannot be followed: ") + error.what());
  }
}

std::optional<SchemaGrammar::Plan> SchemaGrammar::plan_string(const Shape& shape) {
  const StringLimits& limits = shapes_.string_limits(shape);
  if (limits.least > limits.most) return std::nullopt;
  const std::string quote = "\"\\\"\"";
  if (limits.patterns) {
    try {
      const Automaton texts = shapes_.strings(shape);
      if (texts.is_empty()) return std::nullopt;
      return text_plan(quote + " " + writer_.in_string(texts) + " " + quote);
    } catch (const TooLarge&) {
      fail_schema(limits.place->place,
                  "needs too many states together with the lengths; use shorter ones");
    }
  }
  if (limits.least == 0 && limits.most == kNoLimit) return text_plan("string");
  if (limits.least > kMostCharacters) {
    fail_schema(with_keyword(shape, "minLength")->place,
                "is " + std::to_string(limits.least) + ", at most " +
                    std::to_string(kMostCharacters) + " is supported; use a smaller one");
  }
  const std::uint64_t most =
      limits.most == kNoLimit ? kNoLimit : std::min(limits.most, kMostCharacters);
  return text_plan(
      writer_.rule(quote + " char" + repeat(limits.least, most, kNoLimit) + " " + quote));
}

std::optional<SchemaGrammar::Plan> SchemaGrammar::plan_array(const Shape& shape) {
  Plan plan;
  plan.kind = Plan::Kind::array;
  plan.least = SchemaShapes::greatest(shape, "minItems", 0);
  plan.most = SchemaShapes::least(shape, "maxItems", kNoLimit);
  std::uint64_t n_contained = 0;
  for (const JsonNode* node : shape.nodes) {
    if (node->find("contains") != nullptr) {
      n_contained = std::max(n_contained, count_of(*node, "minContains", 1));
    }
  }
  plan.least = std::max(plan.least, n_contained);
  if (plan.least > plan.most) return std::nullopt;
  for (const char* keyword : {"minItems", "minContains"}) {
    const JsonNode* place = with_keyword(shape, keyword);
    if (place == nullptr || SchemaShapes::greatest(shape, keyword, 0) <= kMostItems) continue;
    fail_schema(place->place, "is more than " + std::to_string(kMostItems) +
                                  ", which is not supported; use a smaller one");
  }
  if (plan.most != kNoLimit) plan.most = std::min(plan.most, kMostItems);
  const JsonNode* unique = nullptr;
  for (const JsonNode* node : shape.nodes) {
    const JsonNode* value = node->find("uniqueItems");
    if (value != nullptr && value->truth) unique = value;
  }
  if (unique != nullptr && plan.most > 1) return plan_unique(shape, std::move(plan));
  const std::size_t n_first = SchemaShapes::n_first_items(shape);
  for (std::size_t i = 0; i < n_first && i < plan.most; ++i) {
    plan.parts.push_back({"", i < plan.least, id_of(SchemaShapes::item(shape, i))});
  }
  plan.others.push_back({"", false, id_of(SchemaShapes::item(shape, n_first))});
  return plan;
}

// Different values, in the order of the list: all of them are different.
std::optional<SchemaGrammar::Plan> SchemaGrammar::plan_unique(const Shape& shape, Plan plan) {
  const JsonNode* unique = with_keyword(shape, "uniqueItems");
  const auto refuse = [&] {
    fail_schema(unique->place,
                "cannot be followed: the items of a list without repetitions have to be an enum, "
                "beside items and not behind others; or maxItems has to be 1");
  };
  if (SchemaShapes::n_first_items(shape) > 0) refuse();
  std::vector<const JsonNode*> known;
  for (const Shape& item : shapes_.shapes(SchemaShapes::item(shape, 0))) {
    const auto values = shapes_.listed(item);
    if (values) {
      for (const JsonNode* value : *values) {
        // Equal ones may be written in two ways: 1 and 1.0.
        const bool is_known = std::any_of(known.begin(), known.end(), [&](const JsonNode* other) {
          return equal_values(*other, *value);
        });
        if (is_known) continue;
        known.push_back(value);
        plan.parts.push_back({GrammarWriter::literal(json_text(*value))});
      }
    } else if ((item.types & ~(kNull | kBoolean)) == 0) {
      if ((item.types & kNull) != 0) plan.parts.push_back({"\"null\""});
      if ((item.types & kBoolean) != 0) {
        plan.parts.push_back({"\"true\""});
        plan.parts.push_back({"\"false\""});
      }
    } else {
      refuse();
    }
  }
  plan.can_skip = true;
  return plan;
}

std::vector<std::string> SchemaGrammar::names_of(const Shape& shape,
                                                 const std::optional<Automaton>& allowed) {
  std::vector<std::string> names;
  const auto add = [&](const std::string& name) {
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  };
  for (const JsonNode* node : shape.nodes) {
    if (const JsonNode* properties = node->find("properties")) {
      for (const auto& member : properties->members) add(member.first);
    }
  }
  for (const JsonNode* node : shape.nodes) {
    if (const JsonNode* required = node->find("required")) {
      for (const JsonNode& name : required->items) add(name.text);
    }
  }
  // Names from a list stand in its order.
  for (const JsonNode* node : shape.nodes) {
    const JsonNode* schema = node->find("propertyNames");
    if (schema == nullptr) continue;
    for (const Shape& of_names : shapes_.shapes({schema})) {
      const auto values = shapes_.listed(of_names);
      if (!values) continue;
      for (const JsonNode* value : *values) {
        if (value->is(Kind::string) && (!allowed || allowed->takes(value->text))) add(value->text);
      }
    }
  }
  return names;
}

std::optional<SchemaGrammar::Plan> SchemaGrammar::plan_object(const Shape& shape) {
  Plan plan;
  plan.kind = Plan::Kind::object;
  plan.can_skip = true;
  plan.least = SchemaShapes::greatest(shape, "minProperties", 0);
  plan.most = SchemaShapes::least(shape, "maxProperties", kNoLimit);
  if (plan.least > plan.most) return std::nullopt;
  const std::optional<Automaton> allowed = shapes_.names(shape);
  const std::vector<std::string> names = names_of(shape, allowed);
  for (const std::string& name : names) {
    const bool is_required =
        std::any_of(shape.nodes.begin(), shape.nodes.end(), [&](const JsonNode* node) {
          const JsonNode* required = node->find("required");
          return required != nullptr &&
                 std::any_of(required->items.begin(), required->items.end(),
                             [&](const JsonNode& item) { return item.text == name; });
        });
    const Conjunction schemas = shapes_.member(shape, name);
    if (is_never(schemas) || (allowed && !allowed->takes(name))) {
      if (is_required) return std::nullopt;
      continue;
    }
    plan.parts.push_back(
        {GrammarWriter::literal(json_string(name)) + " ws \":\" ws ", is_required, id_of(schemas)});
  }
  plan_other_members(shape, names, allowed, plan);
  const std::size_t n_sure = plan.parts.size() + (plan.others.empty() ? 0 : 1);
  if (plan.least > n_sure) {
    if (plan.others.empty()) return std::nullopt;
    fail_schema(with_keyword(shape, "minProperties")->place,
                "cannot be followed: " + std::to_string(plan.least) +
                    " different names are "
                    "needed, but only " +
                    std::to_string(n_sure) + " are sure to be; list more in properties");
  }
  if (plan.most != kNoLimit) plan.most = std::min<std::uint64_t>(plan.most, names.size() + 100);
  return plan;
}

// Members by other names than those listed, told apart by the patterns that they fit.
void SchemaGrammar::plan_other_members(const Shape& shape, const std::vector<std::string>& names,
                                       const std::optional<Automaton>& allowed, Plan& plan) {
  std::vector<std::pair<const std::string*, const JsonNode*>> patterns;
  for (const JsonNode* node : shape.nodes) {
    const JsonNode* all = node->find("patternProperties");
    if (all == nullptr) continue;
    for (const auto& [pattern, schema] : all->members) patterns.emplace_back(&pattern, &schema);
  }
  if (patterns.size() > kMaxPatternNames) {
    fail_schema(with_keyword(shape, "patternProperties")->place,
                "has, with those beside it, " + std::to_string(patterns.size()) +
                    " patterns of names, at most " + std::to_string(kMaxPatternNames) +
                    " are supported; use fewer");
  }
  try {
    for (unsigned which = 0; which < 1U << patterns.size(); ++which) {
      Conjunction schemas;
      std::optional<Automaton> fitting = allowed;
      const auto keep = [&](const Automaton& some) {
        fitting = fitting ? common(*fitting, some) : some;
      };
      for (const JsonNode* node : shape.nodes) {
        bool is_matched = false;
        for (std::size_t i = 0; i < patterns.size(); ++i) {
          const JsonNode* of_node = node->find("patternProperties");
          const bool is_of_node =
              of_node != nullptr && of_node->find(*patterns[i].first) == patterns[i].second;
          if (!is_of_node || (which >> i & 1U) == 0) continue;
          add_unique(schemas, patterns[i].second);
          is_matched = true;
        }
        const JsonNode* others = node->find("additionalProperties");
        if (!is_matched && others != nullptr) add_unique(schemas, others);
      }
      if (is_never(schemas)) continue;
      for (std::size_t i = 0; i < patterns.size(); ++i) {
        const Automaton& pattern = shapes_.pattern(*patterns[i].first, patterns[i].second->place);
        keep((which >> i & 1U) != 0 ? pattern : pattern.others());
      }
      std::string name = "string";
      if (!names.empty()) keep(Automaton::of_texts(names).others());
      if (fitting) {
        if (fitting->is_empty()) continue;
        name = "\"\\\"\" " + writer_.in_string(*fitting) + " \"\\\"\"";
      }
      plan.others.push_back({name + " ws \":\" ws ", false, id_of(schemas)});
    }
  } catch (const TooLarge&) {
    const JsonNode* place = with_keyword(shape, "patternProperties");
    if (place == nullptr) place = with_keyword(shape, "propertyNames");
    fail_schema(place == nullptr ? shape.nodes.front()->place : place->place,
                "needs too many states for the names of other members; use fewer names, or "
                "additionalProperties: false");
  }
}

}  // namespace gumbelspec::structure
