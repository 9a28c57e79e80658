#include "apps/common/utf8_stream.h"

#include <array>
#include <cstdio>

namespace gumbelspec::apps {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

enum class Form { complete, incomplete, ill_formed };

struct Character {
  Form form = Form::complete;
  std::size_t n_bytes = 1;
};

struct ByteRange {
  unsigned char low = 0x80;
  unsigned char high = 0xBF;
};

// Overlong forms, surrogates and everything above U+10FFFF show in the second byte.
ByteRange second_byte(unsigned char first) {
  switch (first) {
    case 0xE0:
      return {0xA0, 0xBF};
    case 0xED:
      return {0x80, 0x9F};
    case 0xF0:
      return {0x90, 0xBF};
    case 0xF4:
      return {0x80, 0x8F};
    default:
      return {};
  }
}

// The character at the beginning of text, or the longest part of one (Unicode 15, table 3-7 and
// "substitution of maximal subparts"). Requires: text is not empty.
Character first_character(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {};
  if (first < 0xC2 || first > 0xF4) return {Form::ill_formed, 1};
  const std::size_t n_bytes = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
  ByteRange range = second_byte(first);
  for (std::size_t i = 1; i < n_bytes; ++i) {
    if (i == text.size()) return {Form::incomplete, i};
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < range.low || byte > range.high) return {Form::ill_formed, i};
    range = {};
  }
  return {Form::complete, n_bytes};
}

void append_hex(std::string& out, std::string_view bytes) {
  for (const char byte : bytes) {
    std::array<char, 8> hex{};
    std::snprintf(hex.data(), hex.size(), "\\x%02X", static_cast<unsigned char>(byte));
    out += hex.data();
  }
}

}  // namespace

std::string Utf8Stream::append(std::string_view bytes) {
  held_ += bytes;
  std::string out;
  std::string_view rest = held_;
  while (!rest.empty()) {
    const Character character = first_character(rest);
    if (character.form == Form::incomplete) break;
    out += character.form == Form::complete ? rest.substr(0, character.n_bytes) : kReplacement;
    rest.remove_prefix(character.n_bytes);
  }
  held_.erase(0, held_.size() - rest.size());
  return out;
}

std::string Utf8Stream::finish() {
  if (held_.empty()) return {};
  held_.clear();
  return std::string(kReplacement);
}

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  for (std::size_t i = 0; i < text.size();) {
    const Character character = first_character(text.substr(i));
    if (character.form != Form::complete) return i;
    i += character.n_bytes;
  }
  return std::nullopt;
}

std::string visible(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character character = first_character(text);
    const std::string_view bytes = text.substr(0, character.n_bytes);
    const auto first = static_cast<unsigned char>(bytes[0]);
    if (bytes == "\n") {
      out += "\\n";
    } else if (bytes == "\t") {
      out += "\\t";
    } else if (character.form != Form::complete || first < 0x20 || first == 0x7F) {
      append_hex(out, bytes);
    } else {
      out += bytes;
    }
    text.remove_prefix(character.n_bytes);
  }
  return out;
}

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  out += visible(text);
  out += '"';
  return out;
}

}  // namespace gumbelspec::apps
