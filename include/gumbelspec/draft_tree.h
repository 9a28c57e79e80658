// The tree of tokens that one target pass verifies.
#ifndef GUMBELSPEC_DRAFT_TREE_H_
#define GUMBELSPEC_DRAFT_TREE_H_

#include <cstddef>
#include <span>
#include <vector>

#include "gumbelspec/types.h"

namespace gumbelspec {

// Node 0 is the root: the last accepted token, which the target has not evaluated yet. Every other
// node is a drafted token. Parents come before their children, and a node's children carry
// different tokens, so at most one of them can be the target's choice.
class DraftTree {
 public:
  // Reserves memory for n_nodes nodes, root included: adding up to that many does not allocate.
  void reserve(std::size_t n_nodes);

  // The tree becomes a lone root.
  void reset(TokenId root);

  // Requires: parent is a node without a child of this token (std::logic_error otherwise);
  //           log_value <= log_value(parent).
  NodeId add(NodeId parent, TokenId token, float log_value);

  [[nodiscard]] std::size_t size() const { return nodes_.size(); }  // root included
  [[nodiscard]] std::size_t n_drafted() const { return nodes_.size() - 1; }
  [[nodiscard]] std::size_t n_leaves() const;

  [[nodiscard]] TokenId token(NodeId node) const { return nodes_[index(node)].token; }
  [[nodiscard]] NodeId parent(NodeId node) const { return nodes_[index(node)].parent; }
  [[nodiscard]] int depth(NodeId node) const { return nodes_[index(node)].depth; }
  [[nodiscard]] bool is_leaf(NodeId node) const {
    return nodes_[index(node)].first_child == kNoNode;
  }

  // Log of the estimated chance that the target's text goes through this node; the root's is 0.
  [[nodiscard]] float log_value(NodeId node) const { return nodes_[index(node)].log_value; }

  // The child that carries this token, or kNoNode.
  [[nodiscard]] NodeId child(NodeId node, TokenId token) const;

  // The tokens below the root down to node, in order. Shape: out [depth(node)].
  void path_tokens(NodeId node, std::span<TokenId> out) const;

  // Keeps the nodes with keep[i] != 0 and renumbers them in the same order; new_ids[i] becomes the
  // new id of node i, or kNoNode if it is dropped.
  // Shape: keep [size()]; new_ids [size() before the call].
  // Requires: the root is kept, and with every node its parent.
  void prune(std::span<const char> keep, std::span<NodeId> new_ids);

 private:
  struct Node {
    TokenId token{};
    NodeId parent = kNoNode;
    NodeId first_child = kNoNode;
    NodeId next_sibling = kNoNode;
    int depth = 0;
    float log_value = 0.0F;
  };
  std::vector<Node> nodes_;
};

// Marks the nodes of highest value, at most max_nodes drafted ones with at most max_leaves leaves:
// those worth verifying. Shape: keep [tree.size()], for DraftTree::prune().
void mark_best(const DraftTree& tree, std::size_t max_nodes, std::size_t max_leaves,
               std::span<char> keep);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_DRAFT_TREE_H_
