// What is verified where the trees of a round are too large for one pass.
#ifndef GUMBELSPEC_ENGINE_ROUND_TRIM_H_
#define GUMBELSPEC_ENGINE_ROUND_TRIM_H_

#include <cstddef>
#include <span>
#include <vector>

#include "src/engine/text.h"

namespace gumbelspec {

// Leaves out the nodes of least value until all trees together fit into a pass; of a tree that may
// not lose some of its nodes, all.
class RoundTrim {
 public:
  void operator()(std::span<Text* const> texts, std::size_t max_nodes, std::size_t max_leaves);

 private:
  struct Node {
    float log_value = 0.0F;
    std::size_t text = 0;
    NodeId node{};
  };
  void collect(std::span<Text* const> texts);
  void choose(std::span<Text* const> texts, std::size_t max_nodes, std::size_t max_leaves);

  std::vector<Node> nodes_;
  std::vector<std::vector<char>> keep_;  // by text
  std::vector<NodeId> new_ids_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_ROUND_TRIM_H_
