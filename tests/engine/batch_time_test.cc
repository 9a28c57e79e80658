// What batches take, with a clock that the models move: never much longer than without a draft, no
// round much longer than a plain one, whatever the planner does not know.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "src/engine/batch_ledger.h"
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

// What a model's passes take. Units: seconds.
struct PassTime {
  double of_pass = 0.0;
  double of_token = 0.0;
  double of_text = 0.0;  // besides: for each sequence but the first
  double of_row = 0.0;   // own work with each row that is looked at

  [[nodiscard]] double seconds(std::size_t n, std::size_t n_texts = 1) const {
    return of_pass + of_token * static_cast<double>(n) + of_text * static_cast<double>(n_texts - 1);
  }
  // What a planner measures on one sequence.
  [[nodiscard]] PassCost cost(bool refines) const {
    return PassCost({{1, seconds(1)}, {16, seconds(16)}, {64, seconds(64)}}, refines);
  }
};

class ClockedModel final : public WrappedModel {
 public:
  ClockedModel(LanguageModel& model, PassTime time, double& now)
      : WrappedModel(model), time_(time), now_(now) {}

  PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override {
    if (!tokens.empty()) now_ += time_.seconds(tokens.size());
    return model_.extend(seq, tokens);
  }
  PassOutcome evaluate(std::span<const PassNode> nodes) override {
    std::map<SeqId, std::size_t> n_of_text;
    for (const PassNode& node : nodes) ++n_of_text[node.seq];
    now_ += time_.seconds(nodes.size(), n_of_text.size());
    const auto reads_on = [](const auto& text) { return text.second >= 4; };
    n_reading_on.push_back(
        static_cast<std::size_t>(std::count_if(n_of_text.begin(), n_of_text.end(), reads_on)));
    return model_.evaluate(nodes);
  }
  std::span<const float> row(std::size_t i) const override {
    now_ += time_.of_row;
    return model_.row(i);
  }

  // By passes: texts with several tokens there, in the draft's passes those that it had to catch up
  // with.
  std::vector<std::size_t> n_reading_on;

 private:
  PassTime time_;
  double& now_;
};

// How a draft can be worse than it looks.
struct Scene {
  std::string name;
  float share = 0.9F;  // how much of the draft is the target's
  PassTime target{1.0, 0.05, 0.0, 0.0};
  PassTime draft{0.1, 0.005, 0.0, 0.0};
  std::size_t n_prompt = 12;
  std::size_t n_tokens = 100;  // of a text
  bool is_known = false;       // the costs are taken at their word
  double max_gap_ms = 0.0;
};

struct BatchRun {
  double seconds = 0.0;
  BatchStatistics statistics;
  std::vector<double> rounds;  // seconds of those in which as many texts took part as can
  std::vector<std::vector<TokenId>> texts;
  std::size_t most_reading_on = 0;  // texts that the draft caught up with in one pass
  std::size_t n_reading_on = 0;     // passes with such
};

// n_at_once texts at any time, n_texts in all.
BatchRun run(const Scene& scene, bool has_draft, std::size_t n_at_once, std::size_t n_texts) {
  TableModel target({.n_vocab = kVocab, .seed = 3, .spread = 6.0F, .n_context = 400});
  target.mutable_limits().n_sequences = 16;
  TableModel draft = TableModel::draft_of(target, scene.share, 11);
  double now = 0.0;
  ClockedModel timed_target(target, scene.target, now);
  ClockedModel timed_draft(draft, scene.draft, now);
  const auto costs = std::make_shared<CostModel>(
      CostModel{scene.target.cost(!scene.is_known), scene.draft.cost(!scene.is_known)});
  Batch batch(timed_target, has_draft ? &timed_draft : nullptr,
              {.max_active = n_at_once,
               .costs = has_draft ? costs : std::make_shared<CostModel>(),
               .reuses_prefixes = false,
               .max_gap_ms = scene.max_gap_ms,
               .clock = [&now] { return now; }});
  std::mt19937_64 random(1);
  std::vector<Added> added;
  for (std::size_t i = 0; i < n_texts; ++i) {
    Job job;
    for (std::size_t k = 0; k < scene.n_prompt; ++k) {
      job.prompt.push_back(token_id(random() % kVocab));
    }
    // Not all end at once.
    job.options = {.method = parse_method(has_draft ? "gumbel-tree" : "ar"),
                   .seed = i,
                   .max_tokens = scene.n_tokens + random() % 16};
    added.push_back(add(batch, job));
  }
  BatchRun result;
  for (bool goes_on = true; goes_on;) {
    const double begin = now;
    const BatchStatistics before = batch.statistics();
    goes_on = batch.step();
    const BatchStatistics& after = batch.statistics();
    const bool is_full = before.n_active == n_at_once && after.n_active == n_at_once;
    if (is_full && after.n_prompt == before.n_prompt) result.rounds.push_back(now - begin);
  }
  result.seconds = now;
  result.statistics = batch.statistics();
  for (const Added& text : added) result.texts.push_back(text.seen->tokens);
  for (const std::size_t n : timed_draft.n_reading_on) {
    result.most_reading_on = std::max(result.most_reading_on, n);
    result.n_reading_on += n > 0 ? 1U : 0U;
  }
  return result;
}

std::vector<Scene> hard_scenes() {
  std::vector<Scene> scenes(6);
  scenes[0].name = "AGoodDraft";
  scenes[1].name = "ADraftThatIsAsSlow";
  scenes[1].draft = {0.5, 0.03, 0.0, 0.0};
  scenes[2].name = "ADraftThatGuesses";
  scenes[2].share = 0.1F;
  // Longer prompts than texts: what the draft reads of them never comes back.
  scenes[3].name = "LongPrompts";
  scenes[3].draft = {0.25, 0.02, 0.0, 0.0};
  scenes[3].n_prompt = 150;
  scenes[3].n_tokens = 20;
  scenes[3].share = 0.7F;
  // Passes over many texts take longer than those over one, which is what was measured.
  scenes[4].name = "TextsThatCost";
  scenes[4].target = {1.0, 0.02, 0.1, 0.0};
  scenes[4].draft = {0.1, 0.005, 0.1, 0.0};
  scenes[4].share = 0.7F;
  // Rows of large vocabularies.
  scenes[5].name = "OwnWork";
  scenes[5].draft = {0.1, 0.005, 0.0, 0.1};
  scenes[5].target = {1.0, 0.05, 0.0, 0.05};
  scenes[5].share = 0.7F;
  return scenes;
}

class BatchTime : public ::testing::TestWithParam<Scene> {};

TEST_P(BatchTime, IsNeverMuchMoreThanPlain) {
  const Scene& scene = GetParam();
  for (const std::size_t n : {1U, 2U, 4U, 8U, 16U}) {
    // The first allowance is 6 plain rounds, and is to be small beside all of them.
    const std::size_t n_rounds = n <= 2 ? 3200 : 1600;
    const std::size_t n_texts = std::max(n * n_rounds / (scene.n_tokens + 8), 2 * n);
    const BatchRun plain = run(scene, false, n, n_texts);
    const BatchRun drafted = run(scene, true, n, n_texts);
    EXPECT_EQ(drafted.texts, plain.texts) << n;
    const double gain = plain.seconds / drafted.seconds;
    EXPECT_GE(gain, 0.98) << n << " texts, closed " << drafted.statistics.n_closed_rounds << " of "
                          << drafted.statistics.n_rounds;
    RecordProperty("gain_" + std::to_string(n), std::to_string(gain));
    if (scene.name == "AGoodDraft" && n <= 2) EXPECT_GT(gain, 1.5) << n;
    if (scene.name == "AGoodDraft" && n <= 8)
      EXPECT_EQ(drafted.statistics.n_closed_rounds, 0U) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(Scenes, BatchTime, ::testing::ValuesIn(hard_scenes()),
                         [](const auto& test) { return test.param.name; });

// By the costs, which are right here.
Scene known_scene() {
  Scene scene;
  scene.is_known = true;
  scene.share = 1.0F;
  scene.target = {1.0, 0.01, 0.0, 0.0};
  scene.draft = {0.2, 0.002, 0.0, 0.0};
  return scene;
}

double longest(const BatchRun& run) {
  return *std::max_element(run.rounds.begin(), run.rounds.end());
}

TEST(BatchRoundTime, IsBoundInCompany) {
  const Scene scene = known_scene();
  for (const std::size_t n : {3U, 4U, 8U, 16U}) {
    const BatchRun drafted = run(scene, true, n, 4 * n);
    EXPECT_LE(longest(drafted), BatchOptions::kMostRound * scene.target.seconds(n) + 1e-9) << n;
    EXPECT_GT(drafted.statistics.n_drafted, drafted.statistics.n_generated / 4) << n;
  }
}

TEST(BatchRoundTime, IsWhatWasAskedFor) {
  Scene scene = known_scene();
  for (const std::size_t n : {1U, 2U, 4U, 8U}) {
    const double plain_s = scene.target.seconds(n);
    for (const double most : {1.6, 1.9, 2.2}) {
      scene.max_gap_ms = 1e3 * most * plain_s;
      const BatchRun drafted = run(scene, true, n, 4 * n);
      EXPECT_LE(longest(drafted), most * plain_s + 1e-9) << n << " " << most;
      EXPECT_GT(drafted.statistics.n_drafted, 0U) << n << " " << most;
    }
    // Less than a plain round takes: plain rounds.
    scene.max_gap_ms = 1e3 * 0.5 * plain_s;
    EXPECT_EQ(run(scene, true, n, 4 * n).statistics.n_drafted, 0U) << n;
  }
}

// The bounds above would hold of themselves if no plan wanted more.
TEST(BatchRoundTimeControl, IsMoreWhereItMayBe) {
  Scene scene = known_scene();
  scene.max_gap_ms = 1e6;
  for (const std::size_t n : {1U, 4U, 8U}) {
    EXPECT_GT(longest(run(scene, true, n, 4 * n)), 2.0 * scene.target.seconds(n)) << n;
  }
}

TEST(BatchRoundTime, IsNotSpentOnCatchingUpWithAllTextsAtOnce) {
  Scene scene = known_scene();
  scene.target = {1.0, 0.3, 0.0, 0.0};
  scene.draft = {0.02, 0.001, 0.0, 0.0};
  scene.share = 0.1F;
  std::size_t n_reading_on = 0;
  for (const std::size_t n : {4U, 8U, 16U}) {
    const BatchRun drafted = run(scene, true, n, 8 * n);
    EXPECT_LE(drafted.most_reading_on, 1U) << n;
    n_reading_on += drafted.n_reading_on;
  }
  EXPECT_GT(n_reading_on, 10U);
}

TEST(BatchOptions, RefuseAGapThatIsNone) {
  TableModel target({.n_vocab = kVocab});
  for (const double gap : {-1.0, 1e9, std::nan("")}) {
    EXPECT_THROW(Batch(target, nullptr, {.max_gap_ms = gap}), Error) << gap;
  }
}

// n texts, each of whose rounds brings `tokens` and takes `seconds`, where a plain one takes 1.
struct LedgerRun {
  double seconds = 0.0;
  double worth = 0.0;
  std::size_t n_drafted = 0;
};
LedgerRun run_ledger(BatchLedger& ledger, std::size_t n, std::size_t n_rounds, double seconds,
                     bool is_obeyed = true) {
  LedgerRun result;
  for (std::size_t i = 0; i < n_rounds; ++i) {
    const bool drafts = ledger.begin_round(n) || !is_obeyed;
    const double took = drafts ? seconds : 1.0;
    ledger.end_round(n, took, 1.0, drafts);
    result.seconds += took;
    result.worth += 1.0;
    result.n_drafted += drafts ? 1U : 0U;
  }
  return result;
}

TEST(BatchLedger, LimitsWhatAnyDraftCanLose) {
  for (const std::size_t n : {2U, 4U, 8U, 16U, 64U}) {
    for (const double seconds : {1.01, 1.1, 1.5, 3.0, 100.0}) {
      BatchLedger ledger;
      const LedgerRun all = run_ledger(ledger, n, 20'000, seconds);
      // A round that takes ever so long is taken for an interruption; one such per try.
      const double most_excess = std::max(seconds - 5.0, 0.0);
      EXPECT_LE(all.seconds - static_cast<double>(all.n_drafted) * most_excess,
                1.012 * all.worth + BatchLedger::kFirstAllowance + 1.0)
          << n << " " << seconds;
      EXPECT_GT(all.n_drafted, 10U) << n << " " << seconds;
    }
  }
}

TEST(BatchLedger, LeavesATextAloneToItsPlanner) {
  BatchLedger ledger;
  EXPECT_EQ(run_ledger(ledger, 1, 2'000, 1.5).n_drafted, 2'000U);
  EXPECT_TRUE(ledger.is_open(1));
}

TEST(BatchLedgerControl, WithoutItTheLossIsWhatItIs) {
  BatchLedger ledger;
  const LedgerRun all = run_ledger(ledger, 8, 20'000, 1.1, /*is_obeyed=*/false);
  EXPECT_GT(all.seconds, 1.09 * all.worth);
}

TEST(BatchLedger, NeverStopsADraftThatPays) {
  BatchLedger ledger;
  const LedgerRun all = run_ledger(ledger, 4, 10'000, 0.9);
  EXPECT_GE(all.n_drafted, 9'900U);
}

TEST(BatchLedger, LetsADraftTryAgainThatBeginsToPay) {
  BatchLedger ledger;
  (void)run_ledger(ledger, 4, 5'000, 1.3);
  EXPECT_FALSE(ledger.is_open(4));
  const LedgerRun later = run_ledger(ledger, 4, 2'000, 0.8);
  EXPECT_GT(later.n_drafted, 1'500U);
}

// What lost with four texts has little to lose with eight.
TEST(BatchLedger, BeginsWithWhatFewerTextsSaid) {
  const auto lost_with_eight = [](std::size_t n_before) {
    BatchLedger ledger;
    if (n_before > 0) (void)run_ledger(ledger, n_before, 200, 1.3);
    const LedgerRun all = run_ledger(ledger, 8, 200, 1.3);
    return all.seconds - all.worth;
  };
  EXPECT_LT(lost_with_eight(4), 0.5 * lost_with_eight(0));
  EXPECT_EQ(lost_with_eight(2), lost_with_eight(0)) << "that of 3 or 4 is new itself";
}

// Expectations leave interruptions out, what rounds take does not: that must not count against the
// draft.
TEST(BatchLedger, ComparesWithWhatPlainRoundsReallyTake) {
  for (const double busy : {1.0, 1.5, 3.0}) {
    BatchLedger ledger;
    std::size_t n_drafted = 0;
    for (std::size_t i = 0; i < 5'000; ++i) {
      const bool drafts = ledger.begin_round(4);
      ledger.end_round(4, busy * (drafts ? 0.9 : 1.0), 1.0, drafts);
      n_drafted += drafts ? 1U : 0U;
    }
    EXPECT_GT(n_drafted, 4'000U) << busy;
  }
}

TEST(BatchLedger, AFormerGainPaysForNoLastingLoss) {
  BatchLedger ledger;
  (void)run_ledger(ledger, 4, 10'000, 0.5);
  const LedgerRun later = run_ledger(ledger, 4, 2'000, 1.2);
  EXPECT_LT(later.seconds, 1.02 * later.worth + BatchLedger::kFirstAllowance);
}

TEST(BatchLedger, HasAnAccountForEachNumberOfTexts) {
  BatchLedger ledger;
  (void)run_ledger(ledger, 8, 2'000, 1.5);
  EXPECT_FALSE(ledger.is_open(8));
  EXPECT_FALSE(ledger.is_open(5));
  EXPECT_TRUE(ledger.is_open(4));
  EXPECT_TRUE(ledger.is_open(1));
  EXPECT_TRUE(ledger.is_open(9));
  EXPECT_TRUE(ledger.is_open(100'000));
}

}  // namespace
}  // namespace gumbelspec
