// What passes cost, and what a planned tree is expected to bring. docs/planner.md has the
// objective.
#ifndef GUMBELSPEC_COSTS_H_
#define GUMBELSPEC_COSTS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "gumbelspec/language_model.h"

namespace gumbelspec {

// The time of a pass over n tokens.
struct CostPoint {
  std::size_t n = 1;
  double seconds = 0.0;
};

// The time of one model's passes: measured once, then corrected by every pass that is observed.
//
// The measurement gives the shape: a few points, with straight lines between and beyond them.
// Observed passes correct it by two kinds of factors, both medians, so that an interrupted pass
// does not count: one factor for all sizes (the machine got slower, the context longer), and one
// for each measured size. For the factor of its size a pass is compared with the passes around it.
// So a machine that is busy for a while slows down all sizes, also those that were not observed
// meanwhile, and a size that has not been observed for long returns to what was measured.
// Threads: one at a time.
class PassCost {
 public:
  // Shape: curve ascending in n, all positive; empty: nothing is known, and seconds() is 0.
  // refines: whether observe() changes anything. If not, the curve is taken as it is, the clock is
  // not read, and a planner makes the same decisions every time.
  // Throws: std::logic_error for a wrong curve.
  explicit PassCost(std::vector<CostPoint> curve = {}, bool refines = true);

  [[nodiscard]] bool is_known() const { return !points_.empty(); }
  [[nodiscard]] bool refines() const { return refines_; }
  // Requires: n >= 1.
  [[nodiscard]] double seconds(std::size_t n) const;
  // A pass over n tokens took `seconds`. is_first: the first pass after a pause. It also refills
  // caches that other work has used, so it counts only if it was shorter than expected; so does a
  // pass over one token that follows a pass over more.
  void observe(std::size_t n, double seconds, bool is_first = false);
  // The passes observed since the last one of the measured size nearest to n.
  [[nodiscard]] std::size_t n_since(std::size_t n) const;
  // The measured sizes with today's times.
  [[nodiscard]] std::vector<CostPoint> curve() const;

 private:
  static constexpr std::size_t kTable = 257;  // sizes in the table; larger ones are computed
  static constexpr std::size_t kRecent = 11;  // passes that tell how fast the machine is
  static constexpr std::size_t kOfSize = 9;   // passes of a size that correct it
  // The time of a pass, divided by what its size was expected to take without the common factor.
  struct Seen {
    std::size_t point = 0;  // the nearest measured size
    double factor = 1.0;    // that size's at the time
    double ratio = 1.0;
  };
  struct Point {
    CostPoint measured;
    double factor = 1.0;
    std::array<double, kOfSize> factors{};       // suggested by single passes
    std::array<std::size_t, kOfSize> seen_at{};  // when, in passes counted
    std::size_t n_factors = 0;                   // suggested so far
    std::size_t last_seen = 0;
  };
  // Without the common factor.
  [[nodiscard]] double shape(std::size_t n) const;
  [[nodiscard]] double shape_at(std::size_t n, std::size_t i) const;
  [[nodiscard]] std::size_t nearest(std::size_t n) const;
  bool correct(Point& point) const;
  void rebuild();

  std::vector<Point> points_;
  bool refines_;
  double factor_ = 1.0;  // of all sizes
  std::array<Seen, kRecent> recent_{};
  std::size_t n_seen_ = 0;
  std::size_t last_n_ = 1;
  std::vector<double> table_;  // [kTable], seconds by n without the common factor
};

// Both models of a pair. Sessions of the same models may share one.
struct CostModel {
  PassCost target;
  PassCost draft;
  // Whether repeated passes took about the same time. If not, the machine was busy with other work,
  // and the curves are not worth keeping.
  bool is_steady = true;
};

struct CostMeasurement {
  // For both models, half of it for a target alone; at least two sizes of each are measured.
  double budget_s = 1.6;
  std::size_t most_nodes = 64;  // drafted nodes of a round
  std::function<bool()> is_cancelled = {};
};

// Times passes of both models on sequences of their own, which are closed again.
// Requires: room for one more sequence in each model. Throws: Error{evaluation_failed}.
[[nodiscard]] CostModel measure_costs(LanguageModel& target, LanguageModel& draft,
                                      const CostMeasurement& options);

// The same of a target alone, for texts that are drafted without a model.
[[nodiscard]] CostModel measure_costs(LanguageModel& target, const CostMeasurement& options);

// How often children of an estimated chance were the target's choice.
struct CalibrationBin {
  double low = 0.0;       // estimates in [low, next bin's low)
  std::size_t n = 0;      // children of visited nodes
  double expected = 0.0;  // sum of their estimates
  std::size_t n_hit = 0;  // of them the target's choice
};

// What a planner did and what it has learnt, since the session was made.
struct PlannerReport {
  double tau = 0.0;                                 // learnt temperature of the values
  std::array<CalibrationBin, 10> calibration = {};  // by tenths of the estimate
  std::vector<std::size_t> rounds_by_nodes = {};   // [most_nodes + 1], rounds that verified n nodes
  std::vector<std::size_t> rounds_by_levels = {};  // [length + 1], rounds with n levels
  std::size_t n_probes = 0;      // draft passes made only to learn, while nothing is drafted
  double expected_tokens = 0.0;  // sum over the rounds
  double expected_s = 0.0;       // sum over the rounds
  std::size_t n_tokens = 0;      // what expected_tokens turned out to be
  double seconds = 0.0;          // what expected_s turned out to be
  double plan_s = 0.0;           // the part of seconds spent on planning and calibration
  // Guarantee::distribution: how many stretches of the text gumbel-tree, block and rejection-tree
  // each were used for; the rest of the report is gumbel-tree's.
  std::array<std::size_t, 3> blocks_by_arm = {};
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_COSTS_H_
