// The commands of the program. Each registers its options; nothing runs before all are parsed.
#ifndef GUMBELSPEC_APPS_CLI_COMMANDS_H_
#define GUMBELSPEC_APPS_CLI_COMMANDS_H_

#include "apps/cli/arguments.h"

namespace gumbelspec::cli {

[[nodiscard]] Command add_generate(CLI::App& program);
[[nodiscard]] Command add_bench(CLI::App& program);
[[nodiscard]] Command add_selftest(CLI::App& program);
[[nodiscard]] Command add_info(CLI::App& program);
[[nodiscard]] Command add_serve(CLI::App& program);

}  // namespace gumbelspec::cli

#endif  // GUMBELSPEC_APPS_CLI_COMMANDS_H_
