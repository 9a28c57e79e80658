// How a batch treats its texts: their order, shared passes, prompts, cancelling, constraints.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <memory>
#include <vector>

#include "testing/table_model.h"
#include "tests/engine/batch_fixture.h"
#include "tests/engine/table_pair.h"

namespace gumbelspec {
namespace {

using testing::add;
using testing::Added;
using testing::finish;
using testing::Job;
using testing::kVocab;
using testing::Seen;
using testing::TableModel;
using testing::TablePair;

TEST(Batch, TakesTextsInTheOrderOfTheirComing) {
  TablePair pair;
  Batch batch(pair.target, &pair.draft, {.max_active = 2, .costs = pair.costs});
  std::vector<Added> texts;
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < 5; ++i) {
    auto seen = std::make_shared<Seen>();
    seen->on_round = [&order, i] {
      if (std::find(order.begin(), order.end(), i) == order.end()) order.push_back(i);
    };
    texts.push_back(add(batch, pair.job(4, i + 1), seen));
  }
  EXPECT_EQ(batch.statistics().n_waiting, 5U);
  EXPECT_TRUE(batch.step());
  EXPECT_EQ(batch.statistics().n_active, 2U);
  EXPECT_EQ(batch.statistics().n_waiting, 3U);
  finish(batch);
  EXPECT_EQ(order, (std::vector<std::size_t>{0, 1, 2, 3, 4}));
}

TEST(Batch, SharesOnePassOfTheTargetAndOneOfTheDraftPerLevel) {
  TablePair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  std::vector<Added> texts;
  for (std::uint64_t i = 0; i < 8; ++i) {
    texts.push_back(add(
        batch, pair.job(4, i + 1, i % 2 == 0 ? "gumbel-beam" : "gumbel-tree:length=5,nodes=12")));
  }
  finish(batch);
  const BatchStatistics& statistics = batch.statistics();
  EXPECT_EQ(pair.target.n_passes(), statistics.n_rounds);
  EXPECT_LE(pair.draft.n_passes(), 5 * statistics.n_rounds);
  EXPECT_EQ(statistics.n_generated, 8U * 40U);
  std::size_t n_passes = 0;
  for (const Added& text : texts) n_passes += text.seen->statistics.n_target_passes;
  EXPECT_GT(n_passes, 4 * statistics.n_rounds);
}

TEST(Batch, DoesNotLetALongPromptStopTheOthers) {
  TablePair pair(64, 400);
  Batch batch(pair.target, &pair.draft, {.prompt_tokens_per_round = 8, .costs = pair.costs});
  const Added quick = add(batch, pair.job(3, 1, "ar", 100));
  batch.step();
  const Added slow = add(batch, pair.job(300, 2, "ar", 5));
  for (int i = 0; i < 30; ++i) {
    const std::size_t n_before = quick.seen->tokens.size();
    batch.step();
    EXPECT_EQ(quick.seen->tokens.size(), n_before + 1);
    EXPECT_TRUE(slow.seen->tokens.empty());
    EXPECT_EQ(slow.seen->n_prompt_done, std::size_t{8} * static_cast<std::size_t>(i + 1));
  }
  // A short prompt overtakes it.
  const Added third = add(batch, pair.job(4, 3, "ar", 5));
  batch.step();
  batch.step();
  EXPECT_GE(third.seen->tokens.size(), 1U);
  finish(batch);
  EXPECT_EQ(slow.seen->n_prompt_done, 300U);
  EXPECT_EQ(slow.seen->outcome, Outcome::length);
}

TEST(Batch, ReusesThePromptAndWhatWasGenerated) {
  TablePair pair(4);
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  const Job first = pair.job(20, 1);
  const Added one = add(batch, first);
  finish(batch);
  Job second = pair.job(1, 2);
  second.prompt = first.prompt;
  second.prompt.insert(second.prompt.end(), one.seen->tokens.begin(), one.seen->tokens.end());
  second.prompt.push_back(TokenId{2});
  const std::size_t n_draft_before = pair.draft.committed(SeqId{0}).size();
  const Added two = add(batch, second);
  batch.step();
  // All but the last token said, which was not evaluated yet, and what is new.
  EXPECT_GE(two.seen->n_reused, second.prompt.size() - 2);
  EXPECT_GT(n_draft_before, 50U);
  finish(batch);
  pair.expect_alone(second, *two.seen);
}

TEST(Batch, ForgetsTheTextThatWasUsedLongestAgo) {
  TablePair pair(3);
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  const auto run = [&](const Job& job) {
    const Added text = add(batch, job);
    finish(batch);
    return text.seen->n_reused;
  };
  const auto again = [](Job job) {
    job.prompt.push_back(TokenId{1});
    return job;
  };
  const Job a = pair.job(20, 1);
  const Job b = pair.job(20, 2);
  const Job c = pair.job(20, 3);
  const Job d = pair.job(20, 4);
  EXPECT_EQ(run(a) + run(b) + run(c), 0U);
  EXPECT_GE(run(again(a)), 20U);  // now b was used longest ago
  EXPECT_LE(run(d), 2U);
  EXPECT_GE(run(again(c)), 20U);
  EXPECT_GE(run(again(a)), 20U);
  EXPECT_LE(run(again(b)), 2U);
}

TEST(Batch, CancelsATextAtOnce) {
  TablePair pair;
  Batch batch(pair.target, &pair.draft, {.max_active = 2, .costs = pair.costs});
  const Added early = add(batch, pair.job(5, 1));
  batch.cancel(early.id);
  EXPECT_EQ(early.seen->outcome, Outcome::cancelled);
  const Job kept = pair.job(5, 2);
  const Added other = add(batch, kept);
  const Added running = add(batch, pair.job(5, 3));
  const Added waiting = add(batch, pair.job(5, 4));
  batch.step();
  EXPECT_EQ(batch.statistics().n_active, 2U);
  batch.cancel(running.id);
  batch.cancel(running.id);
  EXPECT_EQ(running.seen->outcome, Outcome::cancelled);
  EXPECT_EQ(running.seen->n_rounds, 1U);
  EXPECT_EQ(batch.statistics().n_active, 1U);
  batch.step();
  EXPECT_EQ(waiting.seen->n_rounds, 1U);
  finish(batch);
  pair.expect_alone(kept, *other.seen);
  EXPECT_EQ(early.seen->n_rounds, 0U);
}

TEST(Batch, CancelsFromWithinARound) {
  TablePair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  auto seen = std::make_shared<Seen>();
  TextId other{};
  seen->on_round = [&] { batch.cancel(other); };
  const Added first = add(batch, pair.job(5, 1), seen);
  const Added second = add(batch, pair.job(5, 2));
  other = second.id;
  batch.step();
  EXPECT_EQ(second.seen->outcome, Outcome::cancelled);
  EXPECT_EQ(second.seen->n_rounds, 0U);
  finish(batch);
  EXPECT_EQ(first.seen->outcome, Outcome::length);
}

TEST(Batch, StopsWhereTheSinkHasEnough) {
  TablePair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  auto seen = std::make_shared<Seen>();
  seen->stop_at = 10;
  const Added text = add(batch, pair.job(5, 1), seen);
  finish(batch);
  EXPECT_EQ(text.seen->outcome, Outcome::stop);
  EXPECT_GE(text.seen->tokens.size(), 10U);
  EXPECT_LT(text.seen->tokens.size(), 40U);
}

// Allows even tokens only, or nothing once so many are generated.
class EvenTokens final : public TokenConstraint {
 public:
  explicit EvenTokens(std::size_t n_until_nothing = 1000) : n_(n_until_nothing) {
    words_.resize((kVocab + 31) / 32);
  }
  std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                         std::span<const TokenId> path) override {
    const bool is_over = generated.size() + path.size() >= n_;
    std::fill(words_.begin(), words_.end(), is_over ? 0U : 0x55555555U);
    return words_;
  }

 private:
  std::size_t n_;
  std::vector<std::uint32_t> words_;
};

TEST(Batch, KeepsToAConstraintWithEveryMethod) {
  TablePair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  std::vector<Added> texts;
  for (const char* method : {"ar", "gumbel-tree", "gumbel-beam", "gumbel-tree:nodes=20"}) {
    Job job = pair.job(5, 1, method);
    job.options.constraint = std::make_shared<EvenTokens>();
    texts.push_back(add(batch, job));
  }
  finish(batch);
  for (const Added& text : texts) {
    EXPECT_EQ(text.seen->tokens, texts[0].seen->tokens);
    EXPECT_EQ(text.seen->tokens.size(), 40U);
    for (const TokenId t : text.seen->tokens) EXPECT_EQ(index(t) % 2, 0U);
  }
}

TEST(Batch, EndsOnlyTheTextThatMayNotGoOn) {
  TablePair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  Job stuck = pair.job(5, 1);
  stuck.options.constraint = std::make_shared<EvenTokens>(12);
  const Job fine = pair.job(5, 2);
  const Added first = add(batch, stuck);
  const Added second = add(batch, fine);
  finish(batch);
  ASSERT_TRUE(first.seen->error);
  EXPECT_EQ(first.seen->error->code(), ErrorCode::no_token_allowed);
  EXPECT_LE(first.seen->tokens.size(), 12U);
  EXPECT_FALSE(second.seen->error);
  pair.expect_alone(fine, *second.seen);
}

TEST(Batch, TellsTheModelsOwnLogProbabilities) {
  TablePair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  Job job = pair.job(5, 1, "gumbel-tree", 20);
  job.options.sampling.temperature = 0.6F;
  job.options.n_logprobs = 3;
  const Added text = add(batch, job);
  finish(batch);
  std::vector<TokenId> before = job.prompt;
  ASSERT_EQ(text.seen->logprobs.size(), 20U);
  ASSERT_EQ(text.seen->top_logprobs.size(), 60U);
  for (std::size_t i = 0; i < 20; ++i) {
    const std::span<const float> logits = pair.target.logits(before);
    double sum = 0.0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
    const TokenId token = text.seen->tokens[i];
    EXPECT_EQ(text.seen->logprobs[i].token, token);
    EXPECT_NEAR(text.seen->logprobs[i].logprob,
                static_cast<double>(logits[index(token)]) - std::log(sum), 1e-5);
    std::vector<float> sorted(logits.begin(), logits.end());
    std::sort(sorted.rbegin(), sorted.rend());
    for (std::size_t k = 0; k < 3; ++k) {
      const TokenLogprob& top = text.seen->top_logprobs[3 * i + k];
      EXPECT_EQ(logits[index(top.token)], sorted[k]);
    }
    before.push_back(token);
  }
}

TEST(Batch, GoesOnBehindTheEndWhereItIsToldTo) {
  TableModel target({.n_vocab = kVocab, .seed = 3, .n_context = 120, .end = TokenId{7}});
  Batch batch(target, nullptr, {});
  Job job{{TokenId{1}}, {.seed = 4, .max_tokens = 100}};
  const Added ends = add(batch, job);
  job.options.ignores_end = true;
  const Added goes_on = add(batch, job);
  finish(batch);
  EXPECT_EQ(ends.seen->outcome, Outcome::eos);
  EXPECT_EQ(goes_on.seen->outcome, Outcome::length);
  const std::size_t n = ends.seen->tokens.size();
  ASSERT_GT(goes_on.seen->tokens.size(), n);
  EXPECT_EQ(goes_on.seen->tokens[n], TokenId{7});
}

TEST(Batch, RefusesWhatASessionWould) {
  TablePair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  const auto code_of = [&](const Job& job) {
    try {
      add(batch, job);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::file_not_found;
  };
  EXPECT_EQ(code_of(pair.job(0, 1)), ErrorCode::invalid_prompt);
  EXPECT_EQ(code_of(pair.job(120, 1)), ErrorCode::prompt_too_long);
  Job job = pair.job(5, 1);
  job.prompt[2] = token_id(kVocab);
  EXPECT_EQ(code_of(job), ErrorCode::invalid_prompt);
  job = pair.job(5, 1);
  job.options.sampling.top_p = 2.0F;
  EXPECT_EQ(code_of(job), ErrorCode::invalid_option);
  EXPECT_FALSE(batch.step());
}

}  // namespace
}  // namespace gumbelspec
