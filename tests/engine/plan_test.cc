// What to draft and verify, against all possibilities where these can be counted.
#include "src/engine/plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <random>
#include <vector>

#include "src/engine/own_time.h"

namespace gumbelspec {
namespace {

// 1 + slope (n - 1), and a step up at every multiple of `step` if that is not 0.
CostModel costs(double slope, double draft_s, std::size_t step = 0, double step_s = 0.0) {
  std::vector<CostPoint> target;
  for (std::size_t n = 1; n <= 66; ++n) {
    const double steps = step == 0 ? 0.0 : static_cast<double>((n - 1) / step);
    target.push_back({n, 1.0 + slope * static_cast<double>(n - 1) + step_s * steps});
  }
  return {PassCost(target, false), PassCost({{1, draft_s}, {64, draft_s}}, false)};
}

std::vector<double> random_values(std::mt19937& random, std::size_t n) {
  std::vector<double> values(n);
  for (double& v : values) v = std::pow(std::uniform_real_distribution<>(0.0, 1.0)(random), 2.0);
  std::sort(values.begin(), values.end(), std::greater<>());
  return values;
}

TEST(BestNodeCount, IsTheBestOfAllCounts) {
  std::mt19937 random(1);
  for (const CostModel& model : {costs(0.0, 0.1), costs(0.2, 0.1), costs(1.0, 0.1),
                                 costs(0.0, 0.1, 8, 1.0), costs(0.02, 0.1, 4, 0.3)}) {
    for (const double rate : {0.5, 1.0, 3.0}) {
      const Prices prices{&model, rate};
      const std::vector<double> values = random_values(random, 40);
      const NodeCount best = best_node_count(values, prices);
      double tokens = 0.0;
      for (std::size_t n = 1; n <= values.size(); ++n) {
        tokens += values[n - 1];
        const double gain = tokens - rate * (model.target.seconds(n + 1) - model.target.seconds(1));
        EXPECT_LE(gain, best.gain + 1e-12) << n;
        if (n == best.n) {
          EXPECT_NEAR(gain, best.gain, 1e-12);
        }
      }
      EXPECT_GE(best.gain, 0.0);
    }
  }
}

TEST(BestNodeCount, OfAChainCountsWhatIsReadAgainAfterARejection) {
  const std::vector<double> values = {0.8, 0.6, 0.5, 0.05};
  const CostModel model = costs(0.1, 0.1);
  const Prices snapshots{&model, 1.0};
  Prices copies = snapshots;
  copies.rereads = true;
  double best_gain = 0.0;
  std::size_t best = 0;
  double tokens = 0.0;
  for (std::size_t n = 1; n <= values.size(); ++n) {
    tokens += values[n - 1];
    // A slope of 0.1 for each: the nodes, and if one is rejected the root and what was accepted.
    const double reread = 0.1 * (1.0 - values[n - 1]) * std::round(1.0 + tokens);
    const double gain = tokens - 0.1 * static_cast<double>(n) - reread;
    if (gain > best_gain) best = n, best_gain = gain;
  }
  EXPECT_EQ(best_node_count(values, copies).n, best);
  EXPECT_NEAR(best_node_count(values, copies).gain, best_gain, 1e-9);
  EXPECT_LT(best_gain, best_node_count(values, snapshots).gain);
  EXPECT_EQ(best_node_count(values, snapshots).n, 3U);
}

TEST(BestNodeCount, TakesAllWhereTheyAreFreeAndNoneWhereTheyCostATokenEach) {
  const std::vector<double> values = {0.7, 0.5, 0.2, 0.1, 0.01};
  const CostModel flat = costs(0.0, 0.1);
  const CostModel steep = costs(1.0, 0.1);
  EXPECT_EQ(best_node_count(values, {&flat, 1.0}).n, 5U);
  EXPECT_EQ(best_node_count(values, {&steep, 1.0}).n, 0U);
}

TEST(BestNodeCount, CountsWhatANodeTakesBesidesThePass) {
  const std::vector<double> values = {0.7, 0.5, 0.2, 0.1, 0.01};
  const CostModel flat = costs(0.0, 0.1);
  EXPECT_EQ(best_node_count(values, {&flat, 2.0, {}, 0.15}).n, 2U);
  EXPECT_EQ(best_node_count(values, {&flat, 2.0, {}, 0.5}).n, 0U);
}

TEST(OwnTime, TellsNodesFromTexts) {
  OwnTime own(60.0);
  for (int i = 0; i < 200; ++i) {
    own.observe(2, 0, 2 * 3.0);
    own.observe(2, 5, 2 * 3.0 + 5 * 0.5);
    own.observe(1, 8, 3.0 + 8 * 0.5);
  }
  EXPECT_NEAR(own.per_text(), 3.0, 1e-9);
  EXPECT_NEAR(own.per_node(), 0.5, 1e-2);
}

TEST(OwnTime, IsNotMovedByErrorsThatCancelOut) {
  OwnTime own(60.0);
  for (int i = 0; i < 200; ++i) {
    own.observe(1, 0, 1.0 + (i % 2 == 0 ? 4.0 : -4.0));
    own.observe(1, 1, 1.0 + 0.1 + (i % 2 == 0 ? 4.0 : -4.0));
  }
  EXPECT_NEAR(own.per_text(), 1.0, 0.1);
  EXPECT_NEAR(own.per_node(), 0.1, 0.2);
}

TEST(OwnTime, OneSlowRoundDoesNotEndDraftingForGood) {
  OwnTime own(60.0);
  own.observe(1, 0, 1.0);
  own.observe(1, 2, 1.0 + 2 * 50.0);
  EXPECT_LT(own.per_node(), 0.25 * 50.0);
  for (int i = 0; i < 100; ++i) own.observe(1, 0, 1.0);
  EXPECT_GT(own.per_node(), 0.1 * 50.0);
  for (int i = 0; i < 1000; ++i) own.observe(1, 0, 1.0);
  EXPECT_LT(own.per_node(), 0.01 * 50.0);
}

TEST(OwnTime, IsNeverNegative) {
  OwnTime own(60.0);
  own.observe(1, 0, -1.0);
  own.observe(1, 3, -6.0);
  EXPECT_EQ(own.per_text(), 0.0);
  EXPECT_EQ(own.per_node(), 0.0);
}

TEST(BestNodeCount, FillsAStepToItsEdge) {
  const std::vector<double> values(20, 0.2);
  // Passes over 1 to 8 tokens cost the same, then everything costs more than it brings.
  const CostModel stairs = costs(0.0, 0.1, 8, 5.0);
  EXPECT_EQ(best_node_count(values, {&stairs, 1.0}).n, 7U);
}

const std::vector<double> kProfile = {0.7, 0.15, 0.05, 0.03, 0.02};

LevelPlan::Input input_at_root(const std::vector<double>& root, int levels = 8) {
  return {.values = {},
          .frontier = root,
          .profile = kProfile,
          .max_nodes = 64,
          .max_width = 16,
          .max_levels = levels,
          .extra_s = 0.0};
}

TEST(LevelPlan, DraftsWhereADraftIsCheapAndNotWhereItCostsMoreThanItBrings) {
  const std::vector<double> root = {1.0};
  LevelPlan plan;
  for (const double slope : {0.0, 0.05, 0.3}) {
    const CostModel cheap = costs(slope, 0.02);
    EXPECT_EQ(plan.choose(input_at_root(root), {&cheap, 1.0}).width, 1U) << slope;
  }
  const CostModel dear_draft = costs(0.0, 5.0);
  EXPECT_EQ(plan.choose(input_at_root(root), {&dear_draft, 1.0}).width, 0U);
  const CostModel dear_nodes = costs(1.0, 0.02);
  EXPECT_EQ(plan.choose(input_at_root(root), {&dear_nodes, 1.0}).width, 0U);
}

TEST(LevelPlan, SeesThatSeveralLevelsPayWhereOneDoesNot) {
  const std::vector<double> root = {1.0};
  LevelPlan plan;
  // Passes over 2 to 5 tokens cost the same, twice as much as one: one node never pays, four do.
  const CostModel jump = {
      PassCost({{1, 1.0}, {2, 2.0}, {3, 2.0}, {4, 2.0}, {5, 2.0}, {6, 9.0}, {7, 16.0}}, false),
      PassCost({{1, 0.02}, {16, 0.02}}, false)};
  EXPECT_EQ(plan.choose(input_at_root(root, 1), {&jump, 1.0}).width, 0U);
  EXPECT_EQ(plan.choose(input_at_root(root, 4), {&jump, 1.0}).width, 1U);
}

// The most that any sequence of widths can bring, by trying all of them.
double best_of_all(std::vector<double> values, std::vector<double> frontier, int levels,
                   const Prices& prices) {
  double best = best_node_count(values, prices).gain;
  if (levels == 0) return best;
  for (std::size_t width = 1; width <= std::min<std::size_t>(frontier.size(), 6); ++width) {
    std::vector<double> next = values;
    std::vector<double> rest(frontier.begin() + static_cast<std::ptrdiff_t>(width), frontier.end());
    for (std::size_t i = 0; i < width; ++i) {
      for (const double share : kProfile) {
        next.push_back(frontier[i] * share);
        rest.push_back(frontier[i] * share);
      }
    }
    std::sort(next.begin(), next.end(), std::greater<>());
    std::sort(rest.begin(), rest.end(), std::greater<>());
    rest.resize(std::min<std::size_t>(rest.size(), 8));
    best = std::max(best, best_of_all(next, rest, levels - 1, prices) - prices.draft(width));
  }
  return best;
}

// Follows the plan on a tree whose children are exactly the profile.
double planned(int levels, const Prices& prices) {
  std::vector<double> values;
  std::vector<double> frontier = {1.0};
  double paid = 0.0;
  LevelPlan plan;
  for (int level = 0; level < levels; ++level) {
    LevelPlan::Input input = input_at_root(frontier, levels - level);
    input.values = values;
    const std::size_t width = plan.choose(input, prices).width;
    if (width == 0) break;
    paid += prices.draft(width);
    std::vector<double> rest(frontier.begin() + static_cast<std::ptrdiff_t>(width), frontier.end());
    for (std::size_t i = 0; i < width; ++i) {
      for (const double share : kProfile) {
        values.push_back(frontier[i] * share);
        rest.push_back(frontier[i] * share);
      }
    }
    std::sort(values.begin(), values.end(), std::greater<>());
    std::sort(rest.begin(), rest.end(), std::greater<>());
    frontier = rest;
  }
  return best_node_count(values, prices).gain - paid;
}

TEST(LevelPlan, IsNextToTheOptimumThatEnumerationFinds) {
  const int levels = 4;
  for (const double slope : {0.0, 0.03, 0.1, 0.25, 0.5}) {
    for (const double draft_s : {0.01, 0.05, 0.2}) {
      for (const std::size_t step : {0, 4}) {
        const CostModel model = costs(slope, draft_s, step, 0.2);
        for (const double rate : {1.0, 2.0}) {
          const Prices prices{&model, rate};
          const double best = best_of_all({}, {1.0}, levels, prices);
          const double got = planned(levels, prices);
          // Of the tokens of a round, of which there is always one.
          EXPECT_GE(1.0 + got, 0.98 * (1.0 + best)) << "slope " << slope << ", draft " << draft_s
                                                    << ", step " << step << ", rate " << rate;
        }
      }
    }
  }
}

}  // namespace
}  // namespace gumbelspec
