#include "src/engine/candidate_planner.h"

#include <algorithm>
#include <cmath>
#include <span>

namespace gumbelspec {

void KnownCosts::take(const CostModel& model) {
  for (std::size_t n = 1; n < target.size(); ++n) {
    target[n] = model.target.seconds(n);
    draft[n] = model.draft.seconds(n);
  }
}

CandidatePlan plan_chain(std::size_t n_most, const ChainAcceptance& chain,
                         const KnownCosts& costs) {
  CandidatePlan best = {.n = 0, .rate = 1.0 / costs.target[1]};
  double tokens = 1.0;
  double gain = 1.0;
  for (std::size_t n = 1; n <= n_most; ++n) {
    gain = chain.gain(n, gain);
    tokens += gain;
    const double rate = tokens / (costs.target[n + 1] + static_cast<double>(n) * costs.draft[1]);
    if (rate > best.rate) best = {.n = n, .rate = rate};
  }
  return best;
}

CandidatePlanner::CandidatePlanner(const Method& method)
    : limits_{.n_nodes = static_cast<std::size_t>(method.node_limit()),
              .n_leaves = 0,
              .n_children = method.kind == MethodKind::rejection_tree ? kMaxChildren : 1,
              .width = static_cast<std::size_t>(method.width),
              .n_levels = 0},
      length_(method.length),
      shape_(limits_.n_nodes),
      n_inner_(static_cast<std::size_t>(method.length)) {}

// Nodes are taken in the order of their worth, so the first n are the best shape of n nodes.
CandidatePlan CandidatePlanner::plan(const ShapeRoom& room, const AcceptanceRates& rates,
                                     const KnownCosts& costs) {
  ShapeLimits limits = limits_;
  limits.n_nodes = std::min(limits.n_nodes, room.max_nodes);
  limits.n_leaves = room.max_leaves;
  limits.n_levels = static_cast<int>(std::min(static_cast<std::size_t>(length_), room.max_depth));
  shape_.plan(limits, rates);
  std::fill(n_inner_.begin(), n_inner_.end(), std::size_t{0});
  CandidatePlan best = {.n = 0, .rate = 1.0 / costs.target[1]};
  double tokens = 1.0;
  double draft_s = 0.0;
  const std::span<const ShapeNode> nodes = shape_.nodes();
  for (std::size_t i = 1; i < nodes.size(); ++i) {
    tokens += std::exp(static_cast<double>(nodes[i].log_value));
    if (nodes[i].rank == 0) {  // its parent is evaluated now
      const std::size_t n = ++n_inner_[static_cast<std::size_t>(nodes[i].depth) - 1];
      draft_s += costs.draft[n] - (n > 1 ? costs.draft[n - 1] : 0.0);
    }
    const double rate = tokens / (costs.target[i + 1] + draft_s);
    if (rate > best.rate) best = {.n = i, .rate = rate};
  }
  return best;
}

}  // namespace gumbelspec
