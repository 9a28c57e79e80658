#include "apps/structure/grammar_writer.h"

#include <algorithm>
#include <cstdio>
#include <vector>

#include "apps/structure/json_node.h"

namespace gumbelspec::structure {
namespace {

// A character in a set or a literal of GBNF.
std::string character(std::uint32_t c) {
  const bool is_plain = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  if (is_plain) return {static_cast<char>(c)};
  char out[16];
  std::snprintf(out, sizeof out, c < 0x100 ? "\\x%02X" : c < 0x10000 ? "\\u%04X" : "\\U%08X", c);
  return out;
}

std::string set_of(const Points& points) {
  std::string out = "[";
  for (const PointRange& range : points) {
    out += character(range.first);
    if (range.last > range.first) out += "-" + character(range.last);
  }
  return out + "]";
}

// One of the characters, as it stands in a JSON string; empty: there is none. Every character has
// one form only, so that texts are told apart by their characters.
std::vector<std::string> in_json(const Points& points) {
  std::vector<std::string> ways;
  const Points special = {{'"', '"'}, {'\\', '\\'}};
  const Points plain =
      common_points(common_points(points, other_points(special)), Points{{0x20, 0x10FFFF}});
  if (!plain.empty()) ways.push_back(set_of(plain));
  std::string escapes;
  constexpr std::pair<char, char> kEscapes[] = {{'"', '"'},  {'\\', '\\'}, {'\b', 'b'}, {'\f', 'f'},
                                                {'\n', 'n'}, {'\r', 'r'},  {'\t', 't'}};
  for (const auto& [c, letter] : kEscapes) {
    const auto point = static_cast<std::uint32_t>(c);
    if (!common_points(points, {{point, point}}).empty()) {
      escapes += character(static_cast<std::uint32_t>(letter));
    }
  }
  if (!escapes.empty()) ways.push_back("\"\\\\\" [" + escapes + "]");
  if (!ways.empty()) return ways;
  for (std::uint32_t c = 0; c < 0x20; ++c) {  // other control characters, where nothing else fits
    if (common_points(points, {{c, c}}).empty()) continue;
    char text[16];
    std::snprintf(text, sizeof text, "\"\\\\u%04x\"", c);
    ways.emplace_back(text);
  }
  return ways;
}

}  // namespace

GrammarWriter::GrammarWriter() : text_(kCommonRules) {}

std::string GrammarWriter::new_name() { return "r" + std::to_string(n_names_++); }

void GrammarWriter::define(const std::string& name, const std::string& body) {
  text_ += name + " ::= " + body + "\n";
  if (text_.size() <= kMaxGrammarBytes) return;
  fail_schema("", "makes a grammar of more than " + std::to_string(kMaxGrammarBytes) +
                      " bytes; use a smaller schema, or fewer lengths beside patterns");
}

std::string GrammarWriter::rule(const std::string& body) {
  const auto [known, is_new] = by_body_.emplace(body, "");
  if (is_new) {
    known->second = new_name();
    define(known->second, body);
  }
  return known->second;
}

std::string GrammarWriter::literal(std::string_view text) {
  std::string out = "\"";
  for (const char32_t c : to_points(text)) {
    out += c >= ' ' && c < 0x7F && c != '"' && c != '\\' ? std::string(1, static_cast<char>(c))
                                                         : character(c);
  }
  return out + "\"";
}

std::string GrammarWriter::texts(const Automaton& automaton, bool is_json) {
  const auto& states = automaton.states();
  std::vector<std::string> names;
  for (std::size_t i = 0; i < states.size(); ++i) names.push_back(new_name());
  for (std::size_t i = 0; i < states.size(); ++i) {
    std::map<std::uint32_t, Points> by_target;
    for (const auto& edge : states[i].edges) by_target[edge.to].push_back(edge.points);
    std::string body;
    const auto add = [&](const std::string& way) { body += (body.empty() ? "" : " | ") + way; };
    for (const auto& [to, ranges] : by_target) {
      const Points points = make_points(ranges);
      const std::vector<std::string> ways =
          is_json ? in_json(points) : std::vector<std::string>{set_of(points)};
      for (const std::string& way : ways) add(way + " " + names[to]);
    }
    if (states[i].is_text) add("\"\"");
    define(names[i], body);
  }
  return names.front();
}

std::string GrammarWriter::take(const std::string& root) {
  define("root", root);
  return std::move(text_);
}

}  // namespace gumbelspec::structure
