// Long prompts beside texts that decode: how long these wait. The clock is moved by the models.
#include "src/engine/prompt_pieces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <vector>

#include "testing/table_model.h"
#include "testing/wrapped_model.h"
#include "tests/engine/batch_fixture.h"

namespace gumbelspec {
namespace {

using testing::add;
using testing::Added;
using testing::Job;
using testing::TableModel;
using testing::WrappedModel;

constexpr std::size_t kVocab = 40;
constexpr std::size_t kMost = 256;

TEST(PromptPieces, AreAsLongAsFitsWhateverPassesTake) {
  std::mt19937 random(3);
  for (int i = 0; i < 300; ++i) {
    const double of_pass = random() % 40;
    const double of_token = 0.1 + random() % 10 / 10.0;
    const double limit = 1 + random() % 100;
    const auto takes = [&](std::size_t n) { return of_pass + of_token * static_cast<double>(n); };
    PromptPieces pieces(kMost);
    pieces.observe(kMost, takes(kMost) * (1 + random() % 3));  // when the machine was busy
    for (int k = 0; k < 60; ++k) pieces.observe(pieces.size(limit), takes(pieces.size(limit)));
    const std::size_t n = pieces.size(limit);
    EXPECT_LE(takes(n), std::max(1.02 * limit, takes(PromptPieces::kLeast))) << of_pass;
    // Twice as much would not have fitted, or takes about as long as the limit.
    if (n < kMost) EXPECT_GT(takes(2 * n), 0.6 * limit) << of_pass << " " << of_token;
  }
}

TEST(PromptPieces, AreWholeWhereNobodyWaits) {
  PromptPieces pieces(kMost);
  EXPECT_EQ(pieces.size(HUGE_VAL), kMost);
  for (int i = 0; i < 20; ++i) pieces.observe(16, 100.0);
  EXPECT_EQ(pieces.size(1.0), PromptPieces::kLeast);
  EXPECT_EQ(pieces.size(HUGE_VAL), kMost);
  EXPECT_EQ(PromptPieces(7).size(1.0), 7U);
}

// Seconds of a piece of n tokens when nobody decodes, as it was learnt.
std::size_t learnt_alone(double of_pass, double of_token, double limit_s) {
  PromptPieces pieces(kMost);
  std::size_t n = 0;
  for (int i = 0; i < 50; ++i) {
    n = pieces.size_alone(limit_s);
    pieces.observe(n, of_pass + of_token * static_cast<double>(n));
  }
  return n;
}

TEST(PromptPieces, AreShortWhereSomebodyMayComeUnlessLongOnesPay) {
  // As on a CPU: a token takes its time whatever the pass.
  EXPECT_EQ(learnt_alone(0.0, 0.01, 0.64), 64U);
  EXPECT_EQ(learnt_alone(0.001, 0.01, 0.2), PromptPieces::kLeast);
  // As on a GPU: a pass takes its time, whatever its tokens.
  EXPECT_EQ(learnt_alone(0.1, 0.0001, 0.11), kMost);
  EXPECT_EQ(learnt_alone(0.1, 0.001, 0.01), kMost);
  // In between: doubling pays as long as it saves more than a twentieth.
  EXPECT_EQ(learnt_alone(0.02, 0.001, 0.05), kMost);
  EXPECT_EQ(learnt_alone(0.004, 0.001, 0.05), 64U);
  PromptPieces pieces(kMost);
  EXPECT_EQ(pieces.size_alone(HUGE_VAL), kMost);
}

TEST(PromptPieces, GetAsMuchTimePerTextAsThoseThatDecode) {
  EXPECT_EQ(PromptPieces::rounds(1, 1), 1.0);
  EXPECT_EQ(PromptPieces::rounds(1, 8), 1.0);
  EXPECT_EQ(PromptPieces::rounds(6, 4), 1.5);
  EXPECT_EQ(PromptPieces::rounds(15, 1), 2.0);
}

// A pass takes a second (as on a GPU) or what is said, and a fiftieth per token besides.
class ClockedModel final : public WrappedModel {
 public:
  ClockedModel(LanguageModel& model, double& now) : WrappedModel(model), now_(now) {}
  static inline double pass_s = 1.0;
  static double seconds(std::size_t n) { return pass_s + 0.02 * static_cast<double>(n); }

  PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override {
    if (!tokens.empty()) now_ += seconds(tokens.size());
    return model_.extend(seq, tokens);
  }
  PassOutcome evaluate(std::span<const PassNode> nodes) override {
    now_ += seconds(nodes.size());
    return model_.evaluate(nodes);
  }

 private:
  double& now_;
};

struct Reading {
  double longest_s = 0.0;   // step while the long prompt was read
  double total_s = 0.0;     // of all these steps
  std::size_t n_steps = 0;  // until it was
  std::vector<std::vector<TokenId>> texts;
};

// n_decoding texts of short prompts, and one of a prompt of 700 tokens that comes in between.
Reading read_beside(std::size_t n_decoding, const BatchOptions& wanted, bool knows_costs) {
  TableModel target({.n_vocab = kVocab, .seed = 3, .n_context = 1200});
  target.mutable_limits().n_sequences = 16;
  double now = 0.0;
  ClockedModel timed(target, now);
  BatchOptions options = wanted;
  options.clock = [&now] { return now; };
  options.reuses_prefixes = false;
  const PassCost cost({{1, ClockedModel::seconds(1)}, {64, ClockedModel::seconds(64)}}, false);
  options.costs = std::make_shared<CostModel>();
  if (knows_costs) options.costs->target = cost;
  Batch batch(timed, nullptr, options);
  std::vector<Added> added;
  for (std::size_t i = 0; i < n_decoding; ++i) {
    Job job{std::vector<TokenId>(30, token_id(i + 1)), {}};
    job.options = {.method = parse_method("ar"), .seed = i, .max_tokens = 800};
    added.push_back(add(batch, job));
  }
  for (int i = 0; i < 30; ++i) (void)batch.step();
  Job job{{}, {}};
  std::mt19937 random(1);
  for (int i = 0; i < 700; ++i) job.prompt.push_back(token_id(random() % kVocab));
  job.options = {.method = parse_method("ar"), .seed = 77, .max_tokens = 5};
  added.push_back(add(batch, job));
  Reading out;
  for (bool goes_on = true; goes_on;) {
    const double begin = now;
    const bool is_read = !added.back().seen->tokens.empty() || added.back().seen->outcome;
    goes_on = batch.step();
    if (is_read) continue;
    out.longest_s = std::max(out.longest_s, now - begin);
    out.total_s += now - begin;
    ++out.n_steps;
  }
  for (const Added& text : added) out.texts.push_back(text.seen->tokens);
  return out;
}

TEST(BatchPrompts, LeaveTheOthersHalfOfTheTime) {
  for (const std::size_t n : {1U, 4U}) {
    const double plain_s = ClockedModel::seconds(n);
    // The least piece takes longer than a round here.
    const double least_s = ClockedModel::seconds(PromptPieces::kLeast);
    for (const bool knows_costs : {true, false}) {
      const Reading bound = read_beside(n, {}, knows_costs);
      EXPECT_LE(bound.longest_s, ClockedModel::seconds(n + 1) + std::max(1.2 * plain_s, least_s))
          << n;
      const Reading whole = read_beside(n, {.max_gap_ms = 3.6e6}, knows_costs);
      EXPECT_GT(whole.longest_s, 5 * plain_s) << "the control";
      EXPECT_LE(whole.n_steps, 4U);
      EXPECT_EQ(bound.texts, whole.texts) << "they are the same texts";
    }
  }
}

// As on a CPU, where the least piece takes as long as many rounds: it is not read in each.
TEST(BatchPrompts, LeaveTheOthersHalfOfTheTimeWhereTheLeastPieceTakesLonger) {
  ClockedModel::pass_s = 0.01;
  ASSERT_GT(ClockedModel::seconds(PromptPieces::kLeast), 8 * ClockedModel::seconds(1));
  for (const bool knows_costs : {true, false}) {
    const auto rounds = [](const Reading& reading) {
      return reading.total_s / (ClockedModel::seconds(1) * static_cast<double>(reading.n_steps));
    };
    const Reading bound = read_beside(1, {}, knows_costs);
    EXPECT_GT(rounds(bound), 1.7);
    EXPECT_LT(rounds(bound), 2.2);
    const Reading whole = read_beside(1, {.max_gap_ms = 3.6e6}, knows_costs);
    EXPECT_GT(rounds(whole), 20.0) << "the control";
    EXPECT_EQ(bound.texts, whole.texts);
  }
  ClockedModel::pass_s = 1.0;
}

TEST(BatchPrompts, KeepToTheGapThatWasAskedFor) {
  const double plain_s = ClockedModel::seconds(2);
  for (const double gap_s : {4.0, 6.0, 9.0}) {
    const Reading bound = read_beside(2, {.max_gap_ms = 1e3 * gap_s}, true);
    EXPECT_LE(bound.longest_s, gap_s + 0.5 * plain_s) << gap_s;
    EXPECT_GT(bound.longest_s, 0.4 * gap_s) << gap_s;
  }
  // Less than a round takes: prompts are read nevertheless.
  EXPECT_EQ(read_beside(2, {.max_gap_ms = 10.0}, true).texts.back().size(), 5U);
}

TEST(BatchPrompts, LetWhoComesNextWaitForAShortPieceOnly) {
  // As on a CPU.
  ClockedModel::pass_s = 0.01;
  const Reading bound = read_beside(0, {}, true);
  EXPECT_LE(bound.longest_s, ClockedModel::seconds(PromptPieces::kFirst));
  // Nobody can come where there is one place.
  const Reading whole = read_beside(0, {.max_active = 1}, true);
  EXPECT_GE(whole.longest_s, 0.9 * ClockedModel::seconds(kMost)) << "the control";
  EXPECT_EQ(bound.texts, whole.texts);
  ClockedModel::pass_s = 1.0;
  EXPECT_GE(read_beside(0, {}, true).longest_s, 0.9 * ClockedModel::seconds(kMost));
}

}  // namespace
}  // namespace gumbelspec
