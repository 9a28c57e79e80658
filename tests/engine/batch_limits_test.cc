// Batches at the limits of their models, and beyond.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "testing/table_model.h"
#include "testing/wrapped_model.h"
#include "tests/engine/batch_fixture.h"
#include "tests/engine/table_pair.h"

namespace gumbelspec {
namespace {

using testing::add;
using testing::Added;
using testing::finish;
using testing::Job;
using testing::TableModel;
using testing::TablePair;
using testing::WrappedModel;

// A cache that is smaller than its sequences together.
class SmallCache final : public WrappedModel {
 public:
  SmallCache(LanguageModel& model, std::size_t n_cells) : WrappedModel(model), n_cells_(n_cells) {}
  SeqId open() override {
    const SeqId seq = model_.open();
    open_.insert(seq);
    return seq;
  }
  void close(SeqId seq) override {
    model_.close(seq);
    open_.erase(seq);
  }
  PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override {
    return has_room(tokens.size()) ? model_.extend(seq, tokens) : PassOutcome::no_space;
  }
  PassOutcome evaluate(std::span<const PassNode> nodes) override {
    return has_room(nodes.size()) ? model_.evaluate(nodes) : PassOutcome::no_space;
  }

 private:
  bool has_room(std::size_t n) const {
    for (const SeqId seq : open_) n += model_.n_committed(seq);
    return n <= n_cells_;
  }
  std::size_t n_cells_;
  std::set<SeqId> open_;
};

TEST(Batch, ForgetsOldTextsWhereTheCacheIsFull) {
  TablePair pair;
  SmallCache target(pair.target, 150);
  SmallCache draft(pair.draft, 140);
  Batch batch(target, &draft, {.costs = pair.costs});
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    const Job job = pair.job(30, seed, seed % 2 == 0 ? "gumbel-tree" : "gumbel-beam");
    const Added text = add(batch, job);
    finish(batch);
    pair.expect_alone(job, *text.seen);
    EXPECT_LE(batch.statistics().n_cached_tokens, 150U);
  }
}

TEST(Batch, EndsTheLastTextWhereTheCacheCannotHoldAll) {
  TablePair pair;
  SmallCache target(pair.target, 120);
  Batch batch(target, &pair.draft, {.costs = pair.costs});
  const Job a = pair.job(30, 1);
  const Job b = pair.job(30, 2);
  const Added first = add(batch, a);
  const Added second = add(batch, b);
  finish(batch);
  pair.expect_alone(a, *first.seen);
  EXPECT_EQ(second.seen->outcome, Outcome::context_full);
  EXPECT_FALSE(second.seen->error);
}

// Fails in one of its passes.
class FailingModel final : public WrappedModel {
 public:
  FailingModel(LanguageModel& model, std::size_t fails_at) : WrappedModel(model), n_(fails_at) {}
  PassOutcome evaluate(std::span<const PassNode> nodes) override {
    if (n_-- == 0) throw Error(ErrorCode::evaluation_failed, "the pass failed");
    return model_.evaluate(nodes);
  }

 private:
  std::size_t n_;
};

TEST(Batch, GoesOnAfterAPassThatFailed) {
  for (const bool is_draft : {false, true}) {
    TablePair pair;
    FailingModel target(pair.target, is_draft ? 1000 : 4);
    FailingModel draft(pair.draft, is_draft ? 9 : 1000);
    Batch batch(target, &draft, {.costs = pair.costs});
    const Added first = add(batch, pair.job(5, 1));
    const Added second = add(batch, pair.job(5, 2, "gumbel-beam"));
    finish(batch);
    for (const Added& text : {first, second}) {
      ASSERT_TRUE(text.seen->error) << is_draft;
      EXPECT_EQ(text.seen->error->code(), ErrorCode::evaluation_failed);
    }
    const Job job = pair.job(5, 1);
    const Added third = add(batch, job);
    finish(batch);
    EXPECT_EQ(third.seen->n_reused, 0U);
    pair.expect_alone(job, *third.seen);
  }
}

// Checks what a pass may hold, over everything that is pending.
class CheckedLimits final : public WrappedModel {
 public:
  using WrappedModel::WrappedModel;
  PassOutcome evaluate(std::span<const PassNode> nodes) override {
    EXPECT_LE(nodes.size(), limits().max_pass_nodes);
    for (const PassNode& node : nodes) pending_[node.seq].push_back(node.parent);
    std::size_t n_leaves = 0;
    for (const auto& [seq, parents] : pending_) {
      const std::set<PendingId> inner(parents.begin(), parents.end());
      n_leaves += parents.size() + (inner.count(kCommitted) > 0 ? 1 : 0) - inner.size();
    }
    EXPECT_LE(n_leaves, limits().max_leaves);
    n_most_leaves_ = std::max(n_most_leaves_, n_leaves);
    return model_.evaluate(nodes);
  }
  void commit(SeqId seq, std::span<const PendingId> path) override {
    pending_.erase(seq);
    model_.commit(seq, path);
  }
  void truncate(SeqId seq, std::size_t n) override {
    pending_.erase(seq);
    model_.truncate(seq, n);
  }
  [[nodiscard]] std::size_t n_most_leaves() const { return n_most_leaves_; }

 private:
  std::map<SeqId, std::vector<PendingId>> pending_;
  std::size_t n_most_leaves_ = 0;
};

TEST(Batch, KeepsToTheModelsLimitsWithManyLargeTrees) {
  for (const std::size_t max_leaves : {20, 32, 64}) {
    TablePair pair(16);
    for (TableModel* model : {&pair.target, &pair.draft}) {
      model->mutable_limits().max_leaves = max_leaves;
      model->mutable_limits().max_pass_nodes = 60;
    }
    CheckedLimits target(pair.target);
    CheckedLimits draft(pair.draft);
    Batch batch(target, &draft, {.costs = pair.costs});
    std::vector<std::pair<Job, Added>> texts;
    for (std::uint64_t i = 0; i < 20; ++i) {
      const char* const methods[] = {"gumbel-tree:nodes=50", "gumbel-beam:width=8,length=4",
                                     "gumbel-tree"};
      const Job job = pair.job(5, i + 1, methods[i % 3]);
      texts.emplace_back(job, add(batch, job));
    }
    finish(batch);
    // Passes of 60 nodes have hardly room for more.
    EXPECT_GT(target.n_most_leaves(), std::min<std::size_t>(max_leaves - 4, 30));
    for (const auto& [job, text] : texts) pair.expect_alone(job, *text.seen);
  }
}

TEST(Batch, StopsDraftingWhereTheTextsAloneFillTheMachine) {
  const auto drafted_per_token = [](std::size_t n_texts) {
    TablePair pair;
    // Free up to 8 tokens, then each costs as much as one text's plain round.
    pair.costs = std::make_shared<CostModel>(
        CostModel{PassCost({{1, 1.0}, {8, 1.0}, {16, 2.0}, {256, 32.0}}, false),
                  PassCost({{1, 0.02}, {8, 0.02}, {64, 0.2}}, false)});
    Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
    std::vector<Added> texts;
    for (std::uint64_t i = 0; i < n_texts; ++i) {
      texts.push_back(add(batch, pair.job(5, i + 1, "gumbel-tree", 100)));
    }
    finish(batch);
    return static_cast<double>(batch.statistics().n_drafted) /
           static_cast<double>(batch.statistics().n_generated);
  };
  EXPECT_GT(drafted_per_token(1), 0.5);
  EXPECT_GT(drafted_per_token(3), 0.3);
  EXPECT_LT(drafted_per_token(16), 0.1);
}

}  // namespace
}  // namespace gumbelspec
