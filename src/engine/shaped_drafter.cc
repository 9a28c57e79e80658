#include "src/engine/shaped_drafter.h"

#include <algorithm>

namespace gumbelspec {

ShapedDrafter::ShapedDrafter(const ModelLimits& draft, const Method& method)
    : max_leaves_(draft.max_leaves),
      max_pass_nodes_(draft.max_pass_nodes),
      method_(method),
      shape_(static_cast<std::size_t>(method.node_limit())),
      candidates_(kMaxChildren) {
  const auto n_nodes = static_cast<std::size_t>(method.node_limit());
  level_.reserve(n_nodes);
  next_.reserve(n_nodes);
  nodes_.reserve(n_nodes);
}

void ShapedDrafter::begin(DraftRound& round) {
  levels_.begin(round, static_cast<std::size_t>(method_.length));
  shape_.plan({.n_nodes = std::min(round.max_nodes, static_cast<std::size_t>(method_.node_limit())),
               .n_leaves = std::min(round.max_leaves, max_leaves_),
               .n_children = method_.kind == MethodKind::rejection_tree ? kMaxChildren : 1,
               .width = std::min(static_cast<std::size_t>(method_.width), max_pass_nodes_),
               .n_levels = static_cast<int>(levels_.n_levels())},
              rates());
  level_.clear();
  if (shape_.nodes()[0].n_children > 0) level_.push_back({0, 0});
}

PassOutcome ShapedDrafter::append(DraftRound& round, const DraftRoom& room,
                                  std::vector<PassNode>& pass) {
  nodes_.clear();
  for (const Placed& placed : level_) nodes_.push_back(placed.node);
  const PassOutcome outcome = levels_.append(round, nodes_, room, pass);
  level_.resize(nodes_.size());
  return outcome;
}

void ShapedDrafter::take(DraftRound& round) {
  levels_.take(round, nodes_);
  next_.clear();
  for (std::size_t i = 0; i < level_.size(); ++i) {
    add_children(round, level_[i], levels_.row(round, i));
  }
  level_.clear();
  for (const Placed& placed : next_) {
    if (shape_of(placed).n_children > 0) level_.push_back(placed);
  }
}

// They are worth what the shape says, whichever tokens they are.
void ShapedDrafter::add_children(DraftRound& round, const Placed& parent,
                                 std::span<const float> logits) {
  const ShapeNode& above = shape_of(parent);
  const std::span<Candidate> wanted =
      std::span(candidates_).first(static_cast<std::size_t>(above.n_children));
  const std::span<Candidate> children = wanted.first(draw(round, parent.node, logits, wanted));
  std::size_t node = round.proposals->size();
  int place = above.first_child;
  for (Candidate& child : children) {
    const ShapeNode& at = shape_.nodes()[static_cast<std::size_t>(place)];
    child.log_value = std::min(at.log_value - above.log_value, 0.0F);
    next_.push_back({node++, place});
    place = at.next_sibling;
  }
  round.proposals->propose(parent.node, round.proposals->source_at_its_word("candidates"),
                           children);
}

}  // namespace gumbelspec
