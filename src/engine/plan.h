// What to draft and what to verify: pure functions of values and costs.
//
// A round brings 1 + (sum of the values of the verified nodes) tokens on average, because a node
// adds one exactly if it is on the target's path. Rounds follow each other, so the most tokens per
// second come not from the best ratio of a round alone but from the largest
//
//     tokens - rate * seconds
//
// where rate is the tokens per second of the text as a whole (renewal-reward; Dinkelbach 1967).
#ifndef GUMBELSPEC_ENGINE_PLAN_H_
#define GUMBELSPEC_ENGINE_PLAN_H_

#include <cstddef>
#include <span>
#include <vector>

#include "gumbelspec/costs.h"

namespace gumbelspec {

// The other texts of a round. The defaults are those of a text alone.
struct Company {
  std::size_t n_texts = 0;     // in the target's pass
  std::size_t n_verified = 0;  // their nodes there, roots included
  std::size_t n_drafting = 0;  // in the draft's pass that is being decided
  std::size_t n_drafted = 0;   // their tokens there
  double rate = 0.0;           // tokens per second of all texts together; 0: the planner's own
  double own_node_s = 0.0;     // where rate is given: what a verified node takes besides the pass
  // Texts that gave up drafting are asked again, all in the same round: what does not pay for one
  // alone may pay for all. The same for levels further down.
  bool is_asking = false;
  // Passes that only learn come one text at a time, so that no round has to wait for all of them.
  bool may_probe = true;
};

// What the plan weighs against each other, in tokens. With the same rate for all texts of a round,
// a node costs each of them the same, and the nodes go where they are worth most.
struct Prices {
  const CostModel* costs = nullptr;
  double rate = 0.0;  // tokens per second
  Company others = {};
  double own_node_s = 0.0;  // seconds that a verified node takes besides the pass
  // Where trees are chains: what was accepted before a rejection is read again with the next pass.
  bool rereads = false;

  // Of a target pass that verifies n drafted nodes, beyond one that verifies none.
  [[nodiscard]] double verify(std::size_t n) const {
    const std::size_t n_before = others.n_verified + 1;
    return rate * (costs->target.seconds(n_before + n) - costs->target.seconds(n_before) +
                   own_node_s * static_cast<double>(n));
  }
  // What is expected to be read again after a round of a chain that brings so many tokens and is
  // accepted in full with the chance of its last node.
  [[nodiscard]] double reread(double tokens, double last_value) const {
    if (!rereads) return 0.0;
    const std::size_t n_before = others.n_verified + 1;
    const auto n = static_cast<std::size_t>(tokens + 1.5);  // the root, too
    return rate * (1.0 - last_value) *
           (costs->target.seconds(n_before + n) - costs->target.seconds(n_before));
  }
  // Of a draft pass over n tokens: what a pass with one token for each text takes is shared out
  // evenly, further tokens are charged with what they add.
  [[nodiscard]] double draft_s(std::size_t n) const {
    if (others.n_drafting == 0) return costs->draft.seconds(n);
    const std::size_t n_texts = others.n_drafting + 1;
    return costs->draft.seconds(n_texts) / static_cast<double>(n_texts) +
           costs->draft.seconds(others.n_drafted + n) - costs->draft.seconds(others.n_drafted + 1);
  }
  [[nodiscard]] double draft(std::size_t n) const { return rate * draft_s(n); }
};

struct NodeCount {
  std::size_t n = 0;
  double gain = 0.0;  // tokens that they bring, less the price of verifying them
};

// How many of the best nodes pay. The price may have steps, so all counts are looked at.
// Shape: values descending. Requires: prices.costs->target.is_known().
[[nodiscard]] NodeCount best_node_count(std::span<const double> values, const Prices& prices);

struct LevelChoice {
  std::size_t width = 0;  // nodes to expand, the best ones; 0: no further level pays
  double gain = 0.0;      // tokens expected beyond what verifying now would bring
};

// Decides whether another level pays, by imagining up to kLookahead of them.
// Does not allocate for levels of up to 64 nodes with 16 children each.
class LevelPlan {
 public:
  static constexpr int kLookahead = 4;

  LevelPlan();

  struct Input {
    std::span<const double> values;    // of all nodes so far, descending
    std::span<const double> frontier;  // of the nodes that can be expanded, descending
    std::span<const double> profile;   // share of a node's value that its k-th child gets
    std::size_t max_nodes = 0;         // nodes that can be verified
    std::size_t max_width = 0;         // nodes of a level
    int max_levels = 0;                // levels still possible
    double extra_s = 0.0;              // what the next draft pass is charged with besides
  };
  [[nodiscard]] LevelChoice choose(const Input& input, const Prices& prices);

 private:
  // The gain of expanding `width` nodes now, and then whatever is best to expand.
  double look_ahead(const Input& input, const Prices& prices, std::size_t width);
  void expand(const Input& input, std::size_t width);

  std::vector<double> values_;
  std::vector<double> frontier_;
  std::vector<double> children_;
  std::vector<double> merged_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_PLAN_H_
