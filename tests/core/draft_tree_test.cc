#include "gumbelspec/draft_tree.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <vector>

namespace gumbelspec {
namespace {

// A random tree and the same as plain paths of tokens: the oracle.
struct RandomTree {
  DraftTree tree;
  std::vector<std::vector<int>> paths;  // per node

  explicit RandomTree(std::uint64_t seed, std::size_t n_nodes = 40) {
    std::mt19937_64 random(seed);
    tree.reset(TokenId{100});
    paths.push_back({});
    std::set<std::vector<int>> known = {{}};
    while (tree.size() < n_nodes) {
      const std::size_t parent = random() % tree.size();
      std::vector<int> path = paths[parent];
      path.push_back(static_cast<int>(random() % 5));
      if (!known.insert(path).second) continue;
      const float value =
          tree.log_value(node_id(parent)) - static_cast<float>(random() % 1000) / 100.0F;
      tree.add(node_id(parent), static_cast<TokenId>(path.back()), value);
      paths.push_back(path);
    }
  }
};

TEST(DraftTree, KeepsTokensParentsAndDepths) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const RandomTree r(seed);
    for (std::size_t i = 0; i < r.tree.size(); ++i) {
      const NodeId node = node_id(i);
      EXPECT_EQ(r.tree.depth(node), static_cast<int>(r.paths[i].size()));
      std::vector<TokenId> tokens(r.paths[i].size());
      r.tree.path_tokens(node, tokens);
      for (std::size_t j = 0; j < tokens.size(); ++j) {
        EXPECT_EQ(tokens[j], static_cast<TokenId>(r.paths[i][j]));
      }
      if (i > 0) {
        EXPECT_LT(index(r.tree.parent(node)), i) << "parents come first";
      }
    }
  }
}

TEST(DraftTree, FindsEveryChildAndNoOther) {
  const RandomTree r(7);
  std::map<std::vector<int>, std::size_t> by_path;
  for (std::size_t i = 0; i < r.paths.size(); ++i) by_path[r.paths[i]] = i;
  for (std::size_t i = 0; i < r.tree.size(); ++i) {
    for (int token = 0; token < 6; ++token) {
      std::vector<int> path = r.paths[i];
      path.push_back(token);
      const auto found = by_path.find(path);
      const NodeId expected = found == by_path.end() ? kNoNode : node_id(found->second);
      EXPECT_EQ(r.tree.child(node_id(i), static_cast<TokenId>(token)), expected);
    }
  }
}

TEST(DraftTree, RefusesASecondChildOfTheSameToken) {
  DraftTree tree;
  tree.reset(TokenId{1});
  tree.add(kRoot, TokenId{2}, -1.0F);
  EXPECT_THROW(tree.add(kRoot, TokenId{2}, -2.0F), std::logic_error);
  EXPECT_THROW(tree.add(node_id(5), TokenId{2}, -2.0F), std::logic_error);
}

TEST(DraftTree, PruningKeepsPathsAndOrder) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    RandomTree r(seed);
    std::mt19937_64 random(seed + 1000);
    std::vector<char> keep(r.tree.size(), 0);
    keep[0] = 1;
    for (std::size_t i = 1; i < keep.size(); ++i) {
      keep[i] = keep[index(r.tree.parent(node_id(i)))] != 0 && random() % 3 != 0 ? 1 : 0;
    }
    std::vector<NodeId> new_ids(r.tree.size());
    r.tree.prune(keep, new_ids);
    std::size_t n = 0;
    for (std::size_t i = 0; i < keep.size(); ++i) {
      if (keep[i] == 0) {
        EXPECT_EQ(new_ids[i], kNoNode);
        continue;
      }
      ASSERT_EQ(new_ids[i], node_id(n++));
      std::vector<TokenId> tokens(r.paths[i].size());
      r.tree.path_tokens(new_ids[i], tokens);
      NodeId walked = kRoot;
      for (std::size_t j = 0; j < tokens.size(); ++j) {
        EXPECT_EQ(tokens[j], static_cast<TokenId>(r.paths[i][j]));
        walked = r.tree.child(walked, tokens[j]);
      }
      EXPECT_EQ(walked, new_ids[i]);
    }
    EXPECT_EQ(r.tree.size(), n);
  }
}

TEST(DraftTree, PruningRefusesToOrphanANode) {
  DraftTree tree;
  tree.reset(TokenId{1});
  tree.add(tree.add(kRoot, TokenId{2}, -1.0F), TokenId{3}, -2.0F);
  std::vector<NodeId> ids(3);
  EXPECT_THROW(tree.prune(std::vector<char>{1, 0, 1}, ids), std::logic_error);
  EXPECT_THROW(tree.prune(std::vector<char>{0, 1, 1}, ids), std::logic_error);
}

TEST(MarkBest, KeepsTheNodesOfHighestValue) {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const RandomTree r(seed);
    std::vector<char> keep(r.tree.size());
    mark_best(r.tree, 12, 255, keep);
    std::vector<float> values;
    float worst_kept = 0.0F;
    std::size_t n = 0;
    for (std::size_t i = 1; i < keep.size(); ++i) {
      const float value = r.tree.log_value(node_id(i));
      values.push_back(value);
      if (keep[i] == 0) continue;
      ++n;
      worst_kept = std::min(worst_kept, value);
      EXPECT_NE(keep[index(r.tree.parent(node_id(i)))], 0);
    }
    EXPECT_EQ(n, 12U);
    std::sort(values.begin(), values.end(), std::greater<>());
    EXPECT_EQ(worst_kept, values[11]);
  }
}

TEST(MarkBest, LimitsTheLeaves) {
  for (const std::size_t limit : {0, 1, 3, 10}) {
    RandomTree r(3);
    std::vector<char> keep(r.tree.size());
    mark_best(r.tree, 255, limit, keep);
    std::vector<NodeId> ids(r.tree.size());
    r.tree.prune(keep, ids);
    EXPECT_LE(r.tree.n_drafted() == 0 ? 0 : r.tree.n_leaves(), limit);
    if (limit > 0) {
      EXPECT_GT(r.tree.n_drafted(), 0U);
    }
  }
}

}  // namespace
}  // namespace gumbelspec
