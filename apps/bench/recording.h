// gumbelspec bench --trace FILE.
#ifndef GUMBELSPEC_APPS_BENCH_RECORDING_H_
#define GUMBELSPEC_APPS_BENCH_RECORDING_H_

#include "apps/bench/options.h"

namespace gumbelspec::apps::bench {

// Returns the exit code. Throws: Error, OutputError, Stopped; a stop leaves no file.
int record_trace(const BenchOptions& options);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_RECORDING_H_
