// Many texts at once: each is the text of a session alone, whatever else is in the batch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <set>
#include <span>
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
using testing::Alone;
using testing::counted_costs;
using testing::Job;
using testing::kVocab;
using testing::random_prompt;
using testing::run_alone;
using testing::TableModel;
using testing::WrappedModel;

TableModel make_target(std::size_t n_context = 120) {
  return TableModel({.n_vocab = kVocab, .seed = 3, .n_context = n_context, .end = TokenId{7}});
}

// Prompts that often begin alike, all methods, all kinds of sampling.
Job random_job(std::mt19937_64& random, std::span<const std::vector<TokenId>> beginnings) {
  const char* const methods[] = {"ar",
                                 "gumbel-tree",
                                 "gumbel-tree",
                                 "gumbel-tree:nodes=12",
                                 "gumbel-tree:width=3,length=9,nodes=40",
                                 "gumbel-beam",
                                 "gumbel-beam:width=6,length=3,keep=0",
                                 "gumbel-chain:length=4",
                                 "greedy-chain"};
  Job job;
  job.prompt = beginnings[random() % beginnings.size()];
  job.prompt.resize(1 + random() % job.prompt.size());
  const auto more = random_prompt(random, random() % 6);
  job.prompt.insert(job.prompt.end(), more.begin(), more.end());
  job.options.method = parse_method(methods[random() % std::size(methods)]);
  const float temperatures[] = {0.0F, 0.7F, 1.0F, 1.0F, 1.4F};
  job.options.sampling.temperature = temperatures[random() % std::size(temperatures)];
  if (random() % 3 == 0) job.options.sampling.top_k = 10;
  if (random() % 3 == 0) job.options.sampling.top_p = 0.9F;
  if (random() % 3 == 0) job.options.sampling.repeat_penalty = 1.3F;
  job.options.seed = random() % 5;
  job.options.stream = static_cast<std::uint32_t>(random() % 2);
  job.options.max_tokens = random() % 50;
  return job;
}

// Random arrivals and cancellations over `target`, compared with sessions over `honest`.
struct Trial {
  std::size_t n_texts = 0;
  std::size_t n_wrong = 0;
  std::size_t n_cancelled = 0;
  BatchStatistics statistics;
};

Trial run_trial(LanguageModel& target, TableModel& honest, std::uint64_t seed,
                BatchOptions options = {}) {
  TableModel draft = TableModel::draft_of(honest, 0.85F, 9);
  TableModel other_draft = TableModel::draft_of(honest, 0.85F, 9);
  options.costs = counted_costs();
  Batch batch(target, &draft, options);
  std::mt19937_64 random(seed);
  std::vector<std::vector<TokenId>> beginnings;
  for (int i = 0; i < 3; ++i) beginnings.push_back(random_prompt(random, 30));
  std::vector<std::pair<Job, Added>> texts;
  Trial trial;
  for (bool goes_on = true; goes_on || texts.size() < 60;) {
    for (std::size_t n = texts.size() < 60 ? random() % 3 : 0; n > 0; --n) {
      // A later turn: a text that ended, with something behind it.
      Job job = random_job(random, beginnings);
      const auto* earlier = texts.empty() ? nullptr : &texts[random() % texts.size()];
      if (earlier != nullptr && random() % 3 == 0 && earlier->second.seen->outcome) {
        job.prompt = earlier->first.prompt;
        const auto& said = earlier->second.seen->tokens;
        job.prompt.insert(job.prompt.end(), said.begin(), said.end());
        job.prompt.push_back(token_id(random() % kVocab));
        if (job.prompt.size() >= 110) job.prompt.resize(20);
      }
      texts.emplace_back(job, add(batch, job));
    }
    if (random() % 6 == 0 && !texts.empty()) batch.cancel(texts[random() % texts.size()].second.id);
    goes_on = batch.step();
  }
  trial.n_texts = texts.size();
  for (const auto& [job, added] : texts) {
    const Alone alone = run_alone(honest, &other_draft, job, counted_costs());
    const auto& got = added.seen->tokens;
    bool is_same = false;
    if (added.seen->outcome == Outcome::cancelled) {
      ++trial.n_cancelled;
      is_same = got.size() <= alone.tokens.size() &&
                std::equal(got.begin(), got.end(), alone.tokens.begin());
    } else {
      is_same = got == alone.tokens && added.seen->outcome == alone.outcome;
    }
    if (!is_same || added.seen->error) ++trial.n_wrong;
  }
  trial.statistics = batch.statistics();
  return trial;
}

TEST(Batch, GivesEveryTextTheTokensOfASessionAlone) {
  std::size_t n_reused = 0;
  std::size_t n_cancelled = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    TableModel target = make_target();
    target.mutable_limits().n_sequences = 3 + seed;
    TableModel honest = make_target();
    const Trial trial = run_trial(target, honest, seed, {.prompt_tokens_per_round = 7 * seed});
    EXPECT_EQ(trial.n_wrong, 0U) << "seed " << seed;
    EXPECT_EQ(trial.statistics.n_active, 0U);
    EXPECT_EQ(trial.statistics.n_waiting, 0U);
    n_reused += trial.statistics.n_prompt_reused;
    n_cancelled += trial.n_cancelled;
    EXPECT_GT(trial.statistics.n_accepted, trial.statistics.n_rounds / 2);
  }
  EXPECT_GT(n_reused, 1000U);
  EXPECT_GT(n_cancelled, 20U);
}

TEST(Batch, GivesTheSameWithoutReuse) {
  TableModel target = make_target();
  TableModel honest = make_target();
  const Trial trial = run_trial(target, honest, 5, {.reuses_prefixes = false});
  EXPECT_EQ(trial.n_wrong, 0U);
  EXPECT_EQ(trial.statistics.n_prompt_reused, 0U);
}

// Negative controls: what a batch could get wrong must be seen by the comparison above.

// The rows of the pass are off by one as soon as there are two texts in it.
class WrongRows final : public WrappedModel {
 public:
  using WrappedModel::WrappedModel;
  PassOutcome evaluate(std::span<const PassNode> nodes) override {
    std::set<SeqId> sequences;
    for (const PassNode& node : nodes) sequences.insert(node.seq);
    shift_ = sequences.size() > 1 ? 1 : 0;
    n_ = nodes.size();
    return model_.evaluate(nodes);
  }
  std::span<const float> row(std::size_t i) const override { return model_.row((i + shift_) % n_); }

 private:
  std::size_t shift_ = 0;
  std::size_t n_ = 1;
};

// A sequence that is shortened has another token at its new end.
class WrongReuse final : public WrappedModel {
 public:
  using WrappedModel::WrappedModel;
  void truncate(SeqId seq, std::size_t n) override {
    if (n == 0) {
      model_.truncate(seq, n);
      return;
    }
    model_.truncate(seq, n - 1);
    const TokenId token{1};
    EXPECT_EQ(model_.extend(seq, {&token, 1}), PassOutcome::ok);
  }
};

TEST(BatchControl, SeesRowsOfAnotherText) {
  TableModel target = make_target();
  WrongRows wrong(target);
  TableModel honest = make_target();
  EXPECT_GT(run_trial(wrong, honest, 1).n_wrong, 20U);
}

TEST(BatchControl, SeesAPrefixThatIsNotTheTexts) {
  std::size_t n_wrong = 0;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    TableModel target = make_target();
    target.mutable_limits().n_sequences = 4;
    WrongReuse wrong(target);
    TableModel honest = make_target();
    n_wrong += run_trial(wrong, honest, seed).n_wrong;
  }
  EXPECT_GT(n_wrong, 6U);
}

TEST(BatchControl, SeesTheNoiseOfAnotherText) {
  TableModel target = make_target();
  Batch batch(target, nullptr, {});
  Job a{random_prompt(*std::make_unique<std::mt19937_64>(1), 5), {.seed = 1, .ignores_end = true}};
  Job b = a;
  b.options.seed = 2;
  const Added first = add(batch, a);
  const Added second = add(batch, b);
  while (batch.step()) {
  }
  EXPECT_NE(first.seen->tokens, second.seen->tokens);
}

}  // namespace
}  // namespace gumbelspec
