// \n in an option's text.
#ifndef GUMBELSPEC_APPS_COMMON_ESCAPES_H_
#define GUMBELSPEC_APPS_COMMON_ESCAPES_H_

#include <string>
#include <string_view>

namespace gumbelspec::apps {

// With \n, \r, \t, \', \", \\ and \xNN turned into what they stand for; others stay, as in
// llama.cpp.
[[nodiscard]] std::string unescaped(std::string_view text);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_ESCAPES_H_
