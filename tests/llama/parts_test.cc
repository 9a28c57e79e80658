// The parts of the llama layer that need no model.
#include <gtest/gtest.h>

#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "src/llama/cpu_topology.h"
#include "src/llama/pass_plan.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

// The leaves below each node, found the slow way.
std::vector<std::set<std::size_t>> leaves_below(const std::vector<std::int32_t>& parents) {
  std::vector<bool> has_child(parents.size(), false);
  for (const std::int32_t parent : parents) {
    if (parent >= 0) has_child[static_cast<std::size_t>(parent)] = true;
  }
  std::vector<std::set<std::size_t>> below(parents.size());
  for (std::size_t i = 0; i < parents.size(); ++i) {
    if (has_child[i]) continue;
    for (auto up = static_cast<std::int32_t>(i); up >= 0;
         up = parents[static_cast<std::size_t>(up)]) {
      below[static_cast<std::size_t>(up)].insert(i);
    }
  }
  return below;
}

TEST(PassPlan, SlicesOfTheLeafListAreTheLeavesBelowEachNode) {
  std::mt19937 random(7);
  PassPlan plan;
  for (int repeat = 0; repeat < 200; ++repeat) {
    const std::size_t n = 1 + random() % 40;
    std::vector<std::int32_t> parents;
    for (std::size_t i = 0; i < n; ++i) {
      parents.push_back(static_cast<std::int32_t>(random() % (i + 1)) - 1);
    }
    plan.build(parents);
    ASSERT_EQ(plan.slots().size(), n);
    std::vector<std::size_t> leaf_node(plan.n_leaves(), n);
    const auto below = leaves_below(parents);
    for (const PassPlan::Slot& slot : plan.slots()) {
      const auto node = static_cast<std::size_t>(slot.node);
      if (below[node].count(node) > 0) leaf_node[static_cast<std::size_t>(slot.first_leaf)] = node;
    }
    for (std::size_t s = 0; s < n; ++s) {
      const PassPlan::Slot& slot = plan.slots()[s];
      const auto node = static_cast<std::size_t>(slot.node);
      EXPECT_EQ(static_cast<std::size_t>(plan.slot_of()[node]), s);
      if (parents[node] >= 0) {
        EXPECT_LT(plan.slot_of()[static_cast<std::size_t>(parents[node])], plan.slot_of()[node]);
      }
      std::set<std::size_t> slice;
      for (std::int32_t k = 0; k < slot.n_leaves; ++k) {
        slice.insert(leaf_node[static_cast<std::size_t>(slot.first_leaf + k)]);
      }
      EXPECT_EQ(slice, below[node]);
    }
  }
}

TEST(PassPlan, VisitsTheFirstPathFirst) {
  PassPlan plan;
  // Levels: 0 -> 1, 2; 1 -> 3; 2 -> 4.
  plan.build(std::vector<std::int32_t>{-1, 0, 0, 1, 2});
  std::vector<std::int32_t> order;
  for (const PassPlan::Slot& slot : plan.slots()) order.push_back(slot.node);
  EXPECT_EQ(order, (std::vector<std::int32_t>{0, 1, 3, 2, 4}));
}

TEST(PassPlan, TakesAForest) {
  PassPlan plan;
  plan.build(std::vector<std::int32_t>{-1, -1, 1});
  EXPECT_EQ(plan.n_leaves(), 2U);
  EXPECT_EQ(plan.slots()[2].top, 1);
  plan.build({});
  EXPECT_EQ(plan.slots().size(), 0U);
}

TEST(Utf8, FindsTheFirstByteThatIsNotPartOfACharacter) {
  EXPECT_FALSE(first_invalid_utf8(""));
  EXPECT_FALSE(first_invalid_utf8("plain, \xC3\xA9, \xE2\x82\xAC, \xF0\x9F\x98\x80"));
  EXPECT_EQ(first_invalid_utf8("ab\xFFz"), 2U);
  EXPECT_EQ(first_invalid_utf8("a\xC3"), 1U) << "cut short";
  EXPECT_EQ(first_invalid_utf8("\xC0\x80"), 0U) << "overlong";
  EXPECT_EQ(first_invalid_utf8("\xE0\x80\x80"), 0U) << "overlong";
  EXPECT_EQ(first_invalid_utf8("\xED\xA0\x80"), 0U) << "surrogate";
  EXPECT_EQ(first_invalid_utf8("\xF4\x90\x80\x80"), 0U) << "above U+10FFFF";
  EXPECT_EQ(first_invalid_utf8("\x80"), 0U);
}

TEST(Utf8, PrintsEverythingOnOneLine) {
  EXPECT_EQ(printable("a\n\"\xC3\xA9\xFF"), "\"a\\x0a\\x22\xC3\xA9\\xff\"");
}

TEST(CpuTopology, CountsAtLeastOneCore) { EXPECT_GE(n_physical_cores(), 1); }

}  // namespace
}  // namespace gumbelspec::internal
