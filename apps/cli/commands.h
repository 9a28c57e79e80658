// The commands of the program, but for bench. Each registers its options; nothing runs before all
// are parsed.
#ifndef GUMBELSPEC_APPS_CLI_COMMANDS_H_
#define GUMBELSPEC_APPS_CLI_COMMANDS_H_

#include "apps/common/arguments.h"

namespace gumbelspec::apps::cli {

[[nodiscard]] Command add_generate(Arguments& program);
[[nodiscard]] Command add_chat(Arguments& program);
[[nodiscard]] Command add_models(Arguments& program);
[[nodiscard]] Command add_selftest(Arguments& program);
[[nodiscard]] Command add_info(Arguments& program);
[[nodiscard]] Command add_serve(Arguments& program);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_COMMANDS_H_
