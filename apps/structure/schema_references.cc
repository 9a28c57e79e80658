// What "$ref" refers to: places and anchors of the same schema.
#include <algorithm>
#include <cstdlib>
#include <iterator>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "apps/structure/schema_shapes.h"

namespace gumbelspec::structure {
namespace {

using Kind = JsonNode::Kind;

// Percent-encoded, as in any URI.
std::string decoded(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%' && i + 2 < text.size()) {
      const std::string digits(text.substr(i + 1, 2));
      out.push_back(static_cast<char>(std::strtol(digits.c_str(), nullptr, 16)));
      i += 2;
    } else {
      out.push_back(text[i]);
    }
  }
  return out;
}

}  // namespace

const JsonNode* SchemaShapes::with_anchor(const std::string& name) const {
  const auto is_one_of = [](const std::string& keyword, const auto& list) {
    return std::find(std::begin(list), std::end(list), keyword) != std::end(list);
  };
  constexpr std::string_view kValues[] = {"const", "enum", "default", "examples", "example"};
  constexpr std::string_view kMaps[] = {"properties", "patternProperties", "dependentSchemas",
                                        "$defs", "definitions"};
  std::vector<std::pair<const JsonNode*, bool>> todo = {{&root_, false}};  // whether it is a map
  while (!todo.empty()) {
    const auto [node, is_map] = todo.back();
    todo.pop_back();
    const JsonNode* anchor = is_map ? nullptr : node->find("$anchor");
    if (anchor != nullptr && anchor->is(Kind::string) && anchor->text == name) return node;
    for (const JsonNode& item : node->items) todo.emplace_back(&item, false);
    for (const auto& [keyword, value] : node->members) {
      if (!is_map && is_one_of(keyword, kValues)) continue;
      todo.emplace_back(&value, !is_map && is_one_of(keyword, kMaps));
    }
  }
  return nullptr;
}

const JsonNode& SchemaShapes::target(const JsonNode& reference) {
  std::string pointer = reference.text;
  const auto refuse = [&](const std::string& why) {
    fail_schema(reference.place,
                "refers to " + json_string(reference.text.substr(0, 100)) + ", " + why);
  };
  if (const JsonNode* id = root_.find("$id");
      id != nullptr && !id->text.empty() && pointer.rfind(id->text, 0) == 0) {
    pointer.erase(0, id->text.size());
    if (pointer.empty()) pointer = "#";
  }
  if (pointer.empty() || pointer[0] != '#') {
    refuse("which is not in this schema; only references that begin with # are supported");
  }
  const std::string path = decoded(std::string_view(pointer).substr(1));
  const JsonNode* at = path.empty() || path[0] == '/' ? &root_ : with_anchor(path);
  for (std::size_t i = 0; at != nullptr && i < path.size() && path[0] == '/';) {
    const std::size_t end = std::min(path.find('/', i + 1), path.size());
    std::string name = path.substr(i + 1, end - i - 1);
    i = end;
    for (std::size_t k = name.find('~'); k != std::string::npos; k = name.find('~', k + 1)) {
      if (k + 1 < name.size()) name.replace(k, 2, name[k + 1] == '1' ? "/" : "~");
    }
    if (at != &root_ && at->find("$id") != nullptr && at->find("$id")->is(Kind::string)) {
      refuse("which is below an \"$id\" of its own; only references in one schema are supported");
    }
    if (at->is(Kind::array)) {
      const bool is_index = !name.empty() && name.size() < 10 &&
                            name.find_first_not_of("0123456789") == std::string::npos;
      const std::size_t k = is_index ? std::stoul(name) : at->items.size();
      at = k < at->items.size() ? &at->items[k] : nullptr;
    } else {
      at = at->find(name);
    }
  }
  if (at == nullptr) refuse("which is not there");
  return *at;
}

}  // namespace gumbelspec::structure
