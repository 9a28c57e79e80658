// What a text of a batch may ask for besides its tokens: its place, its prompt's log-probabilities,
// those of the distribution it was drawn from; and slots that go out and come back.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "testing/table_model.h"
#include "testing/wrapped_model.h"
#include "tests/engine/batch_fixture.h"

namespace gumbelspec {
namespace {

using testing::add;
using testing::Added;
using testing::Job;
using testing::RecordingSink;
using testing::run_alone;
using testing::Seen;
using testing::TableModel;
using testing::WrappedModel;

constexpr std::size_t kVocab = 40;

// Its state is the text itself.
class StatefulModel final : public WrappedModel {
 public:
  explicit StatefulModel(TableModel& model) : WrappedModel(model), table_(model) {}
  std::vector<std::uint8_t> state(SeqId seq) override {
    const auto text = table_.committed(seq);
    std::vector<std::uint8_t> bytes(text.size_bytes());
    std::memcpy(bytes.data(), text.data(), bytes.size());
    return bytes;
  }
  bool set_state(SeqId seq, std::span<const std::uint8_t> state, std::size_t n_tokens) override {
    if (state.size() != n_tokens * sizeof(TokenId)) return false;
    std::vector<TokenId> text(n_tokens);
    std::memcpy(text.data(), state.data(), state.size());
    return table_.extend(seq, text) == PassOutcome::ok;
  }

 private:
  TableModel& table_;
};

struct Pair {
  TableModel table{{.n_vocab = kVocab, .seed = 3, .n_context = 200}};
  TableModel draft = TableModel::draft_of(table, 0.9F, 9);
  StatefulModel target{table};
  std::shared_ptr<CostModel> costs = std::make_shared<CostModel>(CostModel{
      PassCost({{1, 1.0}, {8, 1.1}, {66, 4.0}}, false), PassCost({{1, 0.05}, {64, 0.2}}, false)});

  explicit Pair(std::size_t n_sequences = 3) { table.mutable_limits().n_sequences = n_sequences; }
  Job job(std::size_t n_prompt, std::uint64_t seed, std::size_t max_tokens = 20) const {
    std::mt19937_64 random(seed);
    Job job;
    for (std::size_t i = 0; i < n_prompt; ++i) job.prompt.push_back(token_id(random() % kVocab));
    job.options.seed = seed;
    job.options.max_tokens = max_tokens;
    return job;
  }
};

void finish(Batch& batch) {
  while (batch.step()) {
  }
}

class ScoreSink final : public TextSink {
 public:
  explicit ScoreSink(std::shared_ptr<Seen> seen) : seen_(std::move(seen)) {}
  void on_prompt_logprobs(std::span<const TokenLogprob> logprobs,
                          std::span<const TokenLogprob> top) override {
    seen_->logprobs.insert(seen_->logprobs.end(), logprobs.begin(), logprobs.end());
    seen_->top_logprobs.insert(seen_->top_logprobs.end(), top.begin(), top.end());
  }
  bool on_round(const BatchRound& round) override {
    for (const GeneratedToken& t : round.tokens) seen_->tokens.push_back(t.token);
    return true;
  }
  void on_end(Outcome outcome, const Statistics& /*s*/, const Error* /*error*/) override {
    seen_->outcome = outcome;
  }

 private:
  std::shared_ptr<Seen> seen_;
};

// log softmax by its definition.
double log_softmax(std::span<const float> logits, TokenId token) {
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
  return static_cast<double>(logits[index(token)]) - std::log(sum);
}

TEST(BatchRequests, TellThePromptsLogProbabilitiesInPiecesOfAnySize) {
  for (const std::size_t piece : {1U, 7U, 256U}) {
    Pair pair;
    Batch batch(pair.target, &pair.draft, {.prompt_tokens_per_round = piece, .costs = pair.costs});
    Job job = pair.job(30, 1, 5);
    // What the cache holds already has no rows: it is read again.
    (void)add(batch, job);
    finish(batch);
    job.options.n_logprobs = 2;
    job.options.scores_prompt = true;
    const auto seen = std::make_shared<Seen>();
    (void)batch.add(job.prompt, job.options, std::make_unique<ScoreSink>(seen));
    finish(batch);
    ASSERT_EQ(seen->logprobs.size(), 29U) << piece;
    ASSERT_EQ(seen->top_logprobs.size(), 58U);
    for (std::size_t i = 0; i < 29; ++i) {
      const auto logits = pair.table.logits(std::span(job.prompt).first(i + 1));
      EXPECT_EQ(seen->logprobs[i].token, job.prompt[i + 1]);
      EXPECT_NEAR(seen->logprobs[i].logprob, log_softmax(logits, job.prompt[i + 1]), 1e-5);
      const float most = *std::max_element(logits.begin(), logits.end());
      EXPECT_EQ(logits[index(seen->top_logprobs[2 * i].token)], most);
    }
    TableModel other = pair.table;
    EXPECT_EQ(seen->tokens, run_alone(other, &pair.draft, job, pair.costs).tokens);
  }
}

TEST(BatchRequests, ScoreAPromptWithoutGenerating) {
  Pair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  Job job = pair.job(10, 1, 0);
  job.options.n_logprobs = 0;
  job.options.scores_prompt = true;
  const auto seen = std::make_shared<Seen>();
  (void)batch.add(job.prompt, job.options, std::make_unique<ScoreSink>(seen));
  finish(batch);
  EXPECT_EQ(seen->logprobs.size(), 9U);
  EXPECT_TRUE(seen->tokens.empty());
  EXPECT_EQ(seen->outcome, Outcome::length);
}

// The distribution by its definition: penalties are off, so what is kept of the softmax.
TEST(BatchRequests, TellTheDistributionThatTokensAreDrawnFrom) {
  Pair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  Job job = pair.job(5, 1);
  job.options.sampling.temperature = 0.6F;
  job.options.sampling.top_k = 4;
  job.options.n_logprobs = 6;
  job.options.final_logprobs = true;
  const Added text = add(batch, job);
  finish(batch);
  std::vector<TokenId> before = job.prompt;
  ASSERT_EQ(text.seen->logprobs.size(), 20U);
  for (std::size_t i = 0; i < 20; ++i) {
    const auto logits = pair.table.logits(before);
    std::vector<float> sorted(logits.begin(), logits.end());
    std::sort(sorted.rbegin(), sorted.rend());
    double sum = 0.0;
    for (std::size_t k = 0; k < 4; ++k) sum += std::exp(static_cast<double>(sorted[k]) / 0.6);
    const auto probability = [&](TokenId t) {
      const float logit = logits[index(t)];
      return logit < sorted[3] ? 0.0 : std::exp(static_cast<double>(logit) / 0.6) / sum;
    };
    const TokenLogprob& chosen = text.seen->logprobs[i];
    EXPECT_NEAR(std::exp(chosen.logprob), probability(chosen.token), 1e-5);
    double told = 0.0;
    for (std::size_t k = 0; k < 6; ++k) {
      const TokenLogprob& top = text.seen->top_logprobs[6 * i + k];
      EXPECT_NEAR(std::exp(top.logprob), probability(top.token), 1e-5);
      told += std::exp(static_cast<double>(top.logprob));
    }
    EXPECT_NEAR(told, 1.0, 1e-5);
    before.push_back(chosen.token);
  }
}

TEST(BatchRequests, TheLikeliestTokenIsCertainWithoutNoise) {
  Pair pair;
  Batch batch(pair.target, nullptr, {.costs = pair.costs});
  Job job = pair.job(5, 1, 3);
  job.options.sampling.temperature = 0.0F;
  job.options.n_logprobs = 2;
  job.options.final_logprobs = true;
  const Added text = add(batch, job);
  finish(batch);
  ASSERT_EQ(text.seen->logprobs.size(), 3U);
  EXPECT_EQ(text.seen->logprobs[2].logprob, 0.0F);
  EXPECT_EQ(text.seen->top_logprobs[0].logprob, 0.0F);
  EXPECT_TRUE(std::isinf(text.seen->top_logprobs[1].logprob));
}

TEST(BatchRequests, WaitForTheSlotThatTheyName) {
  Pair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  Job job = pair.job(10, 1);
  job.options.slot = 1;
  const Added first = add(batch, job);
  const Added second = add(batch, job);
  Job other = pair.job(10, 2, 3);
  const Added elsewhere = add(batch, other);
  batch.step();
  EXPECT_GT(first.seen->tokens.size(), 0U);
  EXPECT_TRUE(second.seen->tokens.empty()) << "its slot is busy";
  EXPECT_GT(elsewhere.seen->tokens.size(), 0U) << "it need not wait behind that";
  finish(batch);
  EXPECT_EQ(second.seen->tokens, first.seen->tokens);
  EXPECT_EQ(second.seen->n_reused, 9U);
  job.options.slot = 2;
  const Added third = add(batch, job);
  finish(batch);
  EXPECT_EQ(third.seen->n_reused, 0U) << "another slot's text";
  job.options.slot = 3;
  EXPECT_THROW((void)add(batch, job), Error);
}

TEST(BatchRequests, ReadTheirPromptAnewWhereTheyAskFor) {
  Pair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  Job job = pair.job(10, 1);
  const Added first = add(batch, job);
  finish(batch);
  job.options.reuses_prefix = false;
  const Added anew = add(batch, job);
  finish(batch);
  job.options.reuses_prefix = true;
  const Added again = add(batch, job);
  finish(batch);
  EXPECT_EQ(anew.seen->n_reused, 0U);
  EXPECT_EQ(again.seen->n_reused, 9U);
  EXPECT_EQ(anew.seen->tokens, first.seen->tokens);
}

TEST(BatchSlotStates, GoOutAndComeBack) {
  Pair pair;
  Batch batch(pair.target, &pair.draft, {.costs = pair.costs});
  EXPECT_EQ(batch.n_slots(), 3U);
  Job job = pair.job(10, 1);
  job.options.slot = 1;
  const Added first = add(batch, job);
  batch.step();
  EXPECT_THROW((void)batch.save_slot(1), Error) << "it is busy";
  EXPECT_THROW((void)batch.erase_slot(1), Error);
  EXPECT_THROW((void)batch.save_slot(3), Error);
  finish(batch);
  const SlotState saved = batch.save_slot(1);
  ASSERT_GT(saved.tokens.size(), 10U);
  EXPECT_EQ(batch.erase_slot(1), saved.tokens.size());
  EXPECT_EQ(batch.erase_slot(1), 0U);
  EXPECT_TRUE(batch.save_slot(1).tokens.empty());
  batch.restore_slot(0, saved);
  job.options.slot = 0;
  const Added again = add(batch, job);
  finish(batch);
  EXPECT_EQ(again.seen->n_reused, 9U);
  EXPECT_EQ(again.seen->tokens, first.seen->tokens);
  // In another batch of the same model, over what its slot held.
  Batch other(pair.target, nullptr, {.costs = pair.costs});
  (void)add(other, pair.job(30, 5));
  finish(other);
  other.restore_slot(0, saved);
  const Added elsewhere = add(other, job);
  finish(other);
  EXPECT_EQ(elsewhere.seen->n_reused, 9U);
  EXPECT_EQ(elsewhere.seen->tokens, first.seen->tokens);
}

TEST(BatchSlotStates, AreRefusedWhereTheyAreNotTheModels) {
  Pair pair;
  Batch batch(pair.target, nullptr, {.costs = pair.costs});
  SlotState state{{token_id(1), token_id(2)}, {1, 2, 3}};
  EXPECT_THROW(batch.restore_slot(0, state), Error);
  state.tokens[0] = token_id(kVocab);
  EXPECT_THROW(batch.restore_slot(0, state), Error);
  const Job job = pair.job(10, 1);
  const Added text = add(batch, job);
  finish(batch);
  TableModel other = pair.table;
  EXPECT_EQ(text.seen->tokens, run_alone(other, nullptr, job, pair.costs).tokens);
  // A model without states says so.
  Batch stateless(pair.table, nullptr, {.costs = pair.costs});
  (void)add(stateless, job);
  finish(stateless);
  EXPECT_THROW((void)stateless.save_slot(0), Error);
}

}  // namespace
}  // namespace gumbelspec
