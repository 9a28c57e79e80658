#include "apps/bench/methods.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <system_error>

#include "apps/common/arguments.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::bench {
namespace {

bool begins_method(std::string_view text) {
  const std::string_view word = text.substr(0, text.find_first_of(",;:"));
  // An option has an equals sign; anything else is meant as a method, misspelt or not.
  return word.find('=') == std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(' ');
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

std::vector<std::string_view> split_methods(std::string_view text) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  for (std::size_t i = 0; i <= text.size(); ++i) {
    const bool is_end = i == text.size() || text[i] == ';' ||
                        (text[i] == ',' && begins_method(trimmed(text.substr(i + 1))));
    if (!is_end) continue;
    parts.push_back(trimmed(text.substr(begin, i - begin)));
    begin = i + 1;
  }
  return parts;
}

}  // namespace

std::vector<Method> parse_methods(std::string_view text) {
  std::vector<Method> methods;
  std::vector<std::string> seen;
  for (const std::string_view part : split_methods(text)) {
    if (part.empty()) {
      throw bad_option("--methods is " + in_quotes(text) +
                       ", in which a method is empty; give names with commas between them");
    }
    const Method method = parse_method(part);
    const std::string name = to_string(method);
    if (std::find(seen.begin(), seen.end(), name) != seen.end()) continue;
    seen.push_back(name);
    methods.push_back(method);
  }
  return methods;
}

std::vector<float> parse_temperatures(std::string_view text) {
  std::vector<float> temperatures;
  for (std::string_view rest = text;;) {
    const std::size_t comma = rest.find(',');
    const std::string_view part = trimmed(rest.substr(0, comma));
    float value = 0.0F;
    const char* end = part.data() + part.size();
    const auto [stopped_at, error] = std::from_chars(part.data(), end, value);
    if (error != std::errc() || stopped_at != end || !(value >= 0.0F) || !std::isfinite(value)) {
      throw bad_option("--temps is " + in_quotes(text) +
                       "; give numbers of at least 0 with commas between them, e.g. 0,0.6,1");
    }
    if (std::find(temperatures.begin(), temperatures.end(), value) == temperatures.end()) {
      temperatures.push_back(value);
    }
    if (comma == std::string_view::npos) return temperatures;
    rest = rest.substr(comma + 1);
  }
}

std::string method_name(const Method& method) {
  const std::string text = to_string(method);
  return text.substr(0, text.find(':'));
}

bool is_default_shape(const Method& method) {
  return to_string(method).find(':') == std::string::npos;
}

std::string shape_text(const Method& method) {
  const std::string text = to_string(method);
  const std::size_t colon = text.find(':');
  const std::string options = colon == std::string::npos ? "" : text.substr(colon + 1);
  const auto has = [&](const std::string& key) {
    return options.rfind(key + "=", 0) == 0 || options.find("," + key + "=") != std::string::npos;
  };
  std::string missing;
  const auto add = [&](const std::string& key, int value) {
    if (!has(key)) missing += (missing.empty() ? "" : ",") + key + "=" + std::to_string(value);
  };
  switch (method.kind) {
    case MethodKind::ar:
      break;
    case MethodKind::rejection:
    case MethodKind::block:
    case MethodKind::greedy_chain:
    case MethodKind::gumbel_chain:
      add("length", method.length);
      break;
    case MethodKind::rejection_tree:
    case MethodKind::gumbel_beam:
      add("width", method.width);
      add("length", method.length);
      break;
    case MethodKind::gumbel_tree:
      if (method.is_planned()) add("max", method.most_nodes);
      break;
  }
  return missing + (missing.empty() || options.empty() ? "" : ",") + options;
}

std::vector<Method> sweep_shapes(MethodKind kind, bool is_cheap) {
  const std::string name(method_names()[static_cast<std::size_t>(kind)]);
  std::vector<Method> shapes;
  const auto add = [&](const std::string& options) {
    shapes.push_back(parse_method(name + options));
  };
  const auto number = [](int n) { return std::to_string(n); };
  switch (kind) {
    case MethodKind::ar:
      add("");
      break;
    case MethodKind::rejection:
    case MethodKind::block:
    case MethodKind::greedy_chain:
    case MethodKind::gumbel_chain:
      for (int length = 1; length <= 8; ++length) add(":length=" + number(length));
      if (is_cheap) {
        for (const int length : {10, 12, 16}) add(":length=" + number(length));
      }
      break;
    case MethodKind::rejection_tree:
    case MethodKind::gumbel_beam: {
      struct Shape {
        int width, length, nodes;
      };
      constexpr std::array<Shape, 16> kShapes = {{{2, 2, 3},
                                                  {2, 2, 4},
                                                  {2, 3, 4},
                                                  {2, 3, 6},
                                                  {2, 4, 6},
                                                  {3, 3, 7},
                                                  {3, 4, 7},
                                                  {2, 4, 8},
                                                  {3, 3, 9},
                                                  {3, 4, 12},
                                                  {3, 5, 10},
                                                  {4, 4, 16},
                                                  {4, 5, 15},
                                                  {4, 5, 20},
                                                  {6, 6, 32},
                                                  {8, 8, 64}}};
      for (const Shape& s : kShapes) {
        add(":width=" + number(s.width) + ",length=" + number(s.length) +
            (s.nodes == s.width * s.length ? "" : ",nodes=" + number(s.nodes)));
      }
      break;
    }
    case MethodKind::gumbel_tree:
      add("");
      for (const int nodes : {2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 64}) {
        add(":nodes=" + number(nodes));
      }
      break;
  }
  return shapes;
}

}  // namespace gumbelspec::apps::bench
