#include "src/engine/found_nodes.h"

#include <algorithm>
#include <cmath>

namespace gumbelspec {
namespace {

// Below this a node is not worth a place in any tree.
constexpr float kLeastValue = 1e-4F;

}  // namespace

FoundNodes::FoundNodes(const Limits& limits) : n_ranks_(limits.n_ranks) {
  // A level is cut to what can be chosen before the next one is added.
  found_.reserve(1 + limits.n_expanded * std::min(n_ranks_, limits.n_nodes));
  expansions_.reserve(limits.n_expanded);
  candidates_.resize(limits.n_expanded * n_ranks_);
  frontier_.reserve(limits.n_nodes + 1);
  order_.reserve(limits.n_nodes + limits.width * n_ranks_);
  values_.reserve(order_.capacity());
  frontier_values_.reserve(limits.n_nodes + 1);
  path_.resize(limits.n_levels + 1);
  chosen_.reserve(limits.n_nodes + 1);
  keep_.reserve(limits.n_nodes + 1);
  new_ids_.reserve(limits.n_nodes + 1);
  clear();
}

void FoundNodes::clear() {
  found_.assign(1, Found{});
  expansions_.clear();
  order_.clear();
  chosen_.assign(1, 0);
  values_.clear();
  frontier_.assign(1, 0);
  frontier_values_.assign(1, 1.0);
}

std::span<const TokenId> FoundNodes::path(std::size_t i) {
  const auto depth = static_cast<std::size_t>(found_[i].depth);
  for (std::size_t d = depth; d-- > 0; i = found_[i].parent) path_[d] = found_[i].token;
  return std::span(path_).first(depth);
}

std::span<Candidate> FoundNodes::next_candidates() {
  return std::span(candidates_).subspan(expansions_.size() * n_ranks_, n_ranks_);
}

std::span<const Candidate> FoundNodes::candidates(std::size_t expansion) const {
  return std::span(candidates_).subspan(expansion * n_ranks_, expansions_[expansion].n);
}

void FoundNodes::expand(std::size_t i, PendingId pending, const ScoreMoments& moments,
                        std::span<const float> values) {
  const std::span<const Candidate> children = next_candidates().first(values.size());
  found_[i].pending = pending;
  found_[i].expansion = expansions_.size();
  expansions_.push_back({values.size(), moments});
  for (std::size_t k = 0; k < children.size(); ++k) {
    const float value = found_[i].value * values[k];
    if (value < kLeastValue) continue;
    order_.push_back(found_.size());
    found_.push_back(
        {.parent = i, .token = children[k].token, .depth = found_[i].depth + 1, .value = value});
  }
}

void FoundNodes::sort(std::size_t max_nodes, int n_levels) {
  std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
    if (found_[a].value != found_[b].value) return found_[a].value > found_[b].value;
    return a < b;  // so that parents come before their children
  });
  if (order_.size() > max_nodes) order_.resize(max_nodes);
  values_.clear();
  frontier_.clear();
  frontier_values_.clear();
  for (const std::size_t i : order_) {
    values_.push_back(static_cast<double>(found_[i].value));
    if (found_[i].expansion != Found::kNone || found_[i].depth >= n_levels) continue;
    frontier_.push_back(i);
    frontier_values_.push_back(values_.back());
  }
}

void FoundNodes::settle(std::size_t n, std::size_t max_leaves, DraftTree& tree) {
  order_.resize(std::min(n, order_.size()));
  std::sort(order_.begin(), order_.end());
  found_[0].node = kRoot;
  chosen_.assign(1, 0);
  for (const std::size_t i : order_) {
    Found& f = found_[i];
    f.node = tree.add(found_[f.parent].node, f.token, std::log(f.value));
    chosen_.push_back(i);
  }
  if (tree.n_leaves() <= max_leaves) return;
  keep_.resize(tree.size());
  new_ids_.resize(tree.size());
  mark_best(tree, tree.n_drafted(), max_leaves, keep_);
  tree.prune(keep_, new_ids_);
  renumber(new_ids_);
}

void FoundNodes::renumber(std::span<const NodeId> new_ids) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < new_ids.size(); ++i) {
    if (new_ids[i] == kNoNode) continue;
    chosen_[index(new_ids[i])] = chosen_[i];
    n = index(new_ids[i]) + 1;
  }
  chosen_.resize(n);
}

}  // namespace gumbelspec
