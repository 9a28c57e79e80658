#include "apps/structure/json_schema.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <nlohmann/json.hpp>

#include "gumbelspec/error.h"
#include "json-schema-to-grammar.h"

namespace gumbelspec::structure {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kField = "json_schema";

// place: in the schema, "#/items"; empty: none in particular.
[[noreturn]] void fail(const std::string& place, const std::string& what) {
  throw Error(ErrorCode::invalid_option,
              std::string(kField) + (place.empty() ? "" : " at " + place) + " " + what, kField);
}

Json parse(std::string_view text) {
  const auto check_depth = [](int depth, Json::parse_event_t /*event*/, Json& /*value*/) {
    if (depth > kMaxDepth) {
      fail("", "is nested deeper than " + std::to_string(kMaxDepth) + " levels; flatten it");
    }
    return true;
  };
  try {
    Json schema = Json::parse(text.begin(), text.end(), check_depth);
    if (schema.is_object()) return schema;
    fail("", std::string("is of JSON type ") + schema.type_name() +
                 R"(; give an object, e.g. {"type": "object"})");
  } catch (const Json::parse_error& error) {
    fail("", "is not JSON: it goes wrong at byte " + std::to_string(error.byte) +
                 "; give a JSON object in UTF-8");
  } catch (const Json::exception&) {
    fail("", "holds a number out of range; give a smaller one");
  }
}

// Of every "pattern" in the schema, with its place.
void visit_patterns(
    const Json& schema, const std::string& place,
    const std::function<void(const std::string& pattern, const std::string& place)>& visit) {
  if (!schema.is_structured()) return;
  std::size_t i = 0;
  for (const auto& item : schema.items()) {
    const std::string at =
        place + "/" + (schema.is_array() ? std::to_string(i++) : std::string(item.key()));
    const Json& value = item.value();
    if (schema.is_object() && item.key() == "pattern" && value.is_string()) {
      visit(value.get_ref<const std::string&>(), at);
    }
    visit_patterns(value, at, visit);
  }
}

void check_pattern(const std::string& pattern, const std::string& place) {
  if (pattern.size() <= kMaxPatternBytes) return;
  fail(place, "has a pattern of " + std::to_string(pattern.size()) + " bytes, at most " +
                  std::to_string(kMaxPatternBytes) + " are allowed; shorten it");
}

std::string without(std::string text, std::string_view part) {
  const std::size_t at = text.find(part);
  return at == std::string::npos ? text : text.erase(at, part.size());
}

// llama.cpp's words on one line, and the place apart: it says "JSON schema error at PLACE: WHAT",
// of patterns nothing but the pattern.
[[noreturn]] void fail_as_told(const Json& schema, std::string reason) {
  std::replace(reason.begin(), reason.end(), '\n', ' ');
  reason = without(without(std::move(reason), "JSON schema conversion failed: "),
                   ", accepting any string");
  std::string place;
  constexpr std::string_view kAt = "JSON schema error at ";
  if (const std::size_t end = reason.find(": "); reason.rfind(kAt, 0) == 0) {
    if (end != std::string::npos) {
      place = reason.substr(kAt.size(), end - kAt.size());
      reason.erase(0, end + 2);
    }
  } else {
    visit_patterns(schema, "#", [&](const std::string& pattern, const std::string& at) {
      if (place.empty() && reason.find("attern " + pattern) != std::string::npos) place = at;
    });
  }
  constexpr std::size_t kMost = 300;
  if (reason.size() > kMost) reason.resize(kMost);
  fail(place, "cannot be followed: " + reason + "; simplify it");
}

}  // namespace

void check_size(std::string_view text, const std::string& field) {
  if (text.size() <= kMaxBytes) return;
  throw Error(ErrorCode::invalid_option,
              field + " has " + std::to_string(text.size()) + " bytes, at most " +
                  std::to_string(kMaxBytes) + " are allowed; use a smaller one",
              field);
}

std::string grammar_of_schema(std::string_view schema) {
  check_size(schema, kField);
  const Json json = parse(schema);
  visit_patterns(json, "#", check_pattern);
  try {
    return json_schema_to_grammar(common_json::parse(std::string(schema)));
  } catch (const std::exception& error) {
    fail_as_told(json, error.what());
  }
}

}  // namespace gumbelspec::structure
