#include "apps/common/escapes.h"

#include <charconv>
#include <cstddef>
#include <system_error>

namespace gumbelspec::apps {

std::string unescaped(std::string_view text) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char next = text[i] == '\\' && i + 1 < text.size() ? text[i + 1] : '\0';
    unsigned byte = 0;
    const char* digits = text.data() + i + 2;
    switch (next) {
      case 'n':
        out += '\n';
        break;
      case 'r':
        out += '\r';
        break;
      case 't':
        out += '\t';
        break;
      case '\'':
      case '"':
      case '\\':
        out += next;
        break;
      case 'x':
        if (i + 3 < text.size() &&
            std::from_chars(digits, digits + 2, byte, 16).ptr == digits + 2) {
          out += static_cast<char>(byte);
          i += 2;
          break;
        }
        [[fallthrough]];
      default:
        out += text[i];
        continue;
    }
    ++i;
  }
  return out;
}

}  // namespace gumbelspec::apps
