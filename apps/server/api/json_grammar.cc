#include "apps/server/api/json_grammar.h"

#include <algorithm>
#include <cstddef>
#include <exception>

#include "apps/server/api/api_error.h"
#include "json-schema-to-grammar.h"

namespace gumbelspec::server {
namespace {

// Each of them is a few frames of a recursive parser.
constexpr std::ptrdiff_t kMaxParentheses = 1000;
constexpr std::size_t kMaxPatternBytes = 1000;

std::ptrdiff_t n_opening(std::string_view text) {
  return std::count(text.begin(), text.end(), '(');
}

void check_patterns(const Json& schema, const std::string& param) {
  if (!schema.is_structured()) return;
  for (const auto& item : schema.items()) {
    const Json& value = item.value();
    if (schema.is_object() && item.key() == "pattern" && value.is_string() &&
        value.get_ref<const std::string&>().size() > kMaxPatternBytes) {
      throw bad_request("a pattern of the schema has " +
                            std::to_string(value.get_ref<const std::string&>().size()) +
                            " bytes, at most " + std::to_string(kMaxPatternBytes) +
                            " are allowed; shorten it",
                        param);
    }
    check_patterns(value, param);
  }
}

}  // namespace

std::string grammar_of_schema(const Json& schema, const std::string& param) {
  const std::string text = to_text(schema);
  if (text.size() > kMaxGrammarBytes) {
    throw bad_request("the schema has " + std::to_string(text.size()) + " bytes, at most " +
                          std::to_string(kMaxGrammarBytes) + " are allowed; use a smaller one",
                      param);
  }
  check_patterns(schema, param);
  try {
    return json_schema_to_grammar(common_json::parse(text));
  } catch (const std::exception& error) {
    std::string reason = error.what();
    std::replace(reason.begin(), reason.end(), '\n', ' ');
    if (reason.size() > 300) reason.resize(300);
    throw bad_request("the schema cannot be followed: " + reason + "; simplify it", param);
  }
}

void check_grammar(std::string_view gbnf, const std::string& param) {
  if (gbnf.size() > kMaxGrammarBytes) {
    throw bad_request("the grammar has " + std::to_string(gbnf.size()) + " bytes, at most " +
                          std::to_string(kMaxGrammarBytes) + " are allowed; use a smaller one",
                      param);
  }
  if (gbnf.find('\0') != std::string_view::npos) {
    throw bad_request("the grammar has a character U+0000; leave it out", param);
  }
  if (n_opening(gbnf) > kMaxParentheses) {
    throw bad_request("the grammar has " + std::to_string(n_opening(gbnf)) +
                          " opening parentheses, at most " + std::to_string(kMaxParentheses) +
                          " are allowed; give parts of it names",
                      param);
  }
}

}  // namespace gumbelspec::server
