// Planned trees on the in-memory models, with time that is counted instead of measured: a pass
// over n tokens takes what a given curve says.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "gumbelspec/session.h"
#include "testing/timed_pair.h"

namespace gumbelspec {
namespace {

using testing::TimedPair;

struct World : TimedPair {
  using TimedPair::TimedPair;

  Session session(const char* method, std::size_t n, SamplingOptions sampling = {}) {
    return Session(
        timed_target, &timed_draft,
        {.sampling = sampling, .method = parse_method(method), .seed = 1, .max_tokens = n},
        {.costs = costs});
  }
  // Tokens per counted second.
  double rate(const char* method, std::size_t n = 1500, SamplingOptions sampling = {}) {
    Session s = session(method, n, sampling);
    timed_target.restart();
    timed_draft.restart();
    const std::vector<TokenId> prompt = {TokenId{1}};
    Outcome outcome = s.start(prompt);
    while (outcome == Outcome::running) outcome = s.step();
    return static_cast<double>(s.statistics().n_generated) / seconds();
  }
};

enum class Curve { flat, cheap, linear, steep, staircase };

CostModel costs(Curve curve, double draft_s = 0.05) {
  std::vector<CostPoint> target;
  for (std::size_t n = 1; n <= 66; ++n) {
    const auto more = static_cast<double>(n - 1);
    double seconds = 1.0;
    switch (curve) {
      case Curve::flat:
        seconds += 0.001 * more;
        break;
      case Curve::cheap:  // our kernels: eight for the price of one, then linear
        seconds += n <= 8 ? 0.02 * more : 0.14 + 0.07 * (more - 7.0);
        break;
      case Curve::linear:  // llama.cpp on a CPU
        seconds += 0.35 * more;
        break;
      case Curve::steep:
        seconds += 1.0 * more;
        break;
      case Curve::staircase:
        seconds += 0.6 * static_cast<double>((n - 1) / 8);
        break;
    }
    target.push_back({n, seconds});
  }
  std::vector<CostPoint> draft = {{1, draft_s}, {8, 1.2 * draft_s}, {64, 4.0 * draft_s}};
  return {PassCost(target, false), PassCost(draft, false)};
}

const char* const kFixedShapes[] = {
    "ar",
    "gumbel-chain:length=1",
    "gumbel-chain:length=2",
    "gumbel-chain:length=3",
    "gumbel-chain:length=5",
    "gumbel-beam:width=2,length=2",
    "gumbel-beam:width=2,length=3",
    "gumbel-beam:width=4,length=5",
    "gumbel-tree:nodes=3",
    "gumbel-tree:nodes=7",
    "gumbel-tree:nodes=7,length=3",
    "gumbel-tree:nodes=15,length=4",
    "gumbel-tree:nodes=15",
    "gumbel-tree:nodes=31",
    "gumbel-tree:nodes=64",
};

class Regret : public ::testing::TestWithParam<Curve> {};

TEST_P(Regret, OfThePlannerAgainstTheBestFixedShapeIsSmall) {
  for (const float share : {0.95F, 0.8F, 0.5F, 0.0F}) {
    World world(share, costs(GetParam()));
    double best = 0.0;
    const char* name = "";
    for (const char* shape : kFixedShapes) {
      const double rate = world.rate(shape);
      if (rate > best) name = shape;
      best = std::max(best, rate);
    }
    const double planned = world.rate("gumbel-tree");
    EXPECT_GE(planned, 0.97 * best) << "share " << share << ", best: " << name;
  }
}

TEST_P(Regret, IsSmallAtTemperatureZeroAndWithTruncation) {
  for (const SamplingOptions& sampling :
       {SamplingOptions{.temperature = 0.0F}, SamplingOptions{.temperature = 0.7F, .top_k = 8}}) {
    World world(0.8F, costs(GetParam()));
    double best = 0.0;
    for (const char* shape : kFixedShapes) best = std::max(best, world.rate(shape, 800, sampling));
    EXPECT_GE(world.rate("gumbel-tree", 800, sampling), 0.96 * best);
  }
}

std::string name_of(const ::testing::TestParamInfo<Curve>& info) {
  const char* const names[] = {"Flat", "Cheap", "Linear", "Steep", "Staircase"};
  return names[static_cast<int>(info.param)];
}
INSTANTIATE_TEST_SUITE_P(Curves, Regret,
                         ::testing::Values(Curve::flat, Curve::cheap, Curve::linear, Curve::steep,
                                           Curve::staircase),
                         name_of);

TEST(Planner, NeverLosesToPlainDecodingWithAUselessDraft) {
  for (const Curve curve : {Curve::cheap, Curve::linear, Curve::steep}) {
    for (const double draft_s : {0.05, 0.3}) {
      World world(0.0F, costs(curve, draft_s));
      world.timed_draft.set_blind(true);
      // A short text, in which it has to find out.
      EXPECT_GE(world.rate("gumbel-tree", 128), 0.97 * world.rate("ar", 128))
          << static_cast<int>(curve) << ", draft " << draft_s;
    }
  }
}

TEST(Planner, FindsItsWayBackWhenTheTextGetsEasier) {
  World world(0.9F, costs(Curve::linear));
  Session s = world.session("gumbel-tree", 4000);
  const std::vector<TokenId> prompt = {TokenId{1}};
  Outcome outcome = s.start(prompt);
  const auto rate_of = [&](std::size_t n) {
    const double before = world.seconds();
    const std::size_t first = s.generated().size();
    while (outcome == Outcome::running && s.generated().size() < first + n) outcome = s.step();
    return static_cast<double>(s.generated().size() - first) / (world.seconds() - before);
  };
  const double easy = rate_of(1000);
  world.timed_draft.set_blind(true);
  rate_of(500);
  const double hard = rate_of(500);
  world.timed_draft.set_blind(false);
  rate_of(500);
  const double easy_again = rate_of(1000);
  EXPECT_GT(easy, 1.2) << "drafting pays at first";
  EXPECT_GT(hard, 0.97) << "and then costs nothing";
  EXPECT_GT(easy_again, 0.95 * easy);
  EXPECT_GT(s.planner_report()->n_probes, 0U);
}

TEST(Planner, DoesNotChangeTheTextHoweverAbsurdItsBeliefs) {
  const std::vector<TokenId> prompt = {TokenId{1}};
  const auto text = [&](World& world, const char* method) {
    Session s = world.session(method, 300);
    Outcome outcome = s.start(prompt);
    while (outcome == Outcome::running) outcome = s.step();
    return std::vector<TokenId>(s.text().begin(), s.text().end());
  };
  World plain(0.7F, costs(Curve::cheap));
  const std::vector<TokenId> expected = text(plain, "ar");
  // Passes that are free or never end, values that mean nothing.
  const CostModel absurd[] = {
      costs(Curve::flat, 1e-9),
      costs(Curve::steep, 100.0),
      {PassCost({{1, 1e-12}, {64, 1e-12}}, false), PassCost({{1, 1e-12}}, false)},
      {PassCost({{1, 1e9}, {2, 1e-9}}, false), PassCost({{1, 1e-9}}, false)},
  };
  for (const CostModel& model : absurd) {
    for (const char* method : {"gumbel-tree:tau=0.01", "gumbel-tree:tau=10", "gumbel-tree",
                               "gumbel-tree:max=3,width=1,length=2"}) {
      World world(0.7F, model);
      EXPECT_EQ(text(world, method), expected) << method;
    }
  }
}

TEST(Planner, CarriesWhatItLearntToTheNextSessionAndChangesNoToken) {
  // A draft that is better than a planner expects of a new one.
  World world(0.9F, costs(Curve::linear, 0.05));
  const auto text = [&](const std::shared_ptr<CalibrationStore>& store, std::uint64_t seed) {
    Session s(world.timed_target, &world.timed_draft,
              {.method = parse_method("gumbel-tree"), .seed = seed, .max_tokens = 64},
              {.costs = world.costs, .calibrations = store});
    const std::vector<TokenId> prompt = {TokenId{1}};
    Outcome outcome = s.start(prompt);
    while (outcome == Outcome::running) outcome = s.step();
    return std::vector<TokenId>(s.text().begin(), s.text().end());
  };
  const auto store = std::make_shared<CalibrationStore>();
  (void)text(store, 99);
  ASSERT_EQ(store->records().size(), 1U);
  const auto seconds = [&](const std::shared_ptr<CalibrationStore>& used,
                           std::vector<std::vector<TokenId>>& texts) {
    world.timed_target.restart();
    world.timed_draft.restart();
    for (std::uint64_t seed = 1; seed <= 10; ++seed) texts.push_back(text(used, seed));
    return world.seconds();
  };
  std::vector<std::vector<TokenId>> afresh;
  std::vector<std::vector<TokenId>> carried;
  const double alone = seconds(nullptr, afresh);
  EXPECT_LT(seconds(store, carried), 0.995 * alone);
  EXPECT_EQ(carried, afresh);
  // Absurd beliefs are only slow.
  CalibrationRecord absurd = store->records()[0];
  for (double& x : absurd.numbers) x = 1.0;
  store->keep(absurd);
  EXPECT_EQ(text(store, 1), afresh[0]);
}

TEST(Planner, DecidesTheSameEveryTimeWhenTimeIsGiven) {
  std::vector<std::size_t> first;
  for (int i = 0; i < 2; ++i) {
    World world(0.8F, costs(Curve::cheap));
    Session s = world.session("gumbel-tree", 300);
    const std::vector<TokenId> prompt = {TokenId{1}};
    Outcome outcome = s.start(prompt);
    std::vector<std::size_t> sizes;
    while (outcome == Outcome::running) {
      outcome = s.step();
      sizes.push_back(s.last_tree().size());
    }
    if (i == 0) first = sizes;
    EXPECT_EQ(sizes, first);
  }
}

TEST(Planner, ReportsWhatItExpectedAndWhatCame) {
  World world(0.8F, costs(Curve::cheap));
  Session s = world.session("gumbel-tree", 3000);
  const std::vector<TokenId> prompt = {TokenId{1}};
  Outcome outcome = s.start(prompt);
  while (outcome == Outcome::running) outcome = s.step();
  const PlannerReport& report = *s.planner_report();
  EXPECT_NEAR(report.expected_tokens / static_cast<double>(report.n_tokens), 1.0, 0.1);
  std::size_t n_rounds = 0;
  for (const std::size_t n : report.rounds_by_nodes) n_rounds += n;
  // There is nothing to plan where one token is left.
  EXPECT_GE(n_rounds + 1, s.statistics().n_rounds);
  EXPECT_LE(n_rounds, s.statistics().n_rounds);
  double expected = 0.0;
  double hits = 0.0;
  for (const CalibrationBin& bin : report.calibration) {
    expected += bin.expected;
    hits += static_cast<double>(bin.n_hit);
  }
  EXPECT_NEAR(expected / hits, 1.0, 0.1);
  Session plain = world.session("ar", 10);
  EXPECT_EQ(plain.planner_report(), nullptr);
}

// The tree of N nodes is the N best of a larger search, and closed: parents before children.
TEST(TreeDrafter, TakesTheNodesOfHighestValue) {
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const std::vector<TokenId> prompt = {TokenId{2}, TokenId{1}};
    std::vector<std::vector<float>> values;
    for (const char* method : {"gumbel-tree:nodes=9", "gumbel-tree:nodes=64"}) {
      World world(0.7F, costs(Curve::flat));
      Session s = world.session(method, 100);
      static_cast<void>(s.start(prompt, seed));
      static_cast<void>(s.step());
      const DraftTree& tree = s.last_tree();
      std::vector<float> sorted;
      for (std::size_t i = 1; i < tree.size(); ++i) {
        EXPECT_LE(tree.log_value(node_id(i)), tree.log_value(tree.parent(node_id(i))));
        sorted.push_back(tree.log_value(node_id(i)));
      }
      std::sort(sorted.begin(), sorted.end(), std::greater<>());
      values.push_back(sorted);
    }
    ASSERT_EQ(values[0].size(), 9U);
    ASSERT_GE(values[1].size(), 9U);
    for (std::size_t i = 0; i < 9; ++i) EXPECT_EQ(values[0][i], values[1][i]) << i;
  }
}

}  // namespace
}  // namespace gumbelspec
