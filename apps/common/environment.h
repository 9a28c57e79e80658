// Options from the environment, for containers and service files.
#ifndef GUMBELSPEC_APPS_COMMON_ENVIRONMENT_H_
#define GUMBELSPEC_APPS_COMMON_ENVIRONMENT_H_

#include <string>
#include <string_view>
#include <vector>

namespace gumbelspec::apps {

// The variables that stand for an option, given its long name ("--ctx-size"), the first one that is
// set counts: ours (GUMBELSPEC_ARG_CTX_SIZE), and llama.cpp's where it has one of the meaning
// (LLAMA_ARG_CTX_SIZE).
[[nodiscard]] std::vector<std::string> variables_of(std::string_view long_name);

// Options that say the same as this one, which count instead of its variables where they are given.
[[nodiscard]] std::vector<std::string_view> rivals_of(std::string_view long_name);

// A flag's value: true, on, 1, enabled; false, off, 0, disabled.
// Throws: Error{invalid_option} with the variable's name.
[[nodiscard]] bool is_switched_on(const std::string& variable, const std::string& value);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_ENVIRONMENT_H_
