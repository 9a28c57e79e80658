// Many texts at once: each is the text of a session alone, whatever else is in the batch.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "testing/table_model.h"
#include "testing/wrapped_model.h"
#include "tests/engine/batch_fixture.h"

namespace gumbelspec {
namespace {

using testing::add;
using testing::Added;
using testing::Alone;
using testing::Job;
using testing::run_alone;
using testing::Seen;
using testing::TableModel;
using testing::WrappedModel;

constexpr std::size_t kVocab = 40;

TableModel make_target(std::size_t n_context = 120) {
  return TableModel({.n_vocab = kVocab, .seed = 3, .n_context = n_context, .end = TokenId{7}});
}

std::shared_ptr<CostModel> counted_costs() {
  return std::make_shared<CostModel>(CostModel{PassCost({{1, 1.0}, {8, 1.1}, {66, 4.0}}, false),
                                               PassCost({{1, 0.05}, {64, 0.2}}, false)});
}

std::vector<TokenId> random_prompt(std::mt19937_64& random, std::size_t n) {
  std::vector<TokenId> prompt(n);
  for (TokenId& t : prompt) t = token_id(random() % kVocab);
  return prompt;
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

// A batch over the in-memory pair.
struct Pair {
  TableModel target;
  TableModel draft;
  std::shared_ptr<CostModel> costs = counted_costs();

  explicit Pair(std::size_t n_sequences = 64, std::size_t n_context = 120)
      : target({.n_vocab = kVocab, .seed = 3, .n_context = n_context}),
        draft(TableModel::draft_of(target, 0.9F, 9)) {
    target.mutable_limits().n_sequences = n_sequences;
  }
  Job job(std::size_t n_prompt, std::uint64_t seed, const char* method = "gumbel-tree",
          std::size_t max_tokens = 40) const {
    std::mt19937_64 random(seed);
    Job job{random_prompt(random, n_prompt), {}};
    job.options.method = parse_method(method);
    job.options.seed = seed;
    job.options.max_tokens = max_tokens;
    return job;
  }
  void expect_alone(const Job& job, const Seen& seen) {
    TableModel other_target = target;
    TableModel other_draft = draft;
    const Alone alone = run_alone(other_target, &other_draft, job, costs);
    EXPECT_EQ(seen.tokens, alone.tokens);
    EXPECT_EQ(seen.outcome, alone.outcome);
  }
};

void finish(Batch& batch) {
  while (batch.step()) {
  }
}

TEST(Batch, TakesTextsInTheOrderOfTheirComing) {
  Pair pair;
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
  Pair pair;
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
  Pair pair(64, 400);
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
  Pair pair(4);
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
  Pair pair(3);
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
  Pair pair;
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
  Pair pair;
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

TEST(Batch, CancelsATextAtOnce) {
  Pair pair;
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
  Pair pair;
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
  Pair pair;
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
  Pair pair;
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
  Pair pair;
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
    Pair pair;
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
    Pair pair(16);
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
    Pair pair;
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

TEST(Batch, TellsTheModelsOwnLogProbabilities) {
  Pair pair;
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
  TableModel target = make_target();
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
  Pair pair;
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
