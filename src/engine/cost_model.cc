#include <algorithm>
#include <array>
#include <cmath>
#include <stdexcept>
#include <utility>

#include "gumbelspec/costs.h"
#include "src/engine/stopwatch.h"

namespace gumbelspec {
namespace {

// Tokens in front of what is measured: attention makes further tokens of a pass dearer the longer
// the text is, and on small models that decides. As many as fit into a part of the time.
constexpr std::size_t kPrefixPiece = 16;
constexpr std::size_t kMostPrefix = 192;
constexpr double kPrefixShare = 0.06;
constexpr std::size_t kLeastRepetitions = 9;
constexpr std::size_t kMostRepetitions = 1000;
// Passes of small models are timed until so long nothing got faster by more than a fiftieth: a
// moment in which the processor is taken away, or has not yet woken up, must not be all that is
// seen.
constexpr double kLeastS = 0.15;
constexpr double kSettled = 0.98;

// The sizes that decide first come first, in case the time runs out.
constexpr std::array<std::size_t, 13> kTargetSizes = {1, 2, 4, 8, 16, 3, 6, 12, 32, 24, 48, 64, 5};
constexpr std::array<std::size_t, 7> kDraftSizes = {1, 2, 4, 8, 16, 3, 32};

// A size's own factor: as if so many passes more had taken what was measured, within these bounds,
// by passes that are not longer ago than this many others.
constexpr double kPriorPasses = 2.0;
constexpr double kMostFactor = 2.5;
constexpr std::size_t kForgetAfter = 192;
constexpr double kNoticeable = 0.005;

// The median may be so much above the shortest.
constexpr double kSteady = 1.3;
// Other code for larger passes may be faster than that for smaller ones, but not by more.
constexpr double kLeastGrowth = 0.7;

double median_of(std::span<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Passes of one model over n tokens, for several n.
class Measurement {
 public:
  // watch: when the measurement of both models began.
  Measurement(LanguageModel& model, std::span<const std::size_t> sizes, std::size_t most,
              const CostMeasurement& options, const Stopwatch& watch)
      : model_(model), options_(options), watch_(watch), seq_(model.open()) {
    most = std::min({most, model.limits().max_pass_nodes, model.limits().n_context / 2});
    std::copy_if(sizes.begin(), sizes.end(), std::back_inserter(sizes_),
                 [&](std::size_t n) { return n <= most; });
    if (!read_prefix(kPrefixShare * options.budget_s)) sizes_.clear();
    times_.resize(sizes_.size());
  }
  ~Measurement() { model_.close(seq_); }
  Measurement(const Measurement&) = delete;
  Measurement& operator=(const Measurement&) = delete;

  // The first pass of all pays for memory. The first one of a size can do so, too, and on an RPC
  // server for several round trips; the second one right behind it shows what such passes take from
  // then on. Where passes are slow, few sizes that are timed twice say more than many once.
  // Returns: false if the time ran out.
  [[nodiscard]] bool begin(double until_s) {
    if (sizes_.empty()) return false;
    time_pass(1);
    return time_all(2, /*in_a_row=*/true, until_s);
  }
  // Once more, in turns.
  [[nodiscard]] bool repeat(double until_s) {
    if (sizes_.empty() || !time_all(1, /*in_a_row=*/false, until_s)) return false;
    // Plain decoding is many passes over one token in a row, and those are faster than one among
    // passes of other sizes: the computation is set up for the next one already.
    for (int i = 0; i < 3; ++i) {
      const double seconds = time_pass(sizes_[0]);
      if (seconds > 0.0) times_[0].push_back(seconds);
    }
    return true;
  }
  // Of the shortest passes. Units: seconds.
  [[nodiscard]] double shortest() const {
    double sum = 0.0;
    for (const auto& times : times_) {
      if (!times.empty()) sum += *std::min_element(times.begin(), times.end());
    }
    return sum;
  }
  // Most sizes took about the same in the end, and none took much less than a smaller one: on a
  // machine that was busy for a part of the time they do, and planners would draft for nothing.
  [[nodiscard]] bool is_steady() const { return is_plausible_ && 2 * n_unsteady_ < sizes_.size(); }

 private:
  // Returns: whether any token was read.
  [[nodiscard]] bool read_prefix(double most_s) {
    const std::size_t most = std::min(kMostPrefix, model_.limits().n_context / 4);
    const Stopwatch watch;
    std::size_t n = 0;
    while (n < most && (n == 0 || watch.seconds() < most_s)) {
      const std::vector<TokenId> piece(std::min(kPrefixPiece, most - n), token(n));
      if (model_.extend(seq_, piece) != PassOutcome::ok) break;
      n += piece.size();
    }
    n_prefix_ = n;
    n_most_ = std::min(2 * n + 256, model_.limits().n_context);
    return n > 0;
  }
  // All sizes, each so often, in a row or in turns. Returns: false if the time ran out.
  [[nodiscard]] bool time_all(std::size_t n_repetitions, bool in_a_row, double until_s) {
    const std::size_t n = n_repetitions * sizes_.size();
    for (std::size_t k = 0; k < n; ++k) {
      const std::size_t i = in_a_row ? k / n_repetitions : k % sizes_.size();
      const bool is_needed = i < 2 && (times_[i].empty() || (in_a_row && !is_cancelled()));
      // A size that was begun is ended.
      const bool is_begun = in_a_row && k % n_repetitions != 0;
      const bool is_late = is_cancelled() || (!is_begun && watch_.seconds() > until_s);
      if (!is_needed && is_late) return false;
      const double seconds = time_pass(sizes_[i]);
      if (seconds > 0.0) times_[i].push_back(seconds);
    }
    return true;
  }
  [[nodiscard]] bool is_cancelled() const {
    return options_.is_cancelled && options_.is_cancelled();
  }
  [[nodiscard]] TokenId token(std::size_t i) const {
    return token_id((7 + 13 * i) % model_.limits().n_vocab);
  }

  // A chain: all models can take it, and it costs what a tree costs. 0: there was no room.
  double time_pass(std::size_t n) {
    pass_.clear();
    for (std::size_t i = 0; i < n; ++i) {
      pass_.push_back({seq_, i == 0 ? kCommitted : pending_id(i - 1), token(i), true});
    }
    if (model_.n_committed(seq_) + n > n_most_) begin_anew();
    const Stopwatch watch;
    if (model_.evaluate(pass_) != PassOutcome::ok) return 0.0;
    const double seconds = watch.seconds();
    kept_.clear();
    for (std::size_t i = 0; i < n_kept(n); ++i) kept_.push_back(pending_id(i));
    model_.commit(seq_, kept_);
    return seconds;
  }
  // Of a chain of n tokens, those that the model cannot drop again.
  [[nodiscard]] std::size_t n_kept(std::size_t n) const {
    const ModelLimits& limits = model_.limits();
    if (limits.can_drop) return 0;
    // What is read again would be timed with the next pass.
    return limits.can_drop_passes || n > limits.max_drop + 1 ? n : std::min<std::size_t>(n, 1);
  }
  // What could not be dropped has become a text that is too long.
  void begin_anew() {
    model_.truncate(seq_, 0);
    const std::vector<TokenId> prefix(n_prefix_, token(0));
    if (model_.extend(seq_, prefix) != PassOutcome::ok) n_prefix_ = 0;
  }

  // A processor that was idle, or others' until now, is slow for the first second or so.
  [[nodiscard]] static double latest_median(std::span<const double> times) {
    std::vector<double> latest(
        times.end() - static_cast<std::ptrdiff_t>(std::min(times.size(), kLeastRepetitions)),
        times.end());
    return median_of(latest);
  }

 public:
  // The shortest times: what else the machine does only adds to them. The latest passes tell how
  // much that is.
  [[nodiscard]] std::vector<CostPoint> points() {
    std::vector<CostPoint> result;
    const bool is_repeated = times_.size() > 1 && times_[0].size() > 1 && times_[1].size() > 1;
    for (std::size_t i = 0; i < sizes_.size(); ++i) {
      if (times_[i].empty() || (is_repeated && times_[i].size() < 2)) continue;
      result.push_back({sizes_[i], *std::min_element(times_[i].begin(), times_[i].end())});
      if (latest_median(times_[i]) > kSteady * result.back().seconds) ++n_unsteady_;
    }
    std::sort(result.begin(), result.end(),
              [](const CostPoint& a, const CostPoint& b) { return a.n < b.n; });
    is_plausible_ = std::adjacent_find(result.begin(), result.end(),
                                       [](const CostPoint& a, const CostPoint& b) {
                                         return b.seconds < kLeastGrowth * a.seconds;
                                       }) == result.end();
    return result;
  }

 private:
  LanguageModel& model_;
  std::size_t n_unsteady_ = 0;
  bool is_plausible_ = true;
  const CostMeasurement& options_;
  const Stopwatch& watch_;
  SeqId seq_;
  std::vector<std::size_t> sizes_;
  std::vector<std::vector<double>> times_;
  std::vector<PassNode> pass_;
  std::vector<PendingId> kept_;
  std::size_t n_prefix_ = 0;  // tokens before what is measured
  std::size_t n_most_ = 0;    // of the text, then it begins anew
};

}  // namespace

// NOLINTNEXTLINE(performance-unnecessary-value-param): a list is given as it is written
PassCost::PassCost(std::vector<CostPoint> curve, bool refines) : refines_(refines) {
  points_.reserve(curve.size());
  for (const CostPoint& p : curve) {
    if (p.n < 1 || !(p.seconds > 0.0) || (!points_.empty() && p.n <= points_.back().measured.n)) {
      throw std::logic_error("PassCost: the curve is not ascending, or has a time of 0");
    }
    points_.push_back({.measured = p});
  }
  table_.resize(kTable);
  rebuild();
}

double PassCost::shape(std::size_t n) const {
  std::size_t i = 1;
  while (i + 1 < points_.size() && points_[i].measured.n < n) ++i;
  return shape_at(n, i);
}

// Requires: the i-th point is the first one at or behind n, or the last one.
double PassCost::shape_at(std::size_t n, std::size_t i) const {
  const auto at = [&](std::size_t k) { return points_[k].measured.seconds * points_[k].factor; };
  if (points_.size() == 1 || n <= points_[0].measured.n) return at(0);
  const auto left = static_cast<double>(points_[i - 1].measured.n);
  const auto right = static_cast<double>(points_[i].measured.n);
  // Behind the last point it grows on as between the last two, but never shrinks.
  double slope = (at(i) - at(i - 1)) / (right - left);
  if (static_cast<double>(n) > right) slope = std::max(slope, 0.0);
  const double seconds = at(i) + (static_cast<double>(n) - right) * slope;
  return std::max(seconds, 0.1 * at(0));
}

void PassCost::rebuild() {
  if (!is_known()) return;
  std::size_t i = 1;
  for (std::size_t n = 1; n < kTable; ++n) {
    while (i + 1 < points_.size() && points_[i].measured.n < n) ++i;
    table_[n] = shape_at(n, i);
  }
}

double PassCost::seconds(std::size_t n) const {
  if (!is_known()) return 0.0;
  return factor_ * (n < kTable ? table_[n] : shape(n));
}

std::size_t PassCost::nearest(std::size_t n) const {
  const auto distance = [&](const Point& p) {
    return p.measured.n > n ? p.measured.n - n : n - p.measured.n;
  };
  return static_cast<std::size_t>(
      std::min_element(points_.begin(), points_.end(),
                       [&](const Point& a, const Point& b) { return distance(a) < distance(b); }) -
      points_.begin());
}

std::size_t PassCost::n_since(std::size_t n) const {
  return is_known() ? n_seen_ - points_[nearest(n)].last_seen : 0;
}

// The factor of a size by what is not too long ago. Returns: whether it changed by enough to
// matter; if not, it stays what it was.
bool PassCost::correct(Point& point) const {
  std::array<double, kOfSize> factors;
  std::size_t n = 0;
  for (std::size_t i = 0; i < std::min(point.n_factors, kOfSize); ++i) {
    if (n_seen_ - point.seen_at[i] <= kForgetAfter) factors[n++] = point.factors[i];
  }
  const double median = n == 0 ? 1.0 : median_of(std::span(factors).first(n));
  const auto weight = static_cast<double>(n);
  const double factor = std::clamp((median * weight + kPriorPasses) / (weight + kPriorPasses),
                                   1.0 / kMostFactor, kMostFactor);
  if (std::abs(factor - point.factor) < kNoticeable * point.factor) return false;
  point.factor = factor;
  return true;
}

void PassCost::observe(std::size_t n, double seconds, bool is_first) {
  if (!refines_ || n < 1 || !(seconds > 0.0)) return;
  // What a pass over one token takes is what it takes in plain decoding, among others of its kind.
  is_first = is_first || (n == 1 && std::exchange(last_n_, n) != 1);
  last_n_ = n;
  if (is_first && is_known() && seconds > this->seconds(n)) {
    points_[nearest(n)].last_seen = n_seen_;
    return;
  }
  if (!is_known()) {
    points_.push_back({.measured = {n, seconds}});
    rebuild();
    return;
  }
  const std::size_t here = nearest(n);
  points_[here].last_seen = ++n_seen_;
  recent_[n_seen_ % kRecent] = {here, points_[here].factor, seconds / shape(n)};
  std::array<double, kRecent> ratios;
  const std::size_t n_recent = std::min(n_seen_, kRecent);
  for (std::size_t i = 0; i < n_recent; ++i) {
    ratios[i] = recent_[(n_seen_ - i) % kRecent].ratio;
  }
  // The common factor explains what it can: a machine that got slower did so for all sizes.
  factor_ = median_of(std::span(ratios).first(n_recent));
  bool has_changed = false;
  if (n_recent == kRecent) {
    // The pass in the middle is compared with as many behind it as before it. By those before it
    // alone, the first passes of a machine that just got busy would look like a matter of their
    // size.
    const Seen& seen = recent_[(n_seen_ - kRecent / 2) % kRecent];
    Point& point = points_[seen.point];
    const std::size_t slot = point.n_factors++ % kOfSize;
    point.factors[slot] = seen.factor * seen.ratio / factor_;
    point.seen_at[slot] = n_seen_;
    has_changed = correct(point);
  }
  has_changed |= correct(points_[n_seen_ % points_.size()]);  // one after the other forgets
  if (has_changed) rebuild();
}

std::vector<CostPoint> PassCost::curve() const {
  std::vector<CostPoint> result;
  result.reserve(points_.size());
  for (const Point& p : points_) result.push_back({p.measured.n, seconds(p.measured.n)});
  return result;
}

CostModel measure_costs(LanguageModel& target, LanguageModel& draft,
                        const CostMeasurement& options) {
  const Stopwatch watch;
  Measurement of_target(target, kTargetSizes, options.most_nodes + 1, options, watch);
  Measurement of_draft(draft, kDraftSizes, 32, options, watch);
  // The target's passes are the longer ones.
  bool has_time = of_target.begin(0.8 * options.budget_s);
  has_time = of_draft.begin(options.budget_s) && has_time;
  // Both in turns: where a processor gets faster or slower meanwhile, what a pass of the one takes
  // in passes of the other stays right.
  double shortest = of_target.shortest() + of_draft.shortest();
  double settled_at = watch.seconds();
  for (std::size_t i = 2; has_time && i < kMostRepetitions; ++i) {
    has_time = of_target.repeat(options.budget_s) && of_draft.repeat(options.budget_s);
    const double sum = of_target.shortest() + of_draft.shortest();
    if (sum < kSettled * shortest) {
      shortest = sum;
      settled_at = watch.seconds();
    }
    if (i >= kLeastRepetitions && watch.seconds() > settled_at + kLeastS) break;
  }
  std::vector<CostPoint> target_curve = of_target.points();
  std::vector<CostPoint> draft_curve = of_draft.points();
  return {PassCost(std::move(target_curve)), PassCost(std::move(draft_curve)),
          of_target.is_steady() && of_draft.is_steady()};
}

CostModel measure_costs(LanguageModel& target, const CostMeasurement& options) {
  const Stopwatch watch;
  const double budget_s = 0.5 * options.budget_s;
  Measurement measurement(target, kTargetSizes, options.most_nodes + 1, options, watch);
  bool has_time = measurement.begin(budget_s);
  double shortest = measurement.shortest();
  double settled_at = watch.seconds();
  for (std::size_t i = 2; has_time && i < kMostRepetitions; ++i) {
    has_time = measurement.repeat(budget_s);
    if (measurement.shortest() < kSettled * shortest) {
      shortest = measurement.shortest();
      settled_at = watch.seconds();
    }
    if (i >= kLeastRepetitions && watch.seconds() > settled_at + kLeastS) break;
  }
  std::vector<CostPoint> curve = measurement.points();
  return {PassCost(std::move(curve)), PassCost(), measurement.is_steady()};
}

}  // namespace gumbelspec
