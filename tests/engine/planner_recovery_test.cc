// What a planner does after the machine was busy for a while. The passes' times are made up here;
// the texts are averages: a node brings its value.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <vector>

#include "src/engine/planner.h"

namespace gumbelspec {
namespace {

// A text whose draft is always as good as the planner's prior says.
class AverageText {
 public:
  AverageText(const std::shared_ptr<CostModel>& costs, unsigned seed)
      : costs_(costs), planner_(parse_method("gumbel-tree"), costs, kRanks), random_(seed) {}

  struct Round {
    double tokens = 1.0;
    double seconds = 0.0;
    std::size_t n_nodes = 0;
  };
  // Every pass takes up to `stall_s` longer.
  // A draft pass takes draft_s, and read_s for each token that it has to catch up with.
  Round run(const std::function<double(std::size_t)>& target_s, double draft_s, double most_stall_s,
            double read_s = 0.0) {
    Round round;
    const auto stall = [&] { return most_stall_s * std::uniform_real_distribution<>()(random_); };
    values_.clear();
    std::vector<double> frontier = {1.0};
    planner_.begin_round({.max_nodes = 64, .max_levels = 8, .n_missing = n_missing_});
    while (const std::size_t width = planner_.next_level(values_, frontier)) {
      frontier = expand(frontier, std::min(width, frontier.size()));
      const double seconds = draft_s + read_s * static_cast<double>(n_missing_ - 1) + stall();
      costs_->draft.observe(width + n_missing_ - 1, seconds, /*is_first=*/n_missing_ > 1);
      n_missing_ = 1;
      round.seconds += seconds;
    }
    if (!values_.empty()) round.n_nodes = planner_.nodes_to_verify(values_);
    if (values_.empty()) planner_.verifies(values_, 0);
    const double seconds = target_s(round.n_nodes + 1) + stall();
    costs_->target.observe(round.n_nodes + 1, seconds);
    round.seconds += seconds;
    for (const double value : std::span(values_).first(round.n_nodes)) round.tokens += value;
    planner_.end_round(static_cast<std::size_t>(std::lround(round.tokens)), round.seconds);
    n_missing_ = std::min<std::size_t>(n_missing_ + (round.n_nodes == 0 ? 1 : 0), 24);
    return round;
  }

 private:
  static constexpr std::size_t kRanks = 4;
  // The children of the first nodes of the frontier, best first.
  std::vector<double> expand(const std::vector<double>& frontier, std::size_t width) {
    std::vector<double> next(frontier.begin() + static_cast<std::ptrdiff_t>(width), frontier.end());
    for (const double value : std::span(frontier).first(width)) {
      for (const double share : planner_.calibration().profile().first(kRanks)) {
        next.push_back(value * share);
        values_.push_back(value * share);
      }
    }
    std::sort(next.begin(), next.end(), std::greater<>());
    std::sort(values_.begin(), values_.end(), std::greater<>());
    return next;
  }

  std::shared_ptr<CostModel> costs_;
  Planner planner_;
  std::mt19937 random_;
  std::vector<double> values_;
  std::size_t n_missing_ = 24;  // tokens that the draft has not read
};

// llama.cpp on a CPU, where plain decoding is best; every pass as it was measured.
double steep(std::size_t n) { return 1e-3 * (1.0 + 0.55 * static_cast<double>(n - 1)); }

std::shared_ptr<CostModel> measured(const std::function<double(std::size_t)>& target_s,
                                    double draft_s) {
  std::vector<CostPoint> target;
  for (const std::size_t n : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64}) {
    target.push_back({n, target_s(n)});
  }
  return std::make_shared<CostModel>(
      CostModel{PassCost(target), PassCost({{1, draft_s}, {8, draft_s}, {64, draft_s}})});
}

// The rate of rounds [first, last) in tokens per second; every pass of the first n_slow stalls.
double rate(const std::shared_ptr<CostModel>& costs,
            const std::function<double(std::size_t)>& target_s, double draft_s, int n_slow,
            double stall_s, int first, int last, unsigned seed = 1) {
  AverageText text(costs, seed);
  double tokens = 0.0;
  double seconds = 0.0;
  for (int i = 0; i < last; ++i) {
    const auto round = text.run(target_s, draft_s, i < n_slow ? stall_s : 0.0);
    if (i < first) continue;
    tokens += round.tokens;
    seconds += round.seconds;
  }
  return tokens / seconds;
}

TEST(Recovery, PlainDecodingIsTriedAgainAfterTheMachineWasBusyDuringIt) {
  for (const int n_slow : {3, 4, 5, 6, 7, 8, 10, 12, 14, 20, 40}) {
    for (const double stall_s : {2e-3, 2e-2, 5e-2}) {
      for (unsigned seed = 1; seed <= 10; ++seed) {
        const auto costs = measured(steep, 3e-4);
        EXPECT_GE(rate(costs, steep, 3e-4, n_slow, stall_s, 500, 1500, seed), 0.97e3)
            << "busy for " << n_slow << " rounds, passes up to " << stall_s << " s longer, "
            << seed;
      }
    }
  }
}

TEST(Recovery, AShortTextDoesNotSufferFromWhatAnotherSaw) {
  for (const int n_slow : {6, 8, 10, 14, 20, 40}) {
    for (unsigned seed = 1; seed <= 10; ++seed) {
      const auto costs = measured(steep, 3e-4);
      for (int text = 0; text < 8; ++text) {
        (void)rate(costs, steep, 3e-4, text == 0 ? n_slow : 0, 2e-2, 0, 40, seed);
      }
      EXPECT_GE(rate(costs, steep, 3e-4, 0, 0.0, 0, 40), 0.95e3) << n_slow << ", " << seed;
    }
  }
}

TEST(Recovery, DraftingBeginsAlthoughTheDraftHasToCatchUpFirst) {
  // What it missed takes as long to read as a plain round; one drafted token brings a half.
  const auto target_s = [](std::size_t n) {
    return 1e-3 * (n == 1 ? 1.0 : 0.55 * static_cast<double>(n));
  };
  const auto costs = measured(target_s, 1e-4);
  costs->draft = PassCost({{1, 1e-4}, {65, 1e-4 + 64 * 4e-5}});
  AverageText text(costs, 1);
  double tokens = 0.0;
  double seconds = 0.0;
  for (int i = 0; i < 400; ++i) {
    const auto round = text.run(target_s, 1e-4, 0.0, 4e-5);
    tokens += round.tokens;
    seconds += round.seconds;
  }
  EXPECT_GE(tokens / seconds, 1.25e3);
}

TEST(Recovery, APlainRoundNowAndThenCostsNextToNothing) {
  // A draft that pays: passes over up to eight tokens take the same.
  const auto target_s = [](std::size_t n) { return n <= 8 ? 1e-3 : steep(n - 7); };
  const auto costs = measured(target_s, 2e-5);
  const double refined = rate(costs, target_s, 2e-5, 0, 0.0, 100, 2000);
  const auto fixed = measured(target_s, 2e-5);
  fixed->target = PassCost(fixed->target.curve(), false);
  fixed->draft = PassCost(fixed->draft.curve(), false);
  EXPECT_GE(refined, 1.5e3);
  EXPECT_GE(refined, 0.99 * rate(fixed, target_s, 2e-5, 0, 0.0, 100, 2000));
}

}  // namespace
}  // namespace gumbelspec
