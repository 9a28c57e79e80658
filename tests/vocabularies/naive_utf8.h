// UTF-8 as its definition says it, by arithmetic: the oracle of what streams make of bytes.
#ifndef GUMBELSPEC_TESTS_VOCABULARIES_NAIVE_UTF8_H_
#define GUMBELSPEC_TESTS_VOCABULARIES_NAIVE_UTF8_H_

#include <cstddef>
#include <string>

namespace gumbelspec::testing {

// Whether some characters begin with these bytes (1 to 4); all of one, if is_whole.
inline bool begins_characters(const std::string& bytes, bool is_whole) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned first = at(0);
  if (first < 0x80) return bytes.size() == 1;
  const std::size_t n = first < 0xC0   ? 0
                        : first < 0xE0 ? 2
                        : first < 0xF0 ? 3
                        : first < 0xF8 ? 4
                                       : 0;
  if (bytes.size() > n || (is_whole && bytes.size() < n)) return false;
  // The least and the greatest number that these bits can still become.
  unsigned low = first & (0xFFU >> (n + 1));
  unsigned high = low;
  for (std::size_t i = 1; i < n; ++i) {
    if (i < bytes.size() && (at(i) & 0xC0U) != 0x80U) return false;
    low = low << 6U | (i < bytes.size() ? at(i) & 0x3FU : 0U);
    high = high << 6U | (i < bytes.size() ? at(i) & 0x3FU : 0x3FU);
  }
  const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
  if (high < least[n] || low > 0x10FFFF) return false;
  return low < 0xD800 || high > 0xDFFF;
}

// The bytes with U+FFFD in the place of each longest beginning of a character, or else each byte,
// that is none (Unicode 15, 3.9). is_over: the end may not be the beginning of a character.
inline std::string naive_utf8(const std::string& bytes, bool is_over = true) {
  std::string out;
  for (std::size_t i = 0; i < bytes.size();) {
    std::size_t n = 1;
    while (n < 4 && i + n < bytes.size() && begins_characters(bytes.substr(i, n), false) &&
           !begins_characters(bytes.substr(i, n), true) &&
           begins_characters(bytes.substr(i, n + 1), false)) {
      ++n;
    }
    const std::string part = bytes.substr(i, n);
    const bool is_whole = begins_characters(part, true);
    if (!is_whole && !is_over && i + n == bytes.size() && begins_characters(part, false)) break;
    out += is_whole ? part : "\xEF\xBF\xBD";
    i += n;
  }
  return out;
}

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_VOCABULARIES_NAIVE_UTF8_H_
