#include "gumbelspec/draft_tree.h"

#include <algorithm>
#include <stdexcept>

namespace gumbelspec {

void DraftTree::reserve(std::size_t n_nodes) { nodes_.reserve(n_nodes); }

void DraftTree::reset(TokenId root) {
  nodes_.clear();
  nodes_.push_back({.token = root});
}

NodeId DraftTree::add(NodeId parent, TokenId token, float log_value) {
  if (index(parent) >= nodes_.size()) throw std::logic_error("DraftTree::add: no such parent");
  if (child(parent, token) != kNoNode) {
    throw std::logic_error("DraftTree::add: the parent has a child of this token already");
  }
  const NodeId id = node_id(nodes_.size());
  Node& above = nodes_[index(parent)];
  const Node node = {.token = token,
                     .parent = parent,
                     .next_sibling = above.first_child,
                     .depth = above.depth + 1,
                     .log_value = log_value};
  above.first_child = id;
  nodes_.push_back(node);
  return id;
}

std::size_t DraftTree::n_leaves() const {
  return static_cast<std::size_t>(std::count_if(
      nodes_.begin(), nodes_.end(), [](const Node& n) { return n.first_child == kNoNode; }));
}

NodeId DraftTree::child(NodeId node, TokenId token) const {
  NodeId id = nodes_[index(node)].first_child;
  while (id != kNoNode && nodes_[index(id)].token != token) id = nodes_[index(id)].next_sibling;
  return id;
}

void DraftTree::path_tokens(NodeId node, std::span<TokenId> out) const {
  if (out.size() != static_cast<std::size_t>(depth(node))) {
    throw std::logic_error("DraftTree::path_tokens: out is not as long as the path");
  }
  for (std::size_t i = out.size(); i-- > 0; node = parent(node)) out[i] = token(node);
}

void DraftTree::prune(std::span<const char> keep, std::span<NodeId> new_ids) {
  if (keep.size() != nodes_.size() || new_ids.size() != nodes_.size() || keep[0] == 0) {
    throw std::logic_error("DraftTree::prune: wrong shape, or the root is not kept");
  }
  std::size_t n = 0;
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    new_ids[i] = keep[i] == 0 ? kNoNode : node_id(n);
    if (keep[i] == 0) continue;
    // Parents come first, so theirs is known and lies at or before this node's new place.
    Node node = nodes_[i];
    node.first_child = kNoNode;
    node.next_sibling = kNoNode;
    if (i > 0) {
      node.parent = new_ids[index(node.parent)];
      if (node.parent == kNoNode) throw std::logic_error("DraftTree::prune: a parent is missing");
      node.next_sibling = nodes_[index(node.parent)].first_child;
      nodes_[index(node.parent)].first_child = node_id(n);
    }
    nodes_[n++] = node;
  }
  nodes_.resize(n);
}

void mark_best(const DraftTree& tree, std::size_t max_nodes, std::size_t max_leaves,
               std::span<char> keep) {
  if (keep.size() != tree.size()) throw std::logic_error("mark_best: wrong shape");
  std::fill(keep.begin(), keep.end(), char{1});
  std::size_t n_nodes = tree.n_drafted();
  const auto is_kept_leaf = [&](std::size_t i) {
    if (i == 0 || keep[i] == 0) return false;
    for (std::size_t j = i + 1; j < tree.size(); ++j) {
      if (keep[j] != 0 && tree.parent(node_id(j)) == node_id(i)) return false;
    }
    return true;
  };
  const auto n_leaves = [&] {
    std::size_t n = 0;
    for (std::size_t i = 1; i < tree.size(); ++i) n += is_kept_leaf(i) ? 1U : 0U;
    return n;
  };
  // Taking away the worst leaf again and again leaves the best nodes, because no node is worth more
  // than its parent. Only trees that are too large come here, and these by little.
  while (n_nodes > max_nodes || (n_nodes > 0 && n_leaves() > max_leaves)) {
    std::size_t worst = 0;
    for (std::size_t i = 1; i < tree.size(); ++i) {
      if (!is_kept_leaf(i)) continue;
      if (worst == 0 || tree.log_value(node_id(i)) <= tree.log_value(node_id(worst))) worst = i;
    }
    keep[worst] = 0;
    --n_nodes;
  }
}

}  // namespace gumbelspec
