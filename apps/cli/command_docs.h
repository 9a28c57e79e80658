// The man page and the shells' completions, from the same registered options as --help.
#ifndef GUMBELSPEC_APPS_CLI_COMMAND_DOCS_H_
#define GUMBELSPEC_APPS_CLI_COMMAND_DOCS_H_

#include <string>
#include <string_view>
#include <vector>

#include "apps/common/arguments.h"

namespace gumbelspec::apps::cli {

// A page for man(1) about the program and all its commands.
[[nodiscard]] std::string man_page(const Arguments& program);
[[nodiscard]] std::string bash_completion(const Arguments& program);
[[nodiscard]] std::string zsh_completion(const Arguments& program);

// What an option that takes one of a few words takes; empty: something else.
[[nodiscard]] std::vector<std::string> choices_of(const Option& option);

// The hidden command that prints them: gumbelspec print-docs man|bash|zsh.
[[nodiscard]] Command add_print_docs(Arguments& program);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_COMMAND_DOCS_H_
