// What was measured, for the results.
#ifndef GUMBELSPEC_APPS_BENCH_SETTINGS_H_
#define GUMBELSPEC_APPS_BENCH_SETTINGS_H_

#include <cstddef>
#include <vector>

#include "apps/bench/options.h"
#include "apps/common/report.h"
#include "gumbelspec/costs.h"

namespace gumbelspec::apps::bench {

// What the options do not say.
struct BenchSettings {
  std::vector<float> temperatures;
  std::size_t n_prompts = 0;        // reported on
  std::size_t n_sweep_prompts = 0;  // shapes were found with
  int n_threads = 1;
  const CostModel* costs = nullptr;  // null: not measured
  Json sweep;                        // the shapes found; null: none were looked for
  Json replay;                       // the trace; null: measured
};

// summary (one line), command, and every value.
[[nodiscard]] Json settings_json(const BenchOptions& options, const BenchSettings& settings);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_SETTINGS_H_
