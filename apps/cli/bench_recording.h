// gumbelspec bench --trace FILE.
#ifndef GUMBELSPEC_APPS_CLI_BENCH_RECORDING_H_
#define GUMBELSPEC_APPS_CLI_BENCH_RECORDING_H_

#include "apps/cli/bench_options.h"

namespace gumbelspec::cli {

// Returns the exit code. Throws: Error, OutputError, Stopped; a stop leaves no file.
int record_trace(const BenchOptions& options);

}  // namespace gumbelspec::cli

#endif  // GUMBELSPEC_APPS_CLI_BENCH_RECORDING_H_
