// The library's errors in the words of the command line.
#ifndef GUMBELSPEC_APPS_COMMON_OPTION_NAMES_H_
#define GUMBELSPEC_APPS_COMMON_OPTION_NAMES_H_

#include <string>
#include <string_view>

#include "gumbelspec/error.h"

namespace gumbelspec::apps {

// What a user types for a field of the library's options: "--top-p" for "top_p". Empty: there is no
// such option, and what the library says is as good for a user.
[[nodiscard]] std::string option_of(std::string_view field);

// The message with the options' names: "--top-p is 2, but must be in (0, 1]".
[[nodiscard]] std::string message_of(const Error& error);

// An error of loading the draft, some of whose options have names of their own. Its message needs
// no other names any more.
[[nodiscard]] Error named_for_draft(const Error& error);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_OPTION_NAMES_H_
