#include "gumbelspec/walk.h"

#include <gtest/gtest.h>

namespace gumbelspec {
namespace {

// root 1 -> {2 -> {4, 5}, 3}
DraftTree small_tree() {
  DraftTree tree;
  tree.reset(TokenId{1});
  const NodeId two = tree.add(kRoot, TokenId{2}, -0.5F);
  tree.add(kRoot, TokenId{3}, -1.0F);
  tree.add(two, TokenId{4}, -0.7F);
  tree.add(two, TokenId{5}, -0.9F);
  return tree;
}

WalkResult walk_with(const DraftTree& tree, const std::vector<int>& choices) {
  WalkResult result;
  walk(
      tree,
      [&](NodeId node) {
        return Choice{static_cast<TokenId>(choices[static_cast<std::size_t>(tree.depth(node))])};
      },
      result);
  return result;
}

TEST(Walk, FollowsTheTargetDownToALeaf) {
  const WalkResult result = walk_with(small_tree(), {2, 5, 9});
  EXPECT_EQ(result.path, (std::vector<NodeId>{kRoot, node_id(1), node_id(4)}));
  ASSERT_EQ(result.choices.size(), 3U);
  EXPECT_EQ(result.choices[2].token, TokenId{9});
  EXPECT_EQ(result.n_accepted(), 2U);
}

TEST(Walk, StopsWhereTheTargetLeavesTheTree) {
  const WalkResult result = walk_with(small_tree(), {2, 7, 9});
  EXPECT_EQ(result.path, (std::vector<NodeId>{kRoot, node_id(1)}));
  EXPECT_EQ(result.choices.back().token, TokenId{7});
}

TEST(Walk, AcceptsNothingIfTheRootsChoiceWasNotDrafted) {
  const WalkResult result = walk_with(small_tree(), {8});
  EXPECT_EQ(result.path, std::vector<NodeId>{kRoot});
  EXPECT_EQ(result.n_accepted(), 0U);
  ASSERT_EQ(result.choices.size(), 1U);
  EXPECT_EQ(result.choices[0].token, TokenId{8});
}

TEST(Walk, DoesNotTakeANodeOfAnotherParent) {
  // 4 hangs below 2 only.
  EXPECT_EQ(walk_with(small_tree(), {3, 4}).path, (std::vector<NodeId>{kRoot, node_id(2)}));
}

TEST(Walk, LooksOnlyAtVisitedNodes) {
  const DraftTree tree = small_tree();
  std::vector<NodeId> asked;
  WalkResult result;
  walk(
      tree,
      [&](NodeId node) {
        asked.push_back(node);
        return Choice{TokenId{3}};
      },
      result);
  EXPECT_EQ(asked, (std::vector<NodeId>{kRoot, node_id(2)}));
}

}  // namespace
}  // namespace gumbelspec
