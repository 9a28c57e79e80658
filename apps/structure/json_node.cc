#include "apps/structure/json_node.h"

#include <algorithm>
#include <exception>
#include <nlohmann/json.hpp>

#include "apps/structure/decimal.h"
#include "apps/structure/json_schema.h"
#include "gumbelspec/error.h"

namespace gumbelspec::structure {
namespace {

constexpr const char* kField = "json_schema";

std::string escaped_name(std::string_view name) {
  std::string out;
  for (const char c : name) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

// nlohmann's parser calls these; it hands out the text of numbers with a fraction or an exponent.
class Builder {
 public:
  // NOLINTBEGIN(readability-identifier-naming): nlohmann's names
  bool null() { return add({JsonNode::Kind::null}); }
  bool boolean(bool value) { return add({JsonNode::Kind::boolean, value}); }
  bool number_integer(std::int64_t value) { return number(std::to_string(value)); }
  bool number_unsigned(std::uint64_t value) { return number(std::to_string(value)); }
  bool number_float(double /*value*/, const std::string& text) { return number(text); }
  bool string(std::string& value) { return add({JsonNode::Kind::string, false, value}); }
  template <class Binary>
  bool binary(Binary& /*value*/) {
    return false;
  }
  bool start_object(std::size_t /*n*/) { return open({JsonNode::Kind::object}); }
  bool key(std::string& name) {
    name_ = name;
    if (open_.back()->find(name) != nullptr) {
      fail_schema(open_.back()->place,
                  "has the name " + json_string(name.substr(0, 100)) + " twice; give it once");
    }
    return true;
  }
  bool end_object() { return close(); }
  bool start_array(std::size_t /*n*/) { return open({JsonNode::Kind::array}); }
  bool end_array() { return close(); }
  bool parse_error(std::size_t position, const std::string& /*token*/,
                   const nlohmann::json::exception& error) {
    if (dynamic_cast<const nlohmann::json::out_of_range*>(&error) != nullptr) {
      fail_schema("", "holds a number out of range; give a smaller one");
    }
    fail_schema("", "is not JSON: it goes wrong at byte " + std::to_string(position) +
                        "; give a JSON object in UTF-8");
  }
  // NOLINTEND(readability-identifier-naming)

  JsonNode take() { return std::move(root_); }

 private:
  bool number(std::string text) { return add({JsonNode::Kind::number, false, std::move(text)}); }

  bool add(JsonNode node) {
    (void)put(std::move(node));
    return true;
  }
  bool open(JsonNode node) {
    if (open_.size() > static_cast<std::size_t>(kMaxDepth)) {
      fail_schema("", "is nested deeper than " + std::to_string(kMaxDepth) + " levels; flatten it");
    }
    open_.push_back(put(std::move(node)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  // What is open does not move while values are added behind it: only the last value of each grows.
  JsonNode* put(JsonNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      root_.place = "#";
      return &root_;
    }
    JsonNode& parent = *open_.back();
    if (parent.kind == JsonNode::Kind::array) {
      node.place = parent.place + "/" + std::to_string(parent.items.size());
      parent.items.push_back(std::move(node));
      return &parent.items.back();
    }
    node.place = parent.place + "/" + escaped_name(name_);
    parent.members.emplace_back(name_, std::move(node));
    return &parent.members.back().second;
  }

  JsonNode root_;
  std::vector<JsonNode*> open_;
  std::string name_;
};

}  // namespace

const JsonNode* JsonNode::find(std::string_view name) const {
  for (const auto& [key, value] : members) {
    if (key == name) return &value;
  }
  return nullptr;
}

void fail_schema(const std::string& place, const std::string& what) {
  throw Error(ErrorCode::invalid_option,
              std::string(kField) + (place.empty() ? "" : " at " + place) + " " + what, kField);
}

JsonNode parse_json(std::string_view text) {
  Builder builder;
  (void)nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  return builder.take();
}

std::string json_string(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += {'\\', c};
    } else if (byte >= 0x20) {
      out.push_back(c);
    } else if (const auto at = std::string_view("\b\f\n\r\t").find(c);
               at != std::string_view::npos) {
      out += {'\\', "bfnrt"[at]};
    } else {
      out += {'\\', 'u', '0', '0', kHex[byte >> 4U], kHex[byte & 15U]};
    }
  }
  return out + "\"";
}

std::string json_text(const JsonNode& value) {
  std::string out;
  switch (value.kind) {
    case JsonNode::Kind::null:
      return "null";
    case JsonNode::Kind::boolean:
      return value.truth ? "true" : "false";
    case JsonNode::Kind::number:
      return value.text;
    case JsonNode::Kind::string:
      return json_string(value.text);
    case JsonNode::Kind::array:
      for (const JsonNode& item : value.items) {
        out += (out.empty() ? "" : ", ") + json_text(item);
      }
      return "[" + out + "]";
    case JsonNode::Kind::object:
      for (const auto& [name, member] : value.members) {
        out += (out.empty() ? "" : ", ") + json_string(name) + ": " + json_text(member);
      }
      return "{" + out + "}";
  }
  return out;
}

bool equal_values(const JsonNode& a, const JsonNode& b) {
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case JsonNode::Kind::null:
      return true;
    case JsonNode::Kind::boolean:
      return a.truth == b.truth;
    case JsonNode::Kind::number:
      return compare(Decimal::parse(a.text), Decimal::parse(b.text)) == 0;
    case JsonNode::Kind::string:
      return a.text == b.text;
    case JsonNode::Kind::array:
      return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(),
                        equal_values);
    case JsonNode::Kind::object:
      return a.members.size() == b.members.size() &&
             std::all_of(a.members.begin(), a.members.end(), [&](const auto& member) {
               const JsonNode* other = b.find(member.first);
               return other != nullptr && equal_values(member.second, *other);
             });
  }
  return false;
}

std::u32string to_points(std::string_view text) {
  std::u32string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto first = static_cast<unsigned char>(text[i]);
    const std::size_t n = first < 0x80 ? 1 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    char32_t point = n == 1 ? first : first & (0xFFU >> (n + 1));
    for (std::size_t k = 1; k < n && i + k < text.size(); ++k) {
      point = point << 6U | (static_cast<unsigned char>(text[i + k]) & 0x3FU);
    }
    out.push_back(point);
    i += n;
  }
  return out;
}

std::string to_utf8(std::u32string_view points) {
  std::string out;
  const auto put = [&](std::uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  for (const char32_t c : points) {
    const auto point = static_cast<std::uint32_t>(c);
    if (point < 0x80) {
      put(point);
      continue;
    }
    const unsigned n = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;  // bytes behind the first
    put((n == 1 ? 0xC0U : n == 2 ? 0xE0U : 0xF0U) | point >> (6U * n));
    for (unsigned k = n; k-- > 0;) put(0x80U | ((point >> (6U * k)) & 0x3FU));
  }
  return out;
}

}  // namespace gumbelspec::structure
