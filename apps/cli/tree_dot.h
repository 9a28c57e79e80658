// One round as a Graphviz graph.
#ifndef GUMBELSPEC_APPS_CLI_TREE_DOT_H_
#define GUMBELSPEC_APPS_CLI_TREE_DOT_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "gumbelspec/draft_tree.h"
#include "gumbelspec/walk.h"

namespace gumbelspec::apps::cli {

struct TreeSnapshot {
  std::uint32_t round = 0;
  DraftTree tree;
  WalkResult walk;
};

// Keeps one round of a session: the one asked for, or the first with the most accepted tokens.
class TreeRecorder {
 public:
  explicit TreeRecorder(std::optional<std::uint32_t> wanted_round) : wanted_(wanted_round) {}

  void see(std::uint32_t round, const DraftTree& tree, const WalkResult& walk);

  // Empty if that round never came.
  [[nodiscard]] const std::optional<TreeSnapshot>& snapshot() const { return snapshot_; }

 private:
  std::optional<std::uint32_t> wanted_;
  std::optional<TreeSnapshot> snapshot_;
};

// Nodes show token and value; the accepted path stands out; the target's choice behind it is
// dashed. piece: the bytes of a token.
[[nodiscard]] std::string tree_dot(const TreeSnapshot& snapshot,
                                   const std::function<std::string(TokenId)>& piece);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_TREE_DOT_H_
