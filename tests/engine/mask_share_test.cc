// Constraints that take long: what other texts of the batch notice of them. The clock is moved by
// the models and the masks.
#include <gtest/gtest.h>

#include <memory>
#include <string>
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

// A pass takes a second, a drafted one a twentieth.
class ClockedModel final : public WrappedModel {
 public:
  ClockedModel(LanguageModel& model, double seconds, double& now)
      : WrappedModel(model), seconds_(seconds), now_(now) {}
  PassOutcome evaluate(std::span<const PassNode> nodes) override {
    now_ += seconds_;
    return model_.evaluate(nodes);
  }

 private:
  double seconds_;
  double& now_;
};

// Even tokens only, found slowly.
class SlowConstraint final : public TokenConstraint {
 public:
  SlowConstraint(double seconds, double& now)
      : seconds_(seconds), now_(now), words_((kVocab + 31) / 32, 0x55555555U) {}
  std::span<const std::uint32_t> allowed(std::span<const TokenId> /*generated*/,
                                         std::span<const TokenId> /*path*/) override {
    now_ += seconds_;
    return words_;
  }

 private:
  double seconds_;
  double& now_;
  std::vector<std::uint32_t> words_;
};

struct Scene {
  double mask_s = 0.0;
  std::size_t n_slow = 1;
  std::size_t n_plain = 1;
  const char* method = "ar";
};

struct Times {
  double plain_s = 0.0;  // until the plain texts had ended
  double all_s = 0.0;
  std::size_t n_rounds = 0;
  std::vector<std::vector<TokenId>> texts;
};

Times run(const Scene& scene) {
  TableModel target({.n_vocab = kVocab, .seed = 3, .n_context = 200});
  target.mutable_limits().n_sequences = 16;
  TableModel draft = TableModel::draft_of(target, 0.9F, 9);
  double now = 0.0;
  ClockedModel timed_target(target, 1.0, now);
  ClockedModel timed_draft(draft, 0.05, now);
  const auto costs = std::make_shared<CostModel>(
      CostModel{PassCost({{1, 1.0}, {64, 1.0}}, false), PassCost({{1, 0.05}, {64, 0.05}}, false)});
  Batch batch(timed_target, &timed_draft, {.costs = costs, .clock = [&now] { return now; }});
  std::vector<Added> added;
  for (std::size_t i = 0; i < scene.n_slow + scene.n_plain; ++i) {
    Job job{{token_id(i + 1)}, {}};
    job.options.method = parse_method(scene.method);
    job.options.seed = i;
    const bool is_slow = i < scene.n_slow;
    job.options.max_tokens = is_slow ? 60 : 100;
    if (is_slow) job.options.constraint = std::make_shared<SlowConstraint>(scene.mask_s, now);
    added.push_back(add(batch, job));
  }
  Times times;
  for (bool goes_on = true; goes_on;) {
    goes_on = batch.step();
    bool has_plain = false;
    for (std::size_t i = scene.n_slow; i < added.size(); ++i) {
      has_plain = has_plain || !added[i].seen->outcome;
    }
    if (has_plain) times.plain_s = now;
  }
  times.all_s = now;
  times.n_rounds = batch.statistics().n_rounds;
  for (const Added& text : added) {
    EXPECT_EQ(text.seen->outcome, Outcome::length);
    times.texts.push_back(text.seen->tokens);
  }
  return times;
}

TEST(MaskShare, ASlowGrammarTakesATenthOfTheTimeOfOthers) {
  for (const char* method : {"ar", "gumbel-tree"}) {
    const Times quick = run({.mask_s = 0.0, .method = method});
    for (const double mask_s : {0.05, 0.2, 1.0, 6.0}) {
      const Times slow = run({.mask_s = mask_s, .method = method});
      // And once what it may owe: a round, and the mask that goes beyond that; where it drafts, in
      // its first round, one for each node of its path.
      const double once_s = 1.0 + mask_s * (std::string(method) == "ar" ? 1.0 : 2.0);
      EXPECT_LE(slow.plain_s, 1.1 * quick.plain_s + once_s) << method << mask_s;
      EXPECT_EQ(slow.texts, quick.texts) << method << mask_s;
    }
  }
}

TEST(MaskShare, ManySlowGrammarsTakeThreeTenthsTogether) {
  const Times quick = run({.mask_s = 0.0, .n_slow = 10});
  const Times slow = run({.mask_s = 0.5, .n_slow = 10});
  EXPECT_LE(slow.plain_s, 1.3 * quick.plain_s + 10 * 1.5);
  EXPECT_EQ(slow.texts, quick.texts);
}

TEST(MaskShare, WithinTheirShareNobodyWaits) {
  EXPECT_EQ(run({.mask_s = 0.09}).n_rounds, run({.mask_s = 0.0}).n_rounds);
}

TEST(MaskShare, NobodyWaitsWhereAllWould) {
  for (const std::size_t n_slow : {1U, 5U}) {
    EXPECT_EQ(run({.mask_s = 3.0, .n_slow = n_slow, .n_plain = 0}).n_rounds, 60U) << n_slow;
  }
}

// When the others have gone, a text that waited goes on at full speed.
TEST(MaskShare, NothingIsOwedToTextsThatHaveEnded) {
  const Times slow = run({.mask_s = 4.0});
  EXPECT_LE(slow.all_s, slow.plain_s + 60 * 5.0 + 1.0);
  EXPECT_GT(slow.all_s, slow.plain_s + 40 * 5.0) << "most of it was still to come";
}

}  // namespace
}  // namespace gumbelspec
