// The guarantee of the distribution: gumbel-tree, rejection and rejection-tree in one text.
#include "src/engine/mixed_method.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "gumbelspec/session.h"
#include "testing/reference.h"
#include "testing/statistics.h"
#include "testing/table_model.h"
#include "testing/timed_pair.h"

namespace gumbelspec {
namespace {

using testing::g_test;
using testing::joint_probabilities;
using testing::TableModel;
using testing::TestResult;
using testing::TimedPair;

const std::vector<TokenId> kPrompt = {TokenId{1}, TokenId{3}};

using Arms = std::array<std::size_t, kArms>;

CostModel costs(std::vector<CostPoint> target, double draft_s = 0.05) {
  return {PassCost(std::move(target), false),
          PassCost({{1, draft_s}, {8, 1.2 * draft_s}, {64, 4.0 * draft_s}}, false)};
}
CostModel flat() { return costs({{1, 1.0}, {66, 1.1}}); }
// Every further node costs a good part of a pass: few are all one can afford.
CostModel dear() { return costs({{1, 1.0}, {66, 1.0 + 65 * 0.35}}); }

// The same arm for the same seed and position, and nothing to do with the noise.
Arm scrambled(std::uint64_t seed, std::size_t position) {
  std::uint64_t x = (seed * 1000003U + position) * 0x9e3779b97f4a7c15U;
  x ^= x >> 29U;
  x *= 0xbf58476d1ce4e5b9U;
  return static_cast<Arm>((x >> 33U) % kArms);
}

struct JointCase {
  std::size_t block = 2;
  SamplingOptions sampling = {};
  CostModel costs = flat();
  // By seed and position; empty: the fastest.
  std::function<Arm(std::uint64_t, std::size_t)> choose = {};
};

// The parts that a text of Guarantee::distribution would have, with other blocks.
MethodParts mix(TextOptions& options, const TableModel& draft, const MixedOptions& mixed) {
  MethodParts parts = make_mixed_method(options, draft.limits(), draft.limits().n_vocab, mixed);
  options.drafter = parts.drafter;
  options.verifier = parts.verifier;
  return parts;
}

struct JointResult {
  TestResult test;
  Arms blocks{};
};

// Three tokens of four, so that a tree may go further than what is counted.
JointResult joint(const JointCase& c, std::size_t n_texts, std::uint64_t first_seed) {
  TableModel target({.n_vocab = 5, .seed = 20240607, .spread = 1.5F});
  TableModel draft = TableModel::draft_of(target, 0.6F, 977);
  std::uint64_t seed = 0;
  TextOptions options;
  options.sampling = c.sampling;
  options.method = parse_method("gumbel-tree");
  options.max_tokens = 4;
  MixedOptions mixed = {.block = c.block};
  if (c.choose) mixed.choose = [&](std::size_t position) { return c.choose(seed, position); };
  const MethodParts parts = mix(options, draft, mixed);
  Session session(target, &draft, options, {.costs = std::make_shared<CostModel>(c.costs)});
  std::vector<std::uint64_t> counts(125);
  for (std::size_t i = 0; i < n_texts; ++i) {
    seed = first_seed + i;
    Outcome outcome = session.start(kPrompt, seed);
    while (outcome == Outcome::running) outcome = session.step();
    std::size_t at = 0;
    for (std::size_t j = 0; j < 3; ++j) at = at * 5 + index(session.generated()[j].token);
    ++counts[at];
  }
  return {g_test(counts, joint_probabilities(target, c.sampling, kPrompt, 3)), *parts.blocks};
}

constexpr std::size_t kTexts = 300000;

TEST(MixedMethod, HasTheTargetsDistribution) {
  std::uint64_t first_seed = 1;
  for (const std::size_t block : {1, 2, 3}) {
    for (const SamplingOptions& sampling :
         {SamplingOptions{}, SamplingOptions{.temperature = 0.6F, .top_p = 0.9F}}) {
      const JointResult r =
          joint({.block = block, .sampling = sampling, .choose = scrambled}, kTexts, first_seed);
      first_seed += kTexts;
      EXPECT_GE(r.test.p_value, 1e-5) << "blocks of " << block << ", G " << r.test.statistic;
      for (const std::size_t n : r.blocks) EXPECT_GT(n, kTexts / 2);
      RecordProperty("p" + std::to_string(first_seed), std::to_string(r.test.p_value));
    }
  }
}

TEST(MixedMethod, HasTheTargetsDistributionWhenItTakesTheFastest) {
  std::uint64_t first_seed = 100000001;
  for (const CostModel& model : {flat(), dear()}) {
    for (const std::size_t block : {1, 2}) {
      const JointResult r = joint({.block = block, .costs = model}, kTexts, first_seed);
      first_seed += kTexts;
      EXPECT_GE(r.test.p_value, 1e-5) << "blocks of " << block << ", G " << r.test.statistic;
      RecordProperty("p" + std::to_string(first_seed), std::to_string(r.test.p_value));
    }
  }
}

// The negative control: arms that are chosen by the noise which decides the block's tokens.
TEST(MixedMethod, IsCaughtPeeking) {
  const auto peek = [](std::uint64_t seed, std::size_t position) {
    const float noise = noise_at({seed}, position_after(position), TokenId{0});
    return noise > 1.0F ? Arm::gumbel_tree : Arm::block;
  };
  const JointResult r = joint({.block = 2, .choose = peek}, 100000, 1);
  EXPECT_LT(r.test.p_value, 1e-9);
}

// Remembers how far the text's own noise was looked at.
class WatchedNoise final : public NoiseSource {
 public:
  explicit WatchedNoise(std::size_t& most) : most_(most) {}
  void fill(NoiseKey key, Position position, std::span<float> out) const override {
    most_ = std::max(most_, index(position));
    GumbelNoise().fill(key, position, out);
  }

 private:
  std::size_t& most_;
};

TEST(MixedMethod, LooksAtNothingOfABlockBeforeItsArmIsChosen) {
  for (const std::size_t block : {1, 3, 8, 64}) {
    TableModel target({.n_vocab = 12, .n_context = 2000});
    TableModel draft = TableModel::draft_of(target, 0.95F, 5);
    TextOptions options;
    options.method = parse_method("gumbel-tree");
    options.max_tokens = 600;
    std::size_t most = 0;
    std::size_t n_choices = 0;
    bool crosses = false;
    const auto choose = [&](std::size_t first) {
      EXPECT_LT(most, first);
      ++n_choices;
      return scrambled(7, first / (2 * block));
    };
    mix(options, draft, {.block = block, .choose = choose});
    Session session(target, &draft, options,
                    {.costs = std::make_shared<CostModel>(flat()),
                     .noise = std::make_shared<WatchedNoise>(most)});
    Outcome outcome = session.start(kPrompt, 3);
    while (outcome == Outcome::running) {
      const std::size_t n_text = session.text().size();
      outcome = session.step();
      const DraftTree& tree = session.last_tree();
      for (std::size_t i = 0; i < tree.size(); ++i) {
        most = std::max(most, n_text + static_cast<std::size_t>(tree.depth(node_id(i))));
      }
      const std::size_t here = (n_text - kPrompt.size()) / block;
      crosses = crosses || (most - kPrompt.size()) / block > here;
    }
    EXPECT_EQ(outcome, Outcome::length);
    EXPECT_GE(n_choices, 600 / block);
    EXPECT_TRUE(crosses) << "rounds go on where the arm stays";
  }
}

struct World : TimedPair {
  using TimedPair::TimedPair;

  // Tokens per counted second.
  double rate(const char* method, Guarantee guarantee = Guarantee::seed) {
    Session s(
        timed_target, &timed_draft,
        {.method = parse_method(method), .guarantee = guarantee, .seed = 1, .max_tokens = 3000},
        {.costs = costs});
    timed_target.restart();
    timed_draft.restart();
    Outcome outcome = s.start(kPrompt);
    while (outcome == Outcome::running) outcome = s.step();
    return static_cast<double>(s.statistics().n_generated) / seconds();
  }
};

TEST(MixedMethod, IsNearlyAsFastAsTheFasterOne) {
  for (const CostModel& model : {flat(), dear(), costs({{1, 1.0}, {4, 1.1}, {66, 70.0}})}) {
    for (const float share : {0.9F, 0.6F, 0.0F}) {
      World world(share, model);
      const double gumbel = world.rate("gumbel-tree");
      double rejection = 0.0;
      for (const char* method :
           {"rejection:length=1", "rejection:length=2", "rejection:length=3", "rejection:length=5",
            "rejection:length=8", "rejection-tree:length=4,nodes=4",
            "rejection-tree:length=4,nodes=8", "rejection-tree:length=8,nodes=32", "block:length=2",
            "block:length=3", "block:length=5", "block:length=8", "block:length=12"}) {
        rejection = std::max(rejection, world.rate(method));
      }
      const double mixed = world.rate("gumbel-tree", Guarantee::distribution);
      EXPECT_GE(mixed, 0.95 * std::max(gumbel, rejection))
          << "share " << share << ", gumbel " << gumbel << ", rejection " << rejection;
    }
  }
}

std::vector<TokenId> text_of(Session& session, std::uint64_t seed = 1) {
  Outcome outcome = session.start(kPrompt, seed);
  while (outcome == Outcome::running) outcome = session.step();
  return {session.text().begin(), session.text().end()};
}

TEST(MixedMethod, SaysTheSameForASeedWhenTimeIsCounted) {
  std::set<std::vector<TokenId>> texts;
  for (int i = 0; i < 2; ++i) {
    World world(0.8F, dear());
    Session s(world.target, &world.draft,
              {.method = parse_method("gumbel-tree"),
               .guarantee = Guarantee::distribution,
               .max_tokens = 1000},
              {.costs = world.costs});
    texts.insert(text_of(s));
  }
  EXPECT_EQ(texts.size(), 1U);
}

// The arms share one reading of the text.
TEST(MixedMethod, NeedsOneSequenceOfTheDraft) {
  const auto text = [](Guarantee guarantee, float temperature) {
    World world(0.8F, dear());
    world.draft.mutable_limits().n_sequences = 1;
    Session s(world.target, &world.draft,
              {.sampling = {.temperature = temperature},
               .method = parse_method("gumbel-tree"),
               .guarantee = guarantee,
               .max_tokens = 600},
              {.costs = world.costs});
    return text_of(s);
  };
  EXPECT_NE(text(Guarantee::distribution, 1.0F), text(Guarantee::seed, 1.0F));
  EXPECT_EQ(text(Guarantee::distribution, 0.0F), text(Guarantee::seed, 0.0F));
}

TEST(MixedMethod, SurvivesAFullDraftACancelledOneAndAShortContext) {
  World world(0.8F, flat());
  TextOptions options = {.method = parse_method("gumbel-tree"), .max_tokens = 400};
  const auto choose = [](std::size_t first) { return scrambled(5, first); };
  mix(options, world.draft, {.block = 4, .choose = choose});
  Session s(world.target, &world.draft, options, {.costs = world.costs});
  const std::vector<TokenId> expected = text_of(s);
  Outcome outcome = s.start(kPrompt, 1);
  for (int i = 0; i < 10; ++i) outcome = s.step();
  world.draft.set_full(true);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(outcome = s.step(), Outcome::running);
  world.draft.set_full(false);
  for (int i = 0; i < 10; ++i) ASSERT_EQ(outcome = s.step(), Outcome::running);
  world.draft.set_cancelled(true);
  while (outcome == Outcome::running) outcome = s.step();
  EXPECT_EQ(outcome, Outcome::cancelled);
  world.draft.set_cancelled(false);
  EXPECT_EQ(text_of(s).size(), expected.size());
  world.draft.mutable_limits().n_context = 50;
  EXPECT_EQ(text_of(s).size(), expected.size());
}

}  // namespace
}  // namespace gumbelspec
