// Bytes of tokens to text: a token may end in the middle of a character.
#ifndef GUMBELSPEC_APPS_COMMON_UTF8_STREAM_H_
#define GUMBELSPEC_APPS_COMMON_UTF8_STREAM_H_

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace gumbelspec::apps {

// Passes on whole characters only and puts U+FFFD in the place of what is not UTF-8, so that what
// it has given out is valid UTF-8 at any time.
class Utf8Stream {
 public:
  // Returns: the characters that are complete now.
  std::string append(std::string_view bytes);

  // The text is over. Returns: U+FFFD for a character that was begun and never completed.
  std::string finish();

 private:
  std::string held_;  // the beginning of a character
};

// The offset of the first byte that is not part of a well-formed character.
[[nodiscard]] std::optional<std::size_t> first_invalid_utf8(std::string_view text);

// The text on one line, without control characters and ill-formed bytes: \n, \t, \xNN.
[[nodiscard]] std::string visible(std::string_view text);

// visible(text) in double quotes, for messages.
[[nodiscard]] std::string in_quotes(std::string_view text);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_UTF8_STREAM_H_
