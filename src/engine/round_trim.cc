#include "src/engine/round_trim.h"

#include <algorithm>

namespace gumbelspec {
namespace {

struct Size {
  std::size_t n_nodes = 0;
  std::size_t n_leaves = 0;
};

Size size_of(std::span<Text* const> texts) {
  Size size;
  for (const Text* text : texts) {
    size.n_nodes += text->tree.size();
    size.n_leaves += std::max<std::size_t>(text->tree.n_leaves(), 1);
  }
  return size;
}

}  // namespace

void RoundTrim::operator()(std::span<Text* const> texts, std::size_t max_nodes,
                           std::size_t max_leaves) {
  const auto fits = [&] {
    const Size size = size_of(texts);
    return size.n_nodes <= max_nodes && size.n_leaves <= max_leaves;
  };
  if (fits()) return;
  // Which trees go whole depends on their sizes and the order of the texts, on nothing drawn.
  for (std::size_t t = texts.size(); t-- > 0;) {
    if (!texts[t]->has_drafted || texts[t]->is_divisible()) continue;
    texts[t]->drop_tree();
    if (fits()) return;
  }
  collect(texts);
  choose(texts, max_nodes, max_leaves);
  for (std::size_t t = 0; t < texts.size(); ++t) {
    DraftTree& tree = texts[t]->tree;
    if (tree.n_drafted() == 0) continue;
    new_ids_.resize(tree.size());
    tree.prune(keep_[t], new_ids_);
    texts[t]->renumber(new_ids_);
  }
}

// No node is worth more than its parent, which has the smaller id.
void RoundTrim::collect(std::span<Text* const> texts) {
  nodes_.clear();
  keep_.resize(std::max(keep_.size(), texts.size()));
  for (std::size_t t = 0; t < texts.size(); ++t) {
    const DraftTree& tree = texts[t]->tree;
    keep_[t].assign(tree.size(), 0);
    keep_[t][index(kRoot)] = 1;
    for (std::size_t i = 1; i < tree.size(); ++i) {
      nodes_.push_back({tree.log_value(node_id(i)), t, node_id(i)});
    }
  }
  std::sort(nodes_.begin(), nodes_.end(), [](const Node& a, const Node& b) {
    if (a.log_value != b.log_value) return a.log_value > b.log_value;
    return a.text != b.text ? a.text < b.text : a.node < b.node;
  });
}

void RoundTrim::choose(std::span<Text* const> texts, std::size_t max_nodes,
                       std::size_t max_leaves) {
  std::size_t n_nodes = texts.size();
  std::size_t n_leaves = texts.size();
  // 2: kept, and has a kept child.
  for (const Node& node : nodes_) {
    if (n_nodes == max_nodes) break;
    char& parent = keep_[node.text][index(texts[node.text]->tree.parent(node.node))];
    if (parent == 0 || (parent == 2 && n_leaves == max_leaves)) continue;
    if (parent == 2) ++n_leaves;
    parent = 2;
    keep_[node.text][index(node.node)] = 1;
    ++n_nodes;
  }
}

}  // namespace gumbelspec
