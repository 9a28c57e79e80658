// The folder of --out: results.json, results.md, plots.
#ifndef GUMBELSPEC_APPS_BENCH_OUTPUT_H_
#define GUMBELSPEC_APPS_BENCH_OUTPUT_H_

#include <string>

#include "apps/bench/report.h"

namespace gumbelspec::apps::bench {

// Makes the folder, and finds out before anything is measured that it cannot be written.
// Throws: OutputError.
void prepare_folder(const std::string& folder);

// Throws: OutputError. Plots are drawn by python3-matplotlib where it is installed; otherwise a
// line on standard error says how to get it.
void write_folder(const std::string& folder, const BenchReport& report);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_OUTPUT_H_
