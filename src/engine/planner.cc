#include "src/engine/planner.h"

#include <algorithm>

namespace gumbelspec {
namespace {

// A round that took so many times what was expected was interrupted.
constexpr double kMostOvertime = 3.0;
// Part of the time without a draft that may go into probes, and what may be spent at once.
constexpr double kProbeShare = 0.007;
constexpr double kFirstProbes = 1.0;    // passes of the target
constexpr std::size_t kLeastProbe = 4;  // tokens
// Now and then a round goes without a draft, to see what it costs: after so many passes without
// one, and more often where drafting wins by less than this.
constexpr double kClearAdvantage = 1.25;
constexpr std::size_t kPlainEvery = 64;
constexpr std::size_t kPlainEveryAtLeast = 128;
// A round that drafts has to promise so many tokens more than one that does not: estimates are a
// little too good where they decide, since they were chosen for being good.
constexpr double kLeastGain = 0.04;
// The same for what sources propose without a pass.
constexpr double kLeastFreeGain = 0.02;
// Where they leave the model so much of the root's value, a level that does not pay is the model's
// own fault.
constexpr double kNeeded = 0.8;
// Rounds over which what a first level was imagined to bring is compared with what it then
// promised; and what the beginning counts for.
constexpr double kOptimismWindow = 16.0;
constexpr double kPriorOptimism = 3.0;
// A draft that has not read the last tokens reads them in its next pass, once for all the rounds
// that follow. So the first round is charged with a part of that only; twice as much after each
// time that it led to few rounds, half as much after each time that it led to many.
constexpr double kFirstCatchUp = 1.0 / 4.0;
constexpr double kLeastCatchUp = 1.0 / 16.0;
constexpr std::size_t kShortStretch = 16;
constexpr std::size_t kPause = 2;  // rounds without a draft that end a stretch
// Without news the answer stays what it was, so it is not asked for every time.
constexpr std::size_t kAskEvery = 8;

}  // namespace

Planner::Planner(const Method& method, std::shared_ptr<CostModel> costs, std::size_t n_ranks)
    : method_(method),
      costs_(std::move(costs)),
      calibration_(method.tau, n_ranks),
      rate_(*costs_),
      catch_up_(kFirstCatchUp) {
  report_.rounds_by_nodes.resize(static_cast<std::size_t>(method.node_limit()) + 1);
  report_.rounds_by_levels.resize(static_cast<std::size_t>(method.length) + 1);
  n_optimism_ = kPriorOptimism;
  rate_.begin_round(1);
}

bool Planner::wants_plain_round() const {
  // Rounds of several texts are of many sizes anyway.
  if (others_.n_texts != 0 || !costs_->target.refines()) return false;
  return costs_->target.n_since(1) >=
         (advantage_ < kClearAdvantage ? kPlainEvery : kPlainEveryAtLeast);
}

// Whether the answer of the rounds before still holds: no.
bool Planner::is_silent() const {
  if (others_.n_texts == 0) return n_silent_ % kAskEvery != 0;
  return n_silent_ != 0 && n_silent_ != kAskEvery && !others_.is_asking;
}

void Planner::begin_round(const PlannedRound& round) {
  round_ = round;
  round_.max_nodes = std::min(round.max_nodes, static_cast<std::size_t>(method_.node_limit()));
  round_.max_levels = std::min(round.max_levels, method_.length);
  n_levels_ = 0;
  n_probe_ = 0;
  draft_s_ = 0.0;
  credit_s_ = 0.0;
  is_needed_ = true;
  is_to_be_plain_ = wants_plain_round();
}

void Planner::count_stretch() {
  if (n_levels_ > 0) {
    ++n_stretch_;
    n_pause_ = 0;
  } else if (++n_pause_ == kPause && n_stretch_ > 0) {
    catch_up_ = n_stretch_ < kShortStretch ? std::min(2.0 * catch_up_, 1.0)
                                           : std::max(0.5 * catch_up_, kLeastCatchUp);
    n_stretch_ = 0;
  }
}

std::size_t Planner::next_level(std::span<const double> values, std::span<const double> frontier) {
  if (is_to_be_plain_) {
    n_silent_ = kAskEvery - 1;  // for this round only
    return 0;
  }
  if (n_levels_ == 0 && is_silent()) return 0;
  // What other sources have found may leave the model little to add, which says nothing about it.
  is_needed_ = n_levels_ > 0 || (!frontier.empty() && frontier[0] >= kNeeded);
  const std::size_t n_extra = n_levels_ == 0 ? round_.n_missing - 1 : 0;
  const double extra_s = prices().draft_s(1 + n_extra) - prices().draft_s(1);
  const LevelChoice choice = plan_.choose({.values = values,
                                           .frontier = frontier,
                                           .profile = calibration_.profile(),
                                           .max_nodes = round_.max_nodes,
                                           .max_width = static_cast<std::size_t>(method_.width),
                                           .max_levels = round_.max_levels - n_levels_,
                                           .extra_s = catch_up_ * extra_s},
                                          prices());
  if (choice.width == 0) return 0;
  if (n_levels_ == 0) {
    if (choice.gain - std::max(optimism_, 0.0) < kLeastGain) return 0;
    imagined_gain_ = choice.gain;
    credit_s_ = (1.0 - catch_up_) * extra_s;
  }
  ++n_levels_;
  draft_s_ += prices().draft_s(choice.width + n_extra);
  return choice.width;
}

std::size_t Planner::nodes_to_verify(std::span<const double> values) {
  const std::span<const double> possible = values.first(std::min(values.size(), round_.max_nodes));
  const NodeCount best = best_node_count(possible, prices());
  // What was found without a pass of the draft has nothing to lose but this.
  const bool pays = n_levels_ > 0 || (!is_to_be_plain_ && best.gain >= kLeastFreeGain);
  const std::size_t n = pays ? best.n : 0;
  verifies(values, n);
  return n;
}

void Planner::verifies(std::span<const double> values, std::size_t n) {
  expected_tokens_ = 1.0;
  for (const double value : values.first(n)) expected_tokens_ += value;
  expected_s_ = draft_s_ + costs_->target.seconds(others_.n_verified + n + 1);
  n_verified_ = n;
  ++report_.rounds_by_nodes[n];
  ++report_.rounds_by_levels[static_cast<std::size_t>(n_levels_)];
  if (n_levels_ > 0) {
    const double gain =
        expected_tokens_ - 1.0 - prices().verify(n) - rate() * (draft_s_ - credit_s_);
    n_optimism_ = std::min(n_optimism_ + 1.0, kOptimismWindow);
    optimism_ += (imagined_gain_ - gain - optimism_) / n_optimism_;
  }
  if (n > 0) {
    advantage_ = expected_tokens_ * rate_.plain_round_s() / (expected_s_ + rate_.own_round_s(n));
  }
}

bool Planner::wants_probe() const {
  if (round_.n_missing < kLeastProbe || !others_.may_probe) return false;
  // The first one also finds out whether the draft is as slow as it was measured. In company the
  // others' passes tell that, and with every text's first one free, short texts would pay dearly.
  if (report_.n_probes == 0 && others_.n_texts == 0) return true;
  const double allowed = kFirstProbes * share() * costs_->target.seconds(1) + kProbeShare * idle_s_;
  return probe_s_ + costs_->draft.seconds(round_.n_missing) <= allowed;
}

void Planner::probed(double seconds) {
  n_silent_ = kAskEvery - 1;  // ask in the next round
  probe_s_ += costs_->draft.refines() ? seconds : costs_->draft.seconds(n_probe_);
  ++report_.n_probes;
}

void Planner::end_round(std::size_t n_tokens, double seconds) {
  if (!costs_->target.refines()) seconds = expected_s_;
  report_.n_tokens += n_tokens;
  report_.seconds += seconds;
  report_.expected_tokens += expected_tokens_;
  const double own = rate_.own_round_s(n_verified_);
  report_.expected_s += expected_s_ + own;
  seconds = std::min(seconds, kMostOvertime * (expected_s_ + own) + 1e-9);
  // The first round of its kind finds other things in the processor's caches.
  const bool is_plain = n_levels_ == 0 && n_verified_ == 0;
  const bool is_usual = n_levels_ > 0 ? n_stretch_ > 0 : !was_plain_;
  if (is_plain ? was_plain_ : n_verified_ > 0 && is_usual) {
    rate_.observe_own(n_verified_, seconds - expected_s_);
  }
  was_plain_ = is_plain;
  count_stretch();
  rate_.end_round(n_tokens, seconds);
  if (n_levels_ == 0) {
    idle_s_ += seconds * share();
    if (is_needed_) ++n_silent_;
  } else {
    n_silent_ = 0;
  }
}

const PlannerReport& Planner::report() {
  report_.tau = static_cast<double>(calibration_.tau());
  std::copy(calibration_.bins().begin(), calibration_.bins().end(), report_.calibration.begin());
  return report_;
}

}  // namespace gumbelspec
