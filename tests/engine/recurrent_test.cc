// Models whose state cannot branch and goes back a few tokens only: the in-memory model plays them,
// and checks that nothing else is asked of it.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "gumbelspec/batch.h"
#include "gumbelspec/costs.h"
#include "gumbelspec/session.h"
#include "testing/table_model.h"
#include "testing/wrapped_model.h"
#include "tests/engine/batch_fixture.h"

namespace gumbelspec {
namespace {

using testing::Job;
using testing::Seen;
using testing::TableModel;

constexpr TableModel::Options kModel{.n_vocab = 12, .n_context = 600};

std::shared_ptr<CostModel> cheap_draft() {
  const auto curve = [](double one) {
    return PassCost({{1, one}, {8, 1.2 * one}, {64, 3.0 * one}}, /*refines=*/false);
  };
  return std::make_shared<CostModel>(CostModel{curve(10e-3), curve(0.5e-3), true});
}

// n_snapshots: -1: a model that can branch.
struct Pair {
  TableModel target{kModel};
  TableModel draft;

  explicit Pair(int of_target, int of_draft = -1, float share = 0.7F)
      : draft(TableModel::draft_of(target, share, 5)) {
    if (of_target >= 0) target.become_recurrent(static_cast<std::size_t>(of_target));
    if (of_draft >= 0) draft.become_recurrent(static_cast<std::size_t>(of_draft));
  }
};

TextOptions options_of(const char* method, std::size_t n_tokens = 120) {
  return {.method = parse_method(method), .max_tokens = n_tokens};
}

struct Made {
  std::vector<TokenId> tokens;
  Statistics statistics;
  int depth = 0;             // of the deepest tree
  std::size_t n_leaves = 0;  // of the widest
};

Made run(LanguageModel& target, LanguageModel& draft, const char* method, std::uint64_t seed = 1) {
  const std::vector<TokenId> prompt = {TokenId{1}, TokenId{3}, TokenId{5}};
  TextOptions options = options_of(method);
  options.method = possible_method(options.method, target.limits(), draft.limits()).method;
  Session session(target, &draft, options, {.costs = cheap_draft()});
  Made result;
  Outcome outcome = session.start(prompt, seed);
  while (outcome == Outcome::running) {
    outcome = session.step();
    const DraftTree& tree = session.last_tree();
    result.n_leaves = std::max(result.n_leaves, tree.n_leaves());
    for (std::size_t i = 0; i < tree.size(); ++i) {
      result.depth = std::max(result.depth, tree.depth(node_id(i)));
    }
  }
  for (const GeneratedToken& t : session.generated()) result.tokens.push_back(t.token);
  result.statistics = session.statistics();
  return result;
}

constexpr int kTargets[] = {0, 1, 3, 5, 16};  // snapshots; 0: copies
const char* const kMethods[] = {
    "gumbel-chain:length=1", "gumbel-chain:length=3",        "gumbel-chain:length=30",
    "greedy-chain",          "gumbel-beam:width=4,length=4", "gumbel-tree:nodes=8",
    "gumbel-tree",
};

TEST(Recurrent, TextsAreThoseOfPlainDecoding) {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    Pair plain(-1);
    const std::vector<TokenId> expected = run(plain.target, plain.draft, "ar", seed).tokens;
    ASSERT_EQ(expected.size(), 120U);
    for (const float share : {1.0F, 0.7F, 0.0F}) {
      for (const int of_target : kTargets) {
        for (const int of_draft : {-1, 0}) {
          for (const char* method : kMethods) {
            Pair pair(of_target, of_draft, share);
            EXPECT_EQ(run(pair.target, pair.draft, method, seed).tokens, expected)
                << method << ", " << of_target << " snapshots, share " << share;
          }
        }
      }
    }
  }
}

TEST(Recurrent, DraftsServeTargetsThatBranch) {
  Pair plain(-1);
  const std::vector<TokenId> expected = run(plain.target, plain.draft, "ar").tokens;
  for (const char* method : kMethods) {
    Pair pair(-1, 0);
    const Made result = run(pair.target, pair.draft, method);
    EXPECT_EQ(result.tokens, expected) << method;
    EXPECT_GT(result.statistics.n_accepted, 0U) << method;
  }
}

TEST(Recurrent, ChainsAreNoLongerThanCanBeTakenBack) {
  for (const int of_target : kTargets) {
    if (of_target == 0) continue;
    for (const char* method : kMethods) {
      Pair pair(of_target, -1, 1.0F);
      const Made result = run(pair.target, pair.draft, method);
      EXPECT_LE(result.depth, of_target) << method;
      EXPECT_LE(result.n_leaves, 1U) << method;
      EXPECT_GT(result.statistics.n_drafted, 0U) << method;
    }
  }
}

// A chain of rejection sampling draws the same numbers, however its tokens are dropped.
TEST(Recurrent, RejectionDecidesAsItDoesElsewhere) {
  for (const char* method : {"rejection:length=1", "rejection:length=4"}) {
    for (std::uint64_t seed = 1; seed <= 5; ++seed) {
      Pair plain(-1);
      const std::vector<TokenId> expected = run(plain.target, plain.draft, method, seed).tokens;
      for (const int of_target : {0, 4, 9}) {
        Pair pair(of_target, of_target == 0 ? 0 : -1);
        EXPECT_EQ(run(pair.target, pair.draft, method, seed).tokens, expected) << method;
      }
    }
  }
}

TEST(Recurrent, WhateverMixesMethodsStaysAChain) {
  for (const int of_target : {0, 3}) {
    Pair pair(of_target, 0);
    TextOptions options = options_of("gumbel-tree", 400);
    options.guarantee = Guarantee::distribution;
    Session session(pair.target, &pair.draft, options, {.costs = cheap_draft()});
    const std::vector<TokenId> prompt = {TokenId{1}};
    Outcome outcome = session.start(prompt, 3);
    while (outcome == Outcome::running) {
      outcome = session.step();
      EXPECT_LE(session.last_tree().n_leaves(), 1U);
    }
    EXPECT_GT(session.statistics().tokens_per_pass(), 1.3);
  }
}

TEST(Recurrent, PlannedChainsDraftWhereItPays) {
  Pair pair(5, 0, 1.0F);
  EXPECT_GT(run(pair.target, pair.draft, "gumbel-tree").statistics.tokens_per_pass(), 3.0);
}

TEST(Recurrent, AcceptedTokensAreReadAgainAfterOthersWereDropped) {
  Pair copies(0, -1, 0.0F);
  run(copies.target, copies.draft, "gumbel-chain:length=4");
  EXPECT_GT(copies.target.n_reread(), 0U);
  Pair snapshots(4, -1, 0.0F);
  run(snapshots.target, snapshots.draft, "gumbel-chain:length=4");
  EXPECT_EQ(snapshots.target.n_reread(), 0U);
}

// Says that it can do more than the model can.
class Boaster final : public testing::WrappedModel {
 public:
  Boaster(LanguageModel& model, std::size_t max_drop, bool can_branch) : WrappedModel(model) {
    limits_ = model.limits();
    limits_.max_drop = max_drop;
    limits_.can_branch = can_branch;
    if (can_branch) limits_.max_leaves = 64;
  }
  [[nodiscard]] const ModelLimits& limits() const override { return limits_; }

 private:
  ModelLimits limits_;
};

// What keeps the engine within the limits is asked for: without it the model is asked too much.
TEST(Recurrent, TheModelNoticesWhoGoesTooFar) {
  Pair deep(2, -1, 0.0F);
  Boaster too_deep(deep.target, 6, false);
  EXPECT_THROW(run(too_deep, deep.draft, "gumbel-chain:length=6"), std::logic_error);
  Pair wide(6, -1, 0.5F);
  Boaster too_wide(wide.target, 6, true);
  EXPECT_THROW(run(too_wide, wide.draft, "gumbel-beam:width=4,length=4"), std::logic_error);
}

TEST(Recurrent, CostsCanBeMeasured) {
  for (const int snapshots : {0, 1, 5}) {
    Pair pair(snapshots, 0);
    const CostModel costs = measure_costs(pair.target, pair.draft, {.budget_s = 0.05});
    EXPECT_TRUE(costs.target.is_known());
    EXPECT_TRUE(costs.draft.is_known());
  }
}

// Several texts.

std::vector<Job> jobs_of(const char* method, std::size_t n) {
  std::vector<Job> jobs;
  for (std::size_t i = 0; i < n; ++i) {
    Job job;
    for (std::size_t k = 0; k <= 3 + 40 * i; ++k) job.prompt.push_back(token_id((k * k + i) % 12));
    job.options = options_of(method, 40 + 15 * i);
    job.options.seed = i;
    jobs.push_back(std::move(job));
  }
  return jobs;
}

TEST(Recurrent, TextsOfABatchAreThoseOfASession) {
  for (const int of_target : {0, 1, 4}) {
    for (const int of_draft : {-1, 0}) {
      for (const char* method : {"gumbel-chain:length=3", "gumbel-tree", "ar"}) {
        Pair pair(of_target, of_draft);
        pair.target.mutable_limits().n_sequences = 4;
        Batch batch(pair.target, &pair.draft,
                    {.prompt_tokens_per_round = 32, .costs = cheap_draft()});
        const std::vector<Job> jobs = jobs_of(method, 7);
        std::vector<testing::Added> added;
        for (const Job& job : jobs) added.push_back(testing::add(batch, job));
        while (batch.step()) {
        }
        for (std::size_t i = 0; i < jobs.size(); ++i) {
          Pair alone(-1);
          Job plain = jobs[i];
          plain.options.method = parse_method("ar");
          EXPECT_EQ(added[i].seen->tokens,
                    testing::run_alone(alone.target, nullptr, plain, nullptr).tokens)
              << method << ", text " << i << ", " << of_target << " snapshots";
        }
      }
    }
  }
}

TEST(Recurrent, SeveralTextsAreDecodedAtOnce) {
  Pair pair(4);
  pair.target.mutable_limits().n_sequences = 4;
  Batch batch(pair.target, nullptr, {});
  for (const Job& job : jobs_of("ar", 4)) testing::add(batch, job);
  for (int i = 0; i < 20; ++i) (void)batch.step();
  EXPECT_EQ(batch.statistics().n_active, 4U);
}

// A chat: each turn's prompt is the last one, the answer, and something new.
struct Turn {
  std::size_t n_prompt = 0;
  std::size_t n_reused = 0;
};

std::vector<Turn> chat(int of_target, int of_draft, bool rewrites_answers) {
  Pair pair(of_target, of_draft);
  pair.target.mutable_limits().n_sequences = 2;
  Batch batch(pair.target, &pair.draft, {.prompt_tokens_per_round = 64, .costs = cheap_draft()});
  std::vector<TokenId> text;
  std::vector<Turn> turns;
  for (std::size_t turn = 0; turn < 5; ++turn) {
    for (std::size_t k = 0; k < 70; ++k) text.push_back(token_id((k * k + turn) % 12));
    Job job{text, options_of("gumbel-tree", 20)};
    const testing::Added added = testing::add(batch, job);
    while (batch.step()) {
    }
    turns.push_back({text.size(), added.seen->n_reused});
    Pair alone(-1);
    job.options.method = parse_method("ar");
    EXPECT_EQ(added.seen->tokens, testing::run_alone(alone.target, nullptr, job, nullptr).tokens);
    // As a template does that leaves out what the model thought.
    const std::size_t n_left_out = rewrites_answers ? 5 : 0;
    text.insert(text.end(), added.seen->tokens.begin() + static_cast<std::ptrdiff_t>(n_left_out),
                added.seen->tokens.end());
  }
  return turns;
}

TEST(Recurrent, ATurnOfAChatReadsWhatIsNew) {
  for (const int of_target : {0, 4}) {
    for (const bool rewrites : {false, true}) {
      const std::vector<Turn> turns = chat(of_target, 0, rewrites);
      for (std::size_t i = 1; i < turns.size(); ++i) {
        // The answer and the new message, and a few tokens before.
        EXPECT_LE(turns[i].n_prompt - turns[i].n_reused, 70U + 20U + 9U) << i;
      }
    }
  }
}

// Without places to go back to, the whole conversation is read: the test above sees the difference.
TEST(Recurrent, AChatIsReadAgainWhereNothingIsRemembered) {
  class Forgetful final : public testing::WrappedModel {
   public:
    using WrappedModel::WrappedModel;
    void remember(SeqId /*seq*/) override {}
  };
  Pair pair(4);
  Forgetful target(pair.target);
  Batch batch(target, nullptr, {});
  std::vector<TokenId> prompt(100, TokenId{3});
  while (batch.step()) {
  }
  for (const bool is_second : {false, true}) {
    if (is_second) prompt.resize(150, TokenId{4});
    const testing::Added added = testing::add(batch, {prompt, options_of("ar", 10)});
    while (batch.step()) {
    }
    EXPECT_EQ(added.seen->n_reused, 0U);
  }
}

}  // namespace
}  // namespace gumbelspec
