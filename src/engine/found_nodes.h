// What a draft has proposed in a round: nodes, their children, and the order of their values.
#ifndef GUMBELSPEC_ENGINE_FOUND_NODES_H_
#define GUMBELSPEC_ENGINE_FOUND_NODES_H_

#include <cstddef>
#include <span>
#include <vector>

#include "gumbelspec/draft_tree.h"
#include "gumbelspec/language_model.h"
#include "src/engine/calibration.h"

namespace gumbelspec {

// A token that the draft proposes.
struct Found {
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  std::size_t parent = kNone;  // index; the root is 0
  TokenId token{};
  int depth = 0;
  float value = 1.0F;
  PendingId pending = kCommitted;  // once expanded
  std::size_t expansion = kNone;   // index, once expanded
  NodeId node = kNoNode;           // in the tree, once chosen
};

// Does not allocate after it is made, within the limits given then.
class FoundNodes {
 public:
  struct Limits {
    std::size_t n_expanded = 0;  // nodes that are expanded in a round
    std::size_t n_ranks = 0;     // children that are looked at
    std::size_t n_nodes = 0;     // nodes that can be chosen
    std::size_t width = 0;       // nodes expanded between two calls of sort()
    std::size_t n_levels = 0;
  };
  explicit FoundNodes(const Limits& limits);

  // Only the root, which can be expanded.
  void clear();

  [[nodiscard]] const Found& operator[](std::size_t i) const { return found_[i]; }
  // Tokens below the root down to node i. Lifetime: until the next call.
  [[nodiscard]] std::span<const TokenId> path(std::size_t i);

  // Where the children of the next node to expand are to be written. Shape: [n_ranks].
  [[nodiscard]] std::span<Candidate> next_candidates();
  // Node i was evaluated as `pending`; its children are the first n of next_candidates(), and worth
  // so much if it is on the text's way. Shape: values [n].
  void expand(std::size_t i, PendingId pending, const ScoreMoments& moments,
              std::span<const float> values);
  // Children as they were found, whether they are worth anything or not.
  [[nodiscard]] std::span<const Candidate> candidates(std::size_t expansion) const;
  [[nodiscard]] const ScoreMoments& moments(std::size_t expansion) const {
    return expansions_[expansion].moments;
  }

  // Sorts by value, and forgets what is not among the best max_nodes. Nodes at n_levels or below
  // cannot be expanded.
  void sort(std::size_t max_nodes, int n_levels);
  // Of all nodes but the root, as sorted.
  [[nodiscard]] std::span<const double> values() const { return values_; }
  // Those that can be expanded, best first: indices, and their values.
  [[nodiscard]] std::span<const std::size_t> frontier() const { return frontier_; }
  [[nodiscard]] std::span<const double> frontier_values() const { return frontier_values_; }

  // The n best become the tree, which has its root only, pruned to max_leaves.
  void settle(std::size_t n, std::size_t max_leaves, DraftTree& tree);
  // The tree was pruned: node i is new_ids[i] now, kNoNode: gone.
  void renumber(std::span<const NodeId> new_ids);
  // Requires: settle() in this round.
  [[nodiscard]] const Found& chosen(NodeId node) const { return found_[chosen_[index(node)]]; }

 private:
  struct Expansion {
    std::size_t n = 0;  // children
    ScoreMoments moments;
  };

  std::size_t n_ranks_;
  std::vector<Found> found_;           // found_[0] is the root
  std::vector<Expansion> expansions_;  // in the order of evaluation
  std::vector<Candidate> candidates_;  // [expansions, n_ranks_]
  std::vector<std::size_t> order_;     // found nodes but the root, best first
  std::vector<double> values_;         // [order_.size()]
  std::vector<std::size_t> frontier_;
  std::vector<double> frontier_values_;
  std::vector<TokenId> path_;
  std::vector<std::size_t> chosen_;  // [tree.size()], the found node of each
  std::vector<char> keep_;
  std::vector<NodeId> new_ids_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_FOUND_NODES_H_
