// The shape of a tree of candidates, decided before any of them is drawn.
#ifndef GUMBELSPEC_ENGINE_TREE_SHAPE_H_
#define GUMBELSPEC_ENGINE_TREE_SHAPE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace gumbelspec {

// A node's candidates at most: those of a higher rank are hardly ever reached.
inline constexpr std::size_t kMaxChildren = 64;

// How often the candidate of a rank (0 = drawn first) is accepted when those before it were not.
// Begins with what is usual, and learns from the candidates that were tried: a rank's prior counts
// as kPriorTrials of them.
class AcceptanceRates {
 public:
  void reset();
  void observe(std::size_t rank, bool was_accepted);
  // Requires: rank < kMaxChildren.
  [[nodiscard]] double rate(std::size_t rank) const;

 private:
  struct Count {
    std::uint32_t n_tried = 0;
    std::uint32_t n_accepted = 0;
  };
  std::array<Count, kMaxChildren> counts_ = {};
};

struct ShapeLimits {
  std::size_t n_nodes = 0;  // without the root
  std::size_t n_leaves = 0;
  std::size_t n_children = 0;  // of a node, at most kMaxChildren
  std::size_t width = 0;       // nodes of a level that have children
  int n_levels = 0;
};

// Nodes in order of worth, parents first, the root is number 0; the children of a node in the order
// of their ranks.
struct ShapeNode {
  int parent = -1;
  int rank = 0;
  int depth = 0;
  int n_children = 0;
  int first_child = -1;   // -1: none
  int next_sibling = -1;  // -1: none
  int last_child = -1;
  float log_value = 0.0F;  // log of the chance that the text goes through it, by the rates
};

// The tree of the highest expected number of accepted tokens within the limits, if the chance of a
// candidate depends on its rank only. Source: Sequoia (2402.12374), section 4.1; taking the best
// node that fits, again and again, gives their optimum where the chances fall with the rank.
// Cost: n_nodes times the logarithm of it. Does not allocate after the largest plan.
class TreeShape {
 public:
  explicit TreeShape(std::size_t max_nodes);
  void plan(const ShapeLimits& limits, const AcceptanceRates& rates);
  [[nodiscard]] std::span<const ShapeNode> nodes() const { return nodes_; }

 private:
  struct Option {
    double value = 0.0;  // chance of being on the path
    double tried = 0.0;  // chance that this rank is tried
    int parent = 0;
    int rank = 0;
  };
  static bool is_worse(const Option& a, const Option& b);
  void push(const Option& option);
  void add(const Option& option);

  std::vector<ShapeNode> nodes_;
  std::vector<Option> options_;       // a heap
  std::vector<std::size_t> n_inner_;  // by depth, nodes that have children
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_TREE_SHAPE_H_
