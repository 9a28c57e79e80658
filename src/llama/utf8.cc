#include "src/llama/utf8.h"

#include <algorithm>

namespace gumbelspec::internal {
namespace {

unsigned byte_at(std::string_view text, std::size_t i) {
  return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
}

// What a first byte says of its character. The second byte's range excludes overlong forms,
// surrogates and what lies above U+10FFFF. length 0: no character begins so.
struct Lead {
  std::size_t length = 0;
  unsigned low = 0x80;
  unsigned high = 0xBF;
};

Lead lead_of(unsigned first) {
  if (first < 0x80) return {1};
  if (first >= 0xC2 && first <= 0xDF) return {2};
  if (first >= 0xE0 && first <= 0xEF) {
    return {3, first == 0xE0 ? 0xA0U : 0x80U, first == 0xED ? 0x9FU : 0xBFU};
  }
  if (first >= 0xF0 && first <= 0xF4) {
    return {4, first == 0xF0 ? 0x90U : 0x80U, first == 0xF4 ? 0x8FU : 0xBFU};
  }
  return {};
}

// The length of the well-formed character at i; 0 if there is none. Requires: i < text.size().
std::size_t length_at(std::string_view text, std::size_t i) {
  const Lead lead = lead_of(byte_at(text, i));
  if (i + lead.length > text.size()) return 0;
  for (std::size_t k = 1; k < lead.length; ++k) {
    const unsigned byte = byte_at(text, i + k);
    const bool fits = k == 1 ? byte >= lead.low && byte <= lead.high : (byte & 0xC0U) == 0x80U;
    if (!fits) return 0;
  }
  return lead.length;
}

}  // namespace

std::optional<std::size_t> first_invalid_utf8(std::string_view text) {
  std::size_t i = 0;
  while (i < text.size()) {
    const std::size_t length = length_at(text, i);
    if (length == 0) return i;
    i += length;
  }
  return std::nullopt;
}

std::size_t n_characters(std::string_view text) {
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), [](char byte) {
    return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U;
  }));
}

void append_code_points(std::string_view text, std::vector<std::uint32_t>& out) {
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t length = lead_of(byte_at(text, i)).length;
    // Of a first byte, the bits behind its ones and the zero that ends them.
    std::uint32_t value = length == 1 ? byte_at(text, i) : byte_at(text, i) & (0x7FU >> length);
    for (std::size_t k = 1; k < length; ++k) value = value << 6U | (byte_at(text, i + k) & 0x3FU);
    out.push_back(value);
    i += length;
  }
}

std::string printable(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out = "\"";
  std::size_t i = 0;
  while (i < text.size()) {
    const unsigned byte = byte_at(text, i);
    const std::size_t length = length_at(text, i);
    if (length == 0 || byte < 0x20 || byte == 0x7F || byte == '"' || byte == '\\') {
      out += "\\x";
      out += kHex[byte >> 4U];
      out += kHex[byte & 0xFU];
      ++i;
    } else {
      out += text.substr(i, length);
      i += length;
    }
  }
  return out + '"';
}

}  // namespace gumbelspec::internal
