// What passes cost: interpolation, correction, and robustness against a machine that stumbles.
#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <stdexcept>

#include "gumbelspec/costs.h"
#include "testing/table_model.h"
#include "testing/wrapped_model.h"

namespace gumbelspec {
namespace {

const std::vector<CostPoint> kCurve = {{1, 0.040}, {4, 0.044}, {8, 0.060}, {16, 0.100}};

TEST(PassCost, IsLinearBetweenAndBehindWhatWasMeasured) {
  const PassCost cost(kCurve);
  for (const CostPoint& p : kCurve) EXPECT_DOUBLE_EQ(cost.seconds(p.n), p.seconds);
  EXPECT_DOUBLE_EQ(cost.seconds(6), 0.052);
  EXPECT_DOUBLE_EQ(cost.seconds(32), 0.180);
  EXPECT_DOUBLE_EQ(cost.seconds(1016), 5.100);
}

TEST(PassCost, NeverShrinksBehindTheLastPoint) {
  const PassCost cost({{1, 0.04}, {8, 0.06}, {16, 0.05}});
  EXPECT_DOUBLE_EQ(cost.seconds(12), 0.055) << "but between two points it does what they say";
  EXPECT_DOUBLE_EQ(cost.seconds(200), 0.05);
}

TEST(PassCost, KnowsNothingWithoutACurveAndLearnsFromTheFirstPass) {
  PassCost cost;
  EXPECT_FALSE(cost.is_known());
  EXPECT_EQ(cost.seconds(3), 0.0);
  cost.observe(3, 0.5);
  EXPECT_TRUE(cost.is_known());
  EXPECT_DOUBLE_EQ(cost.seconds(3), 0.5);
}

TEST(PassCost, RefusesACurveThatIsNone) {
  EXPECT_THROW(PassCost({{4, 0.1}, {1, 0.1}}), std::logic_error);
  EXPECT_THROW(PassCost({{0, 0.1}}), std::logic_error);
  EXPECT_THROW(PassCost({{1, 0.0}}), std::logic_error);
}

TEST(PassCost, FollowsAMachineThatGetsSlowerAtEverySize) {
  PassCost cost(kCurve);
  for (int i = 0; i < 30; ++i) cost.observe(4, 2.0 * 0.044);
  for (const CostPoint& p : kCurve) EXPECT_NEAR(cost.seconds(p.n), 2.0 * p.seconds, 1e-3) << p.n;
}

TEST(PassCost, CorrectsASizeThatWasMeasuredWrongly) {
  PassCost cost(kCurve);
  for (int i = 0; i < 60; ++i) {
    cost.observe(1, 0.040);
    cost.observe(4, 0.044);
    cost.observe(8, 0.090);
    cost.observe(16, 0.100);
  }
  EXPECT_NEAR(cost.seconds(1), 0.040, 0.002);
  EXPECT_NEAR(cost.seconds(4), 0.044, 0.002);
  EXPECT_NEAR(cost.seconds(8), 0.090, 0.008);
}

TEST(PassCost, IsNotMovedByPassesThatTakeFiftyTimesAsLong) {
  PassCost cost(kCurve);
  std::mt19937 random(3);
  for (int i = 0; i < 500; ++i) {
    const std::size_t n = 1 + random() % 16;
    const PassCost truth(kCurve);
    const double jitter = 0.95 + 0.1 * static_cast<double>(random() % 100) / 100.0;
    cost.observe(n, truth.seconds(n) * (random() % 10 == 0 ? 50.0 : jitter));
  }
  for (const CostPoint& p : kCurve) EXPECT_NEAR(cost.seconds(p.n) / p.seconds, 1.0, 0.1) << p.n;
}

// Another program takes the processor for a while, and all that is seen of it is one size.
TEST(PassCost, ABusyMachineIsNotAMatterOfTheSizeSeenThen) {
  for (const int n_busy : {3, 6, 8, 12, 20, 50}) {
    PassCost cost(kCurve);
    for (int i = 0; i < 30; ++i) cost.observe(1, 0.040);
    for (int i = 0; i < n_busy; ++i) {
      cost.observe(1, 0.040 * 20);
      EXPECT_NEAR(cost.seconds(16) / cost.seconds(1), 2.5, 0.2) << n_busy << " busy, " << i;
    }
    for (int i = 0; i < 30; ++i) {
      cost.observe(1, 0.040);
      EXPECT_NEAR(cost.seconds(16) / cost.seconds(1), 2.5, 0.2) << n_busy << " busy, " << i;
    }
    for (const CostPoint& p : kCurve) EXPECT_NEAR(cost.seconds(p.n), p.seconds, 0.1 * p.seconds);
  }
}

TEST(PassCost, TheFirstPassAfterAPauseOnlyTellsWhereItWasFaster) {
  PassCost cost(kCurve);
  for (int i = 0; i < 30; ++i) cost.observe(4, 5 * 0.044, /*is_first=*/true);
  EXPECT_DOUBLE_EQ(cost.seconds(4), 0.044);
  for (int i = 0; i < 30; ++i) cost.observe(4, 0.5 * 0.044, /*is_first=*/true);
  EXPECT_NEAR(cost.seconds(4), 0.5 * 0.044, 1e-3);
}

TEST(PassCost, ASizeNotSeenForLongIsWhatWasMeasured) {
  PassCost cost(kCurve);
  for (int i = 0; i < 40; ++i) {
    cost.observe(4, 0.044);
    cost.observe(16, 3 * 0.100);
    cost.observe(8, 0.060);
  }
  EXPECT_GT(cost.seconds(16), 2 * 0.100);
  EXPECT_EQ(cost.n_since(16), 1U);
  for (int i = 0; i < 250; ++i) cost.observe(8, 0.060);
  EXPECT_NEAR(cost.seconds(16), 0.100, 0.01);
  EXPECT_EQ(cost.n_since(16), 251U);
  EXPECT_EQ(cost.n_since(8), 0U);
}

TEST(PassCost, APassOverOneTokenBehindALongerOneOnlyTellsWhereItWasFaster) {
  PassCost cost(kCurve);
  for (int i = 0; i < 40; ++i) {
    cost.observe(8, 0.060);
    cost.observe(1, 1.3 * 0.040);
  }
  EXPECT_NEAR(cost.seconds(1), 0.040, 1e-3);
  for (int i = 0; i < 40; ++i) cost.observe(1, 1.3 * 0.040);
  EXPECT_NEAR(cost.seconds(1), 1.3 * 0.040, 3e-3) << "one behind another of its kind counts";
}

TEST(PassCost, TakesAFixedCurveAtItsWord) {
  PassCost cost(kCurve, false);
  for (int i = 0; i < 30; ++i) cost.observe(4, 1.0);
  EXPECT_DOUBLE_EQ(cost.seconds(4), 0.044);
}

TEST(MeasureCosts, TimesBothModelsAndLeavesNothingBehind) {
  testing::TableModel target({.n_vocab = 16, .n_context = 400});
  testing::TableModel draft = testing::TableModel::draft_of(target, 0.5F, 2);
  const SeqId seq = target.open();
  target.close(seq);
  const CostModel costs = measure_costs(target, draft, {.budget_s = 0.1, .most_nodes = 20});
  EXPECT_TRUE(costs.target.is_known());
  EXPECT_TRUE(costs.draft.is_known());
  EXPECT_LE(costs.target.curve().back().n, 21U);
  EXPECT_GT(costs.target.seconds(1), 0.0);
  EXPECT_EQ(target.open(), seq) << "the sequence that was timed is free again";
}

TEST(MeasureCosts, StopsWhenItIsAskedTo) {
  testing::TableModel target({.n_vocab = 16, .n_context = 400});
  testing::TableModel draft = testing::TableModel::draft_of(target, 0.5F, 2);
  const CostModel costs =
      measure_costs(target, draft, {.budget_s = 1e9, .is_cancelled = [] { return true; }});
  EXPECT_TRUE(costs.target.is_known()) << "two sizes are measured whatever happens";
}

// Passes over one token take three milliseconds, larger ones next to nothing.
class Stumbling final : public testing::WrappedModel {
 public:
  using WrappedModel::WrappedModel;
  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override {
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(3);
    while (nodes.size() == 1 && std::chrono::steady_clock::now() < until) {
    }
    return model_.evaluate(nodes);
  }
};

TEST(MeasureCosts, AreNotSteadyWhereALargerPassTakesMuchLess) {
  testing::TableModel table({.n_vocab = 10, .n_context = 400});
  Stumbling model(table);
  EXPECT_FALSE(measure_costs(model, {.budget_s = 0.2}).is_steady);
}

}  // namespace
}  // namespace gumbelspec
