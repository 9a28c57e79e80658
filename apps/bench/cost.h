// What the passes of a replay are said to cost.
#ifndef GUMBELSPEC_APPS_BENCH_COST_H_
#define GUMBELSPEC_APPS_BENCH_COST_H_

#include <string>

#include "apps/bench/trace.h"
#include "gumbelspec/costs.h"

namespace gumbelspec::apps::bench {

struct ReplayCosts {
  CostModel model;   // does not refine
  std::string text;  // in words
};

// --cost: "measured" (the trace's own curves), "flat" (a pass over any number of nodes costs what
// one over a single node does), "linear" (n nodes cost n times as much), or a JSON file: the
// results of a benchmark, or {"target": [[nodes, ms], ...], "draft": ...}. "flat:FILE" and
// "linear:FILE" take the cost of one node from there.
// Throws: Error{invalid_option, file_not_found}.
[[nodiscard]] ReplayCosts replay_costs(const std::string& option, const Trace& trace);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_COST_H_
