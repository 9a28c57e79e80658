// `gumbelspec serve` with several models: a process for each, which is this program again.
#ifndef GUMBELSPEC_APPS_CLI_SERVE_ROUTER_H_
#define GUMBELSPEC_APPS_CLI_SERVE_ROUTER_H_

#include <vector>

#include "apps/cli/serve_options.h"
#include "apps/common/arguments.h"
#include "apps/server/router/router.h"

namespace gumbelspec::apps::cli {

// The models of --models-dir and --models-preset, each with the arguments of its process: those of
// [*], of its section, and the command's own, of which the last one counts.
// Throws: Error{invalid_option, file_not_found}.
[[nodiscard]] std::vector<server::ModelSource> model_sources(const Arguments& arguments,
                                                             const ServeOptions& options);

// Returns the exit code. Throws: Error.
int run_router(const Arguments& arguments, const ServeOptions& options);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_SERVE_ROUTER_H_
