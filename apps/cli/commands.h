// The commands of the program. Each registers its options; nothing runs before all are parsed.
#ifndef GUMBELSPEC_APPS_CLI_COMMANDS_H_
#define GUMBELSPEC_APPS_CLI_COMMANDS_H_

#include "apps/cli/arguments.h"

namespace gumbelspec::cli {

[[nodiscard]] Command add_generate(Arguments& program);
[[nodiscard]] Command add_bench(Arguments& program);
[[nodiscard]] Command add_selftest(Arguments& program);
[[nodiscard]] Command add_info(Arguments& program);
[[nodiscard]] Command add_serve(Arguments& program);

}  // namespace gumbelspec::cli

#endif  // GUMBELSPEC_APPS_CLI_COMMANDS_H_
