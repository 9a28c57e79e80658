// How many candidates of rejection sampling and block verification bring the most tokens per
// second.
#ifndef GUMBELSPEC_ENGINE_CANDIDATE_PLANNER_H_
#define GUMBELSPEC_ENGINE_CANDIDATE_PLANNER_H_

#include <cstddef>
#include <vector>

#include "gumbelspec/costs.h"
#include "gumbelspec/method.h"
#include "src/engine/chain_acceptance.h"
#include "src/engine/tree_shape.h"

namespace gumbelspec {

// What passes cost, as it was known at one moment.
// Units: seconds.
struct KnownCosts {
  std::vector<double> target;  // [n], by nodes of the pass
  std::vector<double> draft;

  explicit KnownCosts(std::size_t n) : target(n), draft(n) {}
  void take(const CostModel& model);
};

// What a round has room for, see DraftRound.
struct ShapeRoom {
  std::size_t max_depth = 0;
  std::size_t max_nodes = 0;
  std::size_t max_leaves = 0;
};

struct CandidatePlan {
  std::size_t n = 0;
  double rate = 0.0;  // tokens per second
};

// The best length of a chain for block verification, 0 among them, at most n_most.
[[nodiscard]] CandidatePlan plan_chain(std::size_t n_most, const ChainAcceptance& chain,
                                       const KnownCosts& costs);

class CandidatePlanner {
 public:
  // Requires: method is rejection or rejection_tree.
  explicit CandidatePlanner(const Method& method);

  // The best of all numbers of candidates, 0 among them.
  [[nodiscard]] CandidatePlan plan(const ShapeRoom& room, const AcceptanceRates& rates,
                                   const KnownCosts& costs);

 private:
  ShapeLimits limits_;
  int length_;
  TreeShape shape_;
  std::vector<std::size_t> n_inner_;  // by depth
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_CANDIDATE_PLANNER_H_
