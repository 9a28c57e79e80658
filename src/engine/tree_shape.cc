#include "src/engine/tree_shape.h"

#include <algorithm>
#include <cmath>

namespace gumbelspec {
namespace {

constexpr double kPriorTrials = 8.0;

// Between the strong draft of the demo set (0.75, 0.33, 0.22, 0.19, 0.10) and the weak one (0.59,
// 0.25, 0.14, 0.15, 0.06), at temperature 1.
double prior(std::size_t rank) {
  return rank == 0 ? 0.7 : 0.33 / std::pow(static_cast<double>(rank), 0.6);
}

}  // namespace

void AcceptanceRates::reset() { counts_.fill({}); }

void AcceptanceRates::observe(std::size_t rank, bool was_accepted) {
  if (rank >= counts_.size()) return;
  ++counts_[rank].n_tried;
  if (was_accepted) ++counts_[rank].n_accepted;
}

double AcceptanceRates::rate(std::size_t rank) const {
  const Count& count = counts_[rank];
  return (kPriorTrials * prior(rank) + static_cast<double>(count.n_accepted)) /
         (kPriorTrials + static_cast<double>(count.n_tried));
}

TreeShape::TreeShape(std::size_t max_nodes) {
  nodes_.reserve(max_nodes + 1);
  // A node that is added takes one option away and brings at most two.
  options_.reserve(max_nodes + 2);
  n_inner_.reserve(std::max<std::size_t>(max_nodes, 64));  // levels: 64 at most
}

bool TreeShape::is_worse(const Option& a, const Option& b) {
  if (a.value != b.value) return a.value < b.value;
  return a.parent != b.parent ? a.parent > b.parent : a.rank > b.rank;
}

void TreeShape::push(const Option& option) {
  options_.push_back(option);
  std::push_heap(options_.begin(), options_.end(), is_worse);
}

void TreeShape::add(const Option& option) {
  const auto id = static_cast<int>(nodes_.size());
  ShapeNode& parent = nodes_[static_cast<std::size_t>(option.parent)];
  const ShapeNode node = {.parent = option.parent,
                          .rank = option.rank,
                          .depth = parent.depth + 1,
                          .log_value = static_cast<float>(std::log(option.value))};
  if (parent.n_children++ == 0) {
    parent.first_child = id;
  } else {
    nodes_[static_cast<std::size_t>(parent.last_child)].next_sibling = id;
  }
  parent.last_child = id;
  nodes_.push_back(node);
}

void TreeShape::plan(const ShapeLimits& limits, const AcceptanceRates& rates) {
  nodes_.assign(1, {});
  options_.clear();
  n_inner_.assign(static_cast<std::size_t>(std::max(limits.n_levels, 0)), 0);
  if (limits.n_levels <= 0 || limits.n_children == 0) return;
  std::size_t n_leaves = 0;
  push({rates.rate(0), 1.0, 0, 0});
  while (nodes_.size() <= limits.n_nodes && !options_.empty()) {
    std::pop_heap(options_.begin(), options_.end(), is_worse);
    const Option best = options_.back();
    options_.pop_back();
    const auto level =
        static_cast<std::size_t>(nodes_[static_cast<std::size_t>(best.parent)].depth);
    // The first child of a leaf takes its place.
    const bool adds_leaf = best.rank > 0 || best.parent == 0;
    if (adds_leaf && n_leaves >= limits.n_leaves) continue;
    if (best.rank == 0 && n_inner_[level] >= limits.width) continue;
    if (best.rank == 0) ++n_inner_[level];
    if (adds_leaf) ++n_leaves;
    const auto id = static_cast<int>(nodes_.size());
    add(best);
    const auto next = static_cast<std::size_t>(best.rank) + 1;
    if (next < limits.n_children) {
      const double tried = best.tried * (1.0 - rates.rate(static_cast<std::size_t>(best.rank)));
      push({tried * rates.rate(next), tried, best.parent, best.rank + 1});
    }
    if (static_cast<int>(level) + 1 < limits.n_levels) {
      push({best.value * rates.rate(0), best.value, id, 0});
    }
  }
}

}  // namespace gumbelspec
