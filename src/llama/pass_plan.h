// The order in which the nodes of one pass enter a batch, and which branch ends lie below each.
#ifndef GUMBELSPEC_SRC_LLAMA_PASS_PLAN_H_
#define GUMBELSPEC_SRC_LLAMA_PASS_PLAN_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gumbelspec::internal {

// Nodes are visited depth first, children in the order given: ancestors come before descendants,
// and the leaves below a node are neighbours, so one array of leaf ids serves all nodes as slices.
// Depth first also puts the first (most promising) path into the first cells, so that after it is
// accepted most rejected cells lie behind it and can be reused (see TreeCache).
//
// Buffers keep their capacity between builds: no allocation in the steady state.
class PassPlan {
 public:
  static constexpr std::int32_t kOutside = -1;

  struct Slot {
    std::int32_t node = 0;        // index into parents
    std::int32_t top = 0;         // index into parents: the ancestor whose parent is outside
    std::int32_t first_leaf = 0;  // leaves below it, itself included: [first_leaf, + n_leaves)
    std::int32_t n_leaves = 0;
  };

  // parents[i] is the index of i's parent, less than i, or kOutside.
  void build(std::span<const std::int32_t> parents);

  // In batch order. Shape: [parents.size()].
  [[nodiscard]] std::span<const Slot> slots() const { return slots_; }
  // The place of node i in slots(). Shape: [parents.size()].
  [[nodiscard]] std::span<const std::int32_t> slot_of() const { return slot_of_; }
  [[nodiscard]] std::size_t n_leaves() const { return n_leaves_; }

 private:
  void link(std::span<const std::int32_t> parents);

  std::vector<std::int32_t> first_child_;
  std::vector<std::int32_t> last_child_;
  std::vector<std::int32_t> next_sibling_;
  std::vector<Slot> slots_;
  std::vector<std::int32_t> slot_of_;
  std::size_t n_leaves_ = 0;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_PASS_PLAN_H_
