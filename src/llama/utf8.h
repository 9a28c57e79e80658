// UTF-8 checks and text for error messages.
#ifndef GUMBELSPEC_SRC_LLAMA_UTF8_H_
#define GUMBELSPEC_SRC_LLAMA_UTF8_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace gumbelspec::internal {

// The offset of the first byte that is not part of a well-formed character (Unicode 15, table 3-7:
// no overlong forms, no surrogates, nothing above U+10FFFF); nullopt if there is none.
std::optional<std::size_t> first_invalid_utf8(std::string_view text);

// Requires: well-formed text.
std::size_t n_characters(std::string_view text);

// The characters' code points, appended. Requires: well-formed text.
void append_code_points(std::string_view text, std::vector<std::uint32_t>& out);

// text in double quotes on one line: control characters, quotes, backslashes and bytes that are
// not UTF-8 as \xNN.
std::string printable(std::string_view text);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_UTF8_H_
