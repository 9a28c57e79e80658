// The walk: which of the drafted tokens are the target's own, and what it says next.
#ifndef GUMBELSPEC_WALK_H_
#define GUMBELSPEC_WALK_H_

#include <concepts>
#include <vector>

#include "gumbelspec/draft_tree.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec {

struct WalkResult {
  std::vector<NodeId> path;     // the root, then the accepted nodes, downwards
  std::vector<Choice> choices;  // the target's choice at each node of the path

  [[nodiscard]] std::size_t n_accepted() const { return path.size() - 1; }
};

// Starts at the root, takes the target's choice at the current node and moves to the child that
// carries it, until no child does. The text grows by all the choices: accepted + 1 tokens.
//
// Exactness: choose(node) must depend only on the text up to the node and on the noise of its
// position, never on the tree. Then choices[i] is what plain decoding would have chosen there,
// whatever was drafted, because the walk accepts a node if and only if it equals the choice.
//
// Requires: choose(NodeId) -> Choice. Cost: one call per accepted node, plus one.
template <class Choose>
requires std::invocable<Choose&, NodeId>
void walk(const DraftTree& tree, Choose&& choose, WalkResult& result) {
  result.path.clear();
  result.choices.clear();
  for (NodeId node = kRoot; node != kNoNode;) {
    const Choice choice = choose(node);
    result.path.push_back(node);
    result.choices.push_back(choice);
    node = tree.child(node, choice.token);
  }
}

}  // namespace gumbelspec

#endif  // GUMBELSPEC_WALK_H_
