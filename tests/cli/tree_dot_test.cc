#include "apps/cli/tree_dot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

namespace gumbelspec::apps::cli {
namespace {

using ::testing::HasSubstr;

// root - 1 - 2
//      \ 3
// The walk accepts 1, then the target says token 9, which is not in the tree.
class TreeDot : public ::testing::Test {
 protected:
  TreeDot() {
    tree_.reset(TokenId{5});
    const NodeId accepted = tree_.add(kRoot, TokenId{1}, std::log(0.5F));
    tree_.add(accepted, TokenId{2}, std::log(0.25F));
    tree_.add(kRoot, TokenId{3}, std::log(0.0001F));
    walk_.path = {kRoot, accepted};
    walk_.choices = {{.token = TokenId{1}}, {.token = TokenId{9}}};
  }
  [[nodiscard]] std::string dot(const std::string& piece) const {
    return tree_dot({7, tree_, walk_},
                    [&](TokenId token) { return piece + std::to_string(index(token)); });
  }

  DraftTree tree_;
  WalkResult walk_;
};

TEST_F(TreeDot, HasEachNodeAndEachEdgeOnce) {
  const std::string text = dot("t");
  EXPECT_THAT(text, HasSubstr("n0 [label=\"t5\""));
  EXPECT_THAT(text, HasSubstr("n1 [label=\"t1\\n0.50\""));
  EXPECT_THAT(text, HasSubstr("n2 [label=\"t2\\n0.25\""));
  EXPECT_THAT(text, HasSubstr("n3 [label=\"t3\\n<0.001\""));
  EXPECT_THAT(text, HasSubstr("n1 -> n2;"));
  EXPECT_THAT(text, HasSubstr("n0 -> n3;"));
  EXPECT_THAT(text, HasSubstr("round 7: 3 tokens drafted, 1 accepted"));
}

TEST_F(TreeDot, HighlightsTheAcceptedPathAndDashesTheTargetsOwnToken) {
  const std::string text = dot("t");
  EXPECT_THAT(text, HasSubstr("n0 -> n1 [color"));
  EXPECT_THAT(text, HasSubstr("choice [label=\"t9\""));
  EXPECT_THAT(text, HasSubstr("n1 -> choice [style=dashed"));
}

TEST_F(TreeDot, EscapesWhatTheLanguageTakesForItsOwn) {
  EXPECT_THAT(dot("\"\\"), HasSubstr("n0 [label=\"\\\"\\\\5\""));
  EXPECT_THAT(dot(" "), HasSubstr("n0 [label=\"\xE2\x90\xA3"
                                  "5\""));
  EXPECT_THAT(dot("\n"), HasSubstr("n0 [label=\"\\\\n5\""));
  EXPECT_THAT(dot("\xE2"), HasSubstr("n0 [label=\"\\\\xE25\""));
}

TEST_F(TreeDot, TheRecorderKeepsTheFirstRoundWithTheMostAccepted) {
  WalkResult none;
  none.path = {kRoot};
  none.choices = {{.token = TokenId{1}}};
  TreeRecorder recorder(std::nullopt);
  EXPECT_FALSE(recorder.snapshot().has_value());
  recorder.see(0, tree_, none);
  recorder.see(1, tree_, walk_);
  recorder.see(2, tree_, walk_);
  recorder.see(3, tree_, none);
  ASSERT_TRUE(recorder.snapshot().has_value());
  EXPECT_EQ(recorder.snapshot()->round, 1U);
}

TEST_F(TreeDot, TheRecorderKeepsTheRoundAskedFor) {
  TreeRecorder recorder(2);
  for (std::uint32_t round = 0; round < 4; ++round) recorder.see(round, tree_, walk_);
  ASSERT_TRUE(recorder.snapshot().has_value());
  EXPECT_EQ(recorder.snapshot()->round, 2U);
}

}  // namespace
}  // namespace gumbelspec::apps::cli
