// The comparison with a reference: what it takes for rounding, and what it does not.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "apps/cli/forced_passes.h"
#include "apps/cli/row_distance.h"
#include "apps/cli/selftest_reference.h"
#include "gumbelspec/error.h"
#include "testing/table_model.h"
#include "testing/wrapped_model.h"

namespace gumbelspec::apps::cli {
namespace {

using testing::TableModel;
using testing::WrappedModel;
using Row = std::vector<float>;

TEST(RowDistance, IsTheDifferenceLessTheMeansOverTheRow) {
  const Row reference = {1.0F, -1.0F, 3.0F, -3.0F};
  const RowDistance same = row_distance(reference, reference);
  EXPECT_EQ(same.relative, 0.0);
  EXPECT_FALSE(same.is_other_choice);
  // A constant is no difference.
  EXPECT_EQ(row_distance(Row{6.0F, 4.0F, 8.0F, 2.0F}, reference).relative, 0.0);
  // Differences 1, -1, 0, 0 against 1, -1, 3, -3.
  const RowDistance near = row_distance(Row{2.0F, -2.0F, 3.0F, -3.0F}, reference);
  EXPECT_DOUBLE_EQ(near.relative, std::sqrt(2.0 / 20.0));
  EXPECT_EQ(near.largest, 1.0F);
}

TEST(RowDistance, TellsAnotherChoiceWithItsMargin) {
  const RowDistance other = row_distance(Row{1.5F, 1.0F, 0.0F}, Row{1.0F, 1.25F, 0.0F});
  EXPECT_TRUE(other.is_other_choice);
  EXPECT_EQ(other.margin, 0.25F);
}

TEST(RowDistance, TakesForbiddenTokensOnBothSidesOnly) {
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  EXPECT_EQ(row_distance(Row{1.0F, kNever, 2.0F}, Row{1.0F, kNever, 2.0F}).relative, 0.0);
  EXPECT_TRUE(std::isinf(row_distance(Row{1.0F, kNever, 2.0F}, Row{1.0F, 0.0F, 2.0F}).relative));
  EXPECT_TRUE(std::isinf(row_distance(Row{std::nanf(""), 1.0F}, Row{0.0F, 1.0F}).relative));
}

TEST(RowDistances, AreSummarized) {
  RowDistances rows;
  rows.add({0.1, 1.0F, false, 0.0F});
  rows.add({0.2, 3.0F, true, 0.5F});
  rows.add({0.6, 2.0F, true, 0.25F});
  EXPECT_EQ(rows.median(), 0.2);
  EXPECT_DOUBLE_EQ(rows.mean(), std::sqrt((0.01 + 0.04 + 0.36) / 3.0));
  EXPECT_EQ(rows.largest(), 3.0F);
  EXPECT_EQ(rows.n_other_choices(), 2U);
  EXPECT_EQ(rows.largest_margin(), 0.5F);
}

TableModel::Options table() {
  TableModel::Options options;
  options.n_vocab = 40;
  options.n_context = 256;
  return options;
}

std::vector<TokenId> some_text(std::size_t n) {
  std::mt19937 random(5);
  std::vector<TokenId> text(n);
  for (TokenId& token : text) token = token_id(random() % 40);
  return text;
}

// Built before the model that wraps it.
struct OwnTable {
  TableModel own{table()};
};

// A table's model whose rows are altered.
class Altered final : private OwnTable, public WrappedModel {
 public:
  using Change = std::function<void(Row& row, std::size_t n_nodes, bool is_tree)>;
  explicit Altered(Change change) : WrappedModel(own), change_(std::move(change)) {}

  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override {
    n_nodes_ = nodes.size();
    std::set<PendingId> parents;
    for (const PassNode& node : nodes) parents.insert(node.parent);
    is_tree_ = parents.size() < nodes.size();
    return model_.evaluate(nodes);
  }
  [[nodiscard]] std::span<const float> row(std::size_t i) const override {
    const auto row = model_.row(i);
    row_.assign(row.begin(), row.end());
    change_(row_, n_nodes_, is_tree_);
    return row_;
  }

 private:
  Change change_;
  mutable Row row_;
  std::size_t n_nodes_ = 0;
  bool is_tree_ = false;
};

Altered::Change rounding(float size) {
  auto random = std::make_shared<std::mt19937>(3);
  return [random, size](Row& row, std::size_t, bool) {
    std::normal_distribution<float> normal(0.0F, size);
    for (float& logit : row) logit += normal(*random);
  };
}

ReferenceResult compare(const Altered::Change& change) {
  Altered ours(change);
  Altered itself(rounding(0.003F));
  TableModel reference(table());
  return compare_with_reference(ours, itself, reference,
                                forced_text(some_text(160), 160, reference.limits()));
}

TEST(Reference, SeesAllKindsOfPassesAndNoDifferenceWhereThereIsNone) {
  const ReferenceResult result = compare([](Row&, std::size_t, bool) {});
  EXPECT_TRUE(result.passed());
  for (const RowDistances& kind : result.ours) {
    EXPECT_GE(kind.n_rows(), 20U);
    EXPECT_EQ(kind.mean(), 0.0);
  }
}

TEST(Reference, TakesSomewhatMoreRoundingThanLlamaCppsForRounding) {
  EXPECT_TRUE(compare(rounding(0.003F)).passed());
  EXPECT_TRUE(compare(rounding(0.007F)).passed());
}

// The negative controls: everything that follows is found out.
TEST(Reference, FindsNoiseThatIsNoRounding) { EXPECT_FALSE(compare(rounding(0.1F)).passed()); }

TEST(Reference, FindsRowsOfAnotherText) {
  EXPECT_FALSE(compare([](Row& row, std::size_t, bool) {
                 std::rotate(row.begin(), row.begin() + 1, row.end());
               }).passed());
}

TEST(Reference, FindsAForgottenFactor) {
  EXPECT_FALSE(compare([](Row& row, std::size_t, bool) {
                 for (float& logit : row) logit *= 1.05F;
               }).passed());
}

TEST(Reference, FindsAForgottenSoftCap) {
  EXPECT_FALSE(compare([](Row& row, std::size_t, bool) {
                 for (float& logit : row) logit = 2.0F * std::tanh(logit / 2.0F);
               }).passed());
}

TEST(Reference, FindsWhatIsWrongInOneKindOfPassAlone) {
  const auto wrong = [](Row& row) { std::reverse(row.begin(), row.end()); };
  const ReferenceResult trees = compare([&](Row& row, std::size_t, bool is_tree) {
    if (is_tree) wrong(row);
  });
  EXPECT_TRUE(trees.is_near(PassKind::many));
  EXPECT_TRUE(trees.is_near(PassKind::single));
  EXPECT_FALSE(trees.is_near(PassKind::tree));
  EXPECT_FALSE(trees.passed());
  const ReferenceResult singles = compare([&](Row& row, std::size_t n_nodes, bool) {
    if (n_nodes == 1) wrong(row);
  });
  EXPECT_FALSE(singles.is_near(PassKind::single));
  EXPECT_TRUE(singles.is_near(PassKind::many));
}

// A row that is right but for one token: the median does not move.
TEST(Reference, FindsAChoiceThatNoRoundingExplains) {
  std::size_t n_rows = 0;
  const ReferenceResult result = compare([&](Row& row, std::size_t, bool) {
    if (++n_rows == 50) row[7] += 5.0F;
  });
  EXPECT_FALSE(result.passed());
}

TEST(Reference, FindsAFewWrongRows) {
  std::size_t n_rows = 0;
  const ReferenceResult result = compare([&](Row& row, std::size_t, bool) {
    if (++n_rows % 10 == 0) row[1] -= 5.0F;
  });
  EXPECT_FALSE(result.passed());
}

TEST(Reference, HasALimitWhereLlamaCppDoesNotRound) {
  Altered ours(rounding(0.01F));
  Altered far(rounding(0.2F));
  TableModel itself(table());
  TableModel reference(table());
  const ForcedText text = forced_text(some_text(160), 160, reference.limits());
  EXPECT_TRUE(compare_with_reference(ours, itself, reference, text).passed());
  EXPECT_FALSE(compare_with_reference(far, itself, reference, text).passed());
}

TEST(Reference, FindsNumbersThatAreNone) {
  EXPECT_FALSE(compare([](Row& row, std::size_t, bool) { row[3] = std::nanf(""); }).passed());
}

TEST(Passes, ThatDependOnTheirSizeContradictAPromiseOnly) {
  PassesResult result;
  result.n_rows = 10;
  result.n_different = 1;
  result.said.holds = true;
  EXPECT_FALSE(result.passed());
  result.said.holds = false;
  EXPECT_TRUE(result.passed());
}

TEST(ForcedText, IsAsLongAsTheContextAllows) {
  ModelLimits limits;
  limits.n_context = 100;
  EXPECT_EQ(forced_text(some_text(10), 256, limits).tokens.size(), 76U);
  limits.n_context = 30;
  EXPECT_THROW((void)forced_text(some_text(10), 256, limits), Error);
}

}  // namespace
}  // namespace gumbelspec::apps::cli
