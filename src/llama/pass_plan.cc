#include "src/llama/pass_plan.h"

namespace gumbelspec::internal {

void PassPlan::link(std::span<const std::int32_t> parents) {
  const std::size_t n = parents.size();
  first_child_.assign(n, kOutside);
  last_child_.assign(n, kOutside);
  next_sibling_.assign(n, kOutside);
  std::int32_t last_top = kOutside;
  for (std::size_t i = 0; i < n; ++i) {
    const auto id = static_cast<std::int32_t>(i);
    std::int32_t& last =
        parents[i] == kOutside ? last_top : last_child_[static_cast<std::size_t>(parents[i])];
    if (last != kOutside) {
      next_sibling_[static_cast<std::size_t>(last)] = id;
    } else if (parents[i] != kOutside) {
      first_child_[static_cast<std::size_t>(parents[i])] = id;
    }
    last = id;
  }
}

void PassPlan::build(std::span<const std::int32_t> parents) {
  const std::size_t n = parents.size();
  link(parents);
  slots_.clear();
  slot_of_.assign(n, 0);
  n_leaves_ = 0;
  std::int32_t node = n == 0 ? kOutside : 0;
  while (node != kOutside) {
    const auto i = static_cast<std::size_t>(node);
    const std::int32_t parent = parents[i];
    Slot slot;
    slot.node = node;
    slot.first_leaf = static_cast<std::int32_t>(n_leaves_);
    slot.top =
        parent == kOutside
            ? node
            : slots_[static_cast<std::size_t>(slot_of_[static_cast<std::size_t>(parent)])].top;
    slot_of_[i] = static_cast<std::int32_t>(slots_.size());
    if (first_child_[i] == kOutside) {
      slot.n_leaves = 1;
      ++n_leaves_;
    }
    slots_.push_back(slot);
    std::int32_t next = first_child_[i];
    for (std::int32_t up = node; next == kOutside && up != kOutside;
         up = parents[static_cast<std::size_t>(up)]) {
      next = next_sibling_[static_cast<std::size_t>(up)];
    }
    node = next;
  }
  for (std::size_t s = slots_.size(); s-- > 0;) {
    const std::int32_t parent = parents[static_cast<std::size_t>(slots_[s].node)];
    if (parent == kOutside) continue;
    slots_[static_cast<std::size_t>(slot_of_[static_cast<std::size_t>(parent)])].n_leaves +=
        slots_[s].n_leaves;
  }
}

}  // namespace gumbelspec::internal
