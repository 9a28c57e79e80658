// The keywords of JSON Schema, draft 2020-12, and of older drafts where they mean the same.
#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>

#include "apps/structure/json_schema.h"
#include "apps/structure/schema_shapes.h"
#include "apps/structure/string_formats.h"

namespace gumbelspec::structure {
namespace {

using Kind = JsonNode::Kind;

enum class Form : std::uint8_t {
  nothing,  // says nothing about values, whatever it holds
  schema,   // a schema
  schemas,  // an array of schemas, not empty
  map,      // an object of schemas
  count,    // a whole number from zero
  number,
  positive,  // a number above zero
  string,
  boolean,
  strings,  // an array of strings
  values,   // an array of values, not empty
  lists,    // an object of arrays of strings
  items,    // a schema, or an array of schemas
  format,   // the name of one
  never,    // a schema that says everything or nothing
  type
};

struct Keyword {
  std::string_view name;
  Form form;
};

constexpr Keyword kKeywords[] = {
    {"$schema", Form::nothing},
    {"$comment", Form::nothing},
    {"$defs", Form::nothing},
    {"definitions", Form::nothing},
    {"title", Form::nothing},
    {"description", Form::nothing},
    {"default", Form::nothing},
    {"examples", Form::nothing},
    {"example", Form::nothing},        // OpenAPI's, as the next one, which only says by which
    {"discriminator", Form::nothing},  // property the alternatives beside it are told apart
    {"deprecated", Form::nothing},
    {"readOnly", Form::nothing},
    {"writeOnly", Form::nothing},
    {"contentEncoding", Form::nothing},
    {"contentMediaType", Form::nothing},
    {"contentSchema", Form::nothing},
    {"$anchor", Form::string},
    {"$id", Form::string},
    {"$ref", Form::string},
    {"type", Form::type},
    {"enum", Form::values},
    {"const", Form::nothing},
    {"allOf", Form::schemas},
    {"anyOf", Form::schemas},
    {"oneOf", Form::schemas},
    {"not", Form::never},
    {"minimum", Form::number},
    {"maximum", Form::number},
    {"exclusiveMinimum", Form::number},
    {"exclusiveMaximum", Form::number},
    {"multipleOf", Form::positive},
    {"minLength", Form::count},
    {"maxLength", Form::count},
    {"pattern", Form::string},
    {"format", Form::format},
    {"items", Form::items},
    {"additionalItems", Form::schema},
    {"prefixItems", Form::schemas},
    {"minItems", Form::count},
    {"maxItems", Form::count},
    {"uniqueItems", Form::boolean},
    {"contains", Form::schema},
    {"minContains", Form::count},
    {"properties", Form::map},
    {"patternProperties", Form::map},
    {"additionalProperties", Form::schema},
    {"propertyNames", Form::schema},
    {"required", Form::strings},
    {"minProperties", Form::count},
    {"maxProperties", Form::count},
    {"dependentRequired", Form::lists},
    {"dependentSchemas", Form::map},
};

bool is_schema(const JsonNode& node) { return node.is(Kind::object) || node.is(Kind::boolean); }

bool are_strings(const JsonNode& node) {
  return node.is(Kind::array) &&
         std::all_of(node.items.begin(), node.items.end(),
                     [](const JsonNode& item) { return item.is(Kind::string); });
}

template <class Test>
bool all_members(const JsonNode& node, Test test) {
  return node.is(Kind::object) &&
         std::all_of(node.members.begin(), node.members.end(),
                     [&](const auto& member) { return test(member.second); });
}

unsigned type_named(std::string_view name) {
  constexpr std::pair<std::string_view, unsigned> kTypes[] = {
      {"null", kNull},       {"boolean", kBoolean},
      {"integer", kInteger}, {"number", kInteger | kFraction},
      {"string", kString},   {"array", kArray},
      {"object", kObject}};
  for (const auto& [type, bit] : kTypes) {
    if (type == name) return bit;
  }
  return 0;
}

bool is_type(const JsonNode& node) {
  if (node.is(Kind::string)) return type_named(node.text) != 0;
  return are_strings(node) && !node.items.empty() &&
         std::all_of(node.items.begin(), node.items.end(),
                     [](const JsonNode& item) { return type_named(item.text) != 0; });
}

bool is_number(const JsonNode& node) {
  return node.is(Kind::number) && Decimal::try_parse(node.text).has_value();
}

bool is_count(const JsonNode& node) {
  if (!is_number(node)) return false;
  const Decimal value = Decimal::parse(node.text);
  return value.is_whole() && !value.is_negative && value.whole.size() <= 18;
}

// Empty: the value has the form.
std::string_view wanted(const JsonNode& value, Form form) {
  const auto all_schemas = [&] {
    return value.is(Kind::array) && !value.items.empty() &&
           std::all_of(value.items.begin(), value.items.end(), is_schema);
  };
  switch (form) {
    case Form::nothing:
      return {};
    case Form::schema:
      return is_schema(value) ? "" : "a schema";
    case Form::schemas:
      return all_schemas() ? "" : "an array of schemas";
    case Form::items:
      return is_schema(value) || all_schemas() ? "" : "a schema";
    case Form::map:
      return all_members(value, is_schema) ? "" : "an object of schemas";
    case Form::count:
      return is_count(value) ? "" : "a whole number from 0";
    case Form::number:
      return is_number(value) ? "" : "a number of at most 400 digits";
    case Form::positive:
      return is_number(value) && compare(Decimal::parse(value.text), Decimal{}) > 0
                 ? ""
                 : "a number above 0";
    case Form::never:
      return value.is(Kind::boolean) || (value.is(Kind::object) && value.members.empty())
                 ? ""
                 : "{}, true or false, as only they are supported";
    case Form::format:
    case Form::string:
      return value.is(Kind::string) ? "" : "a string";
    case Form::boolean:
      return value.is(Kind::boolean) ? "" : "true or false";
    case Form::strings:
      return are_strings(value) ? "" : "an array of strings";
    case Form::values:
      return value.is(Kind::array) && !value.items.empty() ? "" : "an array of values";
    case Form::lists:
      return all_members(value, are_strings) ? "" : "an object of arrays of strings";
    case Form::type:
      return is_type(value)
                 ? ""
                 : "null, boolean, integer, number, string, array, object, or an array of these";
  }
  return {};
}

}  // namespace

unsigned types_of(const JsonNode& schema) {
  const JsonNode* type = schema.find("type");
  if (type == nullptr) return kAnyType;
  if (type->is(Kind::string)) return type_named(type->text);
  unsigned types = 0;
  for (const JsonNode& item : type->items) types |= type_named(item.text);
  return types;
}

std::uint64_t count_of(const JsonNode& schema, const char* keyword, std::uint64_t none) {
  const JsonNode* value = schema.find(keyword);
  if (value == nullptr) return none;
  return std::strtoull(Decimal::parse(value->text).whole.c_str(), nullptr, 10);
}

void check_keywords(const JsonNode& schema) {
  for (const auto& [name, value] : schema.members) {
    if (name.rfind("x-", 0) == 0) continue;  // extensions of OpenAPI
    const auto* keyword =
        std::find_if(std::begin(kKeywords), std::end(kKeywords),
                     [&, &word = name](const Keyword& k) { return k.name == word; });
    if (keyword == std::end(kKeywords)) {
      fail_schema(schema.place, "has the keyword " + json_string(name.substr(0, 60)) +
                                    ", which is not supported; leave it out");
    }
    const std::string_view form = wanted(value, keyword->form);
    if (!form.empty()) {
      fail_schema(value.place,
                  "is not what " + json_string(name) + " takes; give " + std::string(form));
    }
    if (keyword->form == Form::format && !is_format(value.text)) {
      fail_schema(value.place, "is the format " + json_string(value.text.substr(0, 60)) +
                                   ", which is not supported; leave it out, or use one of " +
                                   known_formats());
    }
    if (name == "$id" && schema.place != "#") {
      fail_schema(schema.place,
                  "has an \"$id\" below the root, which is not supported; leave it out");
    }
  }
}

}  // namespace gumbelspec::structure
