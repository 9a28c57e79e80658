// Texts with drafts whose vocabulary is not the target's: they are plain decoding's.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "gumbelspec/batch.h"
#include "gumbelspec/session.h"
#include "src/engine/translated_model.h"
#include "testing/table_model.h"
#include "tests/engine/batch_fixture.h"
#include "tests/engine/translated_fixture.h"

namespace gumbelspec {
namespace {

using namespace testing;

// A model with the ids of another one in another order.
class Permuted final : public LanguageModel {
 public:
  Permuted(TableModel& model, std::vector<std::size_t> new_ids)
      : model_(model), new_ids_(std::move(new_ids)), old_ids_(new_ids_.size()) {
    for (std::size_t i = 0; i < new_ids_.size(); ++i) old_ids_[new_ids_[i]] = i;
  }
  [[nodiscard]] const ModelLimits& limits() const override { return model_.limits(); }
  [[nodiscard]] bool is_end(TokenId token) const override { return model_.is_end(old(token)); }
  SeqId open() override { return model_.open(); }
  void close(SeqId seq) override { model_.close(seq); }
  [[nodiscard]] std::size_t n_committed(SeqId seq) const override {
    return model_.n_committed(seq);
  }
  [[nodiscard]] PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override {
    std::vector<TokenId> olds;
    for (const TokenId token : tokens) olds.push_back(old(token));
    return model_.extend(seq, olds);
  }
  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override {
    std::vector<PassNode> olds(nodes.begin(), nodes.end());
    for (PassNode& node : olds) node.token = old(node.token);
    const PassOutcome outcome = model_.evaluate(olds);
    rows_.assign(nodes.size(), {});
    for (std::size_t i = 0; i < nodes.size() && outcome == PassOutcome::ok; ++i) {
      if (!nodes[i].wants_row) continue;
      rows_[i].resize(new_ids_.size());
      for (std::size_t t = 0; t < new_ids_.size(); ++t) rows_[i][new_ids_[t]] = model_.row(i)[t];
    }
    return outcome;
  }
  [[nodiscard]] std::span<const float> row(std::size_t i) const override { return rows_[i]; }
  void commit(SeqId seq, std::span<const PendingId> path) override { model_.commit(seq, path); }
  void truncate(SeqId seq, std::size_t n) override { model_.truncate(seq, n); }

 private:
  [[nodiscard]] TokenId old(TokenId token) const { return token_id(old_ids_[index(token)]); }

  TableModel& model_;
  std::vector<std::size_t> new_ids_, old_ids_;
  std::vector<std::vector<float>> rows_;
};

Statistics run(LanguageModel& target, LanguageModel& draft, const char* method, float temperature,
               std::uint64_t seed, std::vector<TokenId>& text) {
  TextOptions options{.method = parse_method(method), .seed = seed, .max_tokens = 60};
  options.sampling.temperature = temperature;
  const auto costs = std::make_shared<CostModel>(CostModel{
      PassCost({{1, 1.0}, {8, 1.1}, {66, 4.0}}, false), PassCost({{1, 0.05}, {64, 0.2}}, false)});
  Session session(target, &draft, options, {.costs = costs});
  const std::vector<TokenId> prompt = {token_id(1), token_id(2), token_id(3)};
  Outcome outcome = session.start(prompt);
  while (outcome == Outcome::running) outcome = session.step();
  text.assign(session.text().begin(), session.text().end());
  return session.statistics();
}

constexpr const char* kMethods[] = {"gumbel-tree", "gumbel-beam", "gumbel-chain", "greedy-chain"};

TEST(TranslatedModel, NeverChangesAText) {
  std::mt19937 random(6);
  for (int trial = 0; trial < 6; ++trial) {
    const auto target_texts = texts_of(random_vocabulary(random, 12));
    const auto draft_texts = texts_of(random_vocabulary(random, 15));
    TableModel target({.n_vocab = 12, .seed = random(), .n_context = 90});
    // Of a smaller context: beyond it there is no draft.
    TableModel table({.n_vocab = 15, .seed = random(), .n_context = trial % 2 == 0 ? 90U : 30U});
    TranslatedModel draft(table, target_texts, draft_texts);
    for (const float temperature : {0.0F, 0.7F, 1.0F}) {
      std::vector<TokenId> plain;
      (void)run(target, draft, "ar", temperature, 5, plain);
      for (const char* method : kMethods) {
        std::vector<TokenId> text;
        (void)run(target, draft, method, temperature, 5, text);
        EXPECT_EQ(text, plain) << method << " at " << temperature;
      }
    }
  }
}

TEST(TranslatedModel, OfTheSameTextsInAnotherOrderDraftsAsWell) {
  std::mt19937 random(7);
  const Strings texts = random_vocabulary(random, 20);
  std::vector<std::size_t> new_ids(texts.size());
  std::iota(new_ids.begin(), new_ids.end(), 0U);
  std::shuffle(new_ids.begin(), new_ids.end(), random);
  Strings other(texts.size());
  for (std::size_t i = 0; i < texts.size(); ++i) other[new_ids[i]] = texts[i];
  TableModel target({.n_vocab = 20, .seed = 5, .spread = 3.0F, .n_context = 100});
  TableModel same = TableModel::draft_of(target, 0.9F, 8);
  TableModel copy = same;
  Permuted permuted(copy, new_ids);
  TranslatedModel translated(permuted, texts_of(texts), texts_of(other));
  std::size_t n_same = 0;
  std::size_t n_translated = 0;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    std::vector<TokenId> text;
    n_same += run(target, same, "gumbel-tree", 1.0F, seed, text).n_accepted;
    n_translated += run(target, translated, "gumbel-tree", 1.0F, seed, text).n_accepted;
  }
  // Texts of random tokens are split differently, since nobody's tokenizer says them.
  EXPECT_GT(n_same, 300U);
  EXPECT_GT(static_cast<double>(n_translated), 0.75 * static_cast<double>(n_same));
}

// Texts that come and go in one batch, and share the draft's passes.
TEST(TranslatedModel, NeverChangesATextOfABatch) {
  std::mt19937 random(11);
  const auto target_texts = texts_of(random_vocabulary(random, 12));
  const auto draft_texts = texts_of(random_vocabulary(random, 15));
  TableModel target({.n_vocab = 12, .seed = 3, .n_context = 90});
  TableModel table({.n_vocab = 15, .seed = 4, .n_context = 60});
  TranslatedModel draft(table, target_texts, draft_texts);
  const auto costs = std::make_shared<CostModel>(CostModel{
      PassCost({{1, 1.0}, {8, 1.1}, {66, 4.0}}, false), PassCost({{1, 0.05}, {64, 0.2}}, false)});
  Batch batch(target, &draft, {.max_active = 3, .costs = costs});
  std::vector<Job> jobs;
  std::vector<Added> added;
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    Job job;
    for (std::size_t k = 0; k < 2 + seed; ++k) job.prompt.push_back(token_id(random() % 12));
    job.options.method = parse_method(seed % 2 == 0 ? "gumbel-tree" : "gumbel-beam");
    job.options.seed = seed;
    job.options.max_tokens = 20 + 5 * seed;
    jobs.push_back(job);
    added.push_back(add(batch, job));
  }
  while (batch.step()) {
  }
  std::size_t n_drafted = 0;
  for (std::size_t i = 0; i < jobs.size(); ++i) {
    TableModel other = target;
    Job plain = jobs[i];
    plain.options.method = parse_method("ar");
    const Alone alone = run_alone(other, nullptr, plain, costs);
    EXPECT_EQ(added[i].seen->tokens, alone.tokens) << i;
    n_drafted += added[i].seen->statistics.n_drafted;
  }
  EXPECT_GT(n_drafted, 100U);
}

}  // namespace
}  // namespace gumbelspec
