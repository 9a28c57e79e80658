// The planner of one session: which rounds draft, how wide, how deep, how much is verified.
#ifndef GUMBELSPEC_ENGINE_PLANNER_H_
#define GUMBELSPEC_ENGINE_PLANNER_H_

#include <cstddef>
#include <memory>
#include <span>

#include "gumbelspec/costs.h"
#include "gumbelspec/method.h"
#include "src/engine/calibration.h"
#include "src/engine/plan.h"
#include "src/engine/round_rate.h"

namespace gumbelspec {

// A round, as the drafter sees it.
struct PlannedRound {
  std::size_t max_nodes = 0;  // that can be verified
  int max_levels = 0;         // that can be of use
  std::size_t n_missing = 1;  // tokens that the draft has not read yet, the root included
};

class Planner {
 public:
  // n_ranks: children per node that are looked at. costs is not null.
  Planner(const Method& method, std::shared_ptr<CostModel> costs, std::size_t n_ranks);

  [[nodiscard]] Calibration& calibration() { return calibration_; }
  [[nodiscard]] const Calibration& calibration() const { return calibration_; }
  [[nodiscard]] CostModel& costs() { return *costs_; }

  // The target reads accepted tokens again after a rejection.
  void set_rereads(bool rereads) { rereads_ = rereads; }

  void begin_round(const PlannedRound& round);
  // The other texts, as they are now; to be said again when that changes.
  void set_company(const Company& others) { others_ = others; }
  // Nodes of the frontier to expand next, the best ones; 0: go on to verify.
  // Shape: values of all nodes so far, frontier: of those that can be expanded; both descending.
  [[nodiscard]] std::size_t next_level(std::span<const double> values,
                                       std::span<const double> frontier);
  // How many of the best nodes to verify; ends the plan. Shape: as above.
  [[nodiscard]] std::size_t nodes_to_verify(std::span<const double> values);
  // The same where somebody else decided how many, at most round.max_nodes.
  void verifies(std::span<const double> values, std::size_t n);
  // Whether a round that drafts nothing should let the draft read on, to learn what it would have
  // been worth. The answer is yes for a small part of the time only.
  [[nodiscard]] bool wants_probe() const;
  // The pass that follows is such a probe, of n tokens; and it took place. n_probe(): of this
  // round.
  void begin_probe(std::size_t n) { n_probe_ = n; }
  void probed(double seconds);
  [[nodiscard]] std::size_t n_probe() const { return n_probe_; }

  // What the round brought and took, drafting included.
  void end_round(std::size_t n_tokens, double seconds);
  void add_plan_time(double seconds) { report_.plan_s += seconds; }

  // Drafted nodes that the last round verified.
  [[nodiscard]] std::size_t n_verified() const { return n_verified_; }
  // What the passes of the last round were expected to take, seconds.
  [[nodiscard]] double expected_s() const { return expected_s_; }
  // Levels of this round so far.
  [[nodiscard]] int n_levels() const { return n_levels_; }
  // Tokens per second of all texts.
  [[nodiscard]] double rate() const { return others_.rate > 0.0 ? others_.rate : rate_.rate(); }
  [[nodiscard]] const PlannerReport& report();

 private:
  [[nodiscard]] Prices prices() const {
    return {costs_.get(), rate(), others_,
            others_.rate > 0.0 ? others_.own_node_s : rate_.own_node_s(), rereads_};
  }
  // This text's part of what is allowed to all of them.
  [[nodiscard]] double share() const { return 1.0 / static_cast<double>(others_.n_texts + 1); }
  [[nodiscard]] bool is_silent() const;
  void count_stretch();
  [[nodiscard]] bool wants_plain_round() const;

  Method method_;
  std::shared_ptr<CostModel> costs_;
  Calibration calibration_;
  LevelPlan plan_;
  PlannerReport report_;

  RoundRate rate_;  // of this text alone

  bool rereads_ = false;
  PlannedRound round_;
  Company others_;
  int n_levels_ = 0;
  std::size_t n_probe_ = 0;
  double draft_s_ = 0.0;          // expected for this round's draft passes
  double credit_s_ = 0.0;         // of them not charged to this round
  double expected_tokens_ = 1.0;  // of this round
  double expected_s_ = 0.0;       // its passes
  std::size_t n_verified_ = 0;    // its drafted nodes
  double imagined_gain_ = 0.0;    // by its first level, before there was one, in tokens
  double optimism_ = 0.0;         // mean excess of that over what it promised afterwards
  double n_optimism_ = 0.0;
  double advantage_ = 1.0;  // over plain decoding, of the last round that drafted
  // A stretch: rounds that draft, with at most single ones that do not in between.
  std::size_t n_stretch_ = 0;
  std::size_t n_pause_ = 0;
  bool was_plain_ = false;       // the round before
  bool is_to_be_plain_ = false;  // this one, to see what that costs
  bool is_needed_ = true;        // the draft, in this round
  double catch_up_;              // part of what the draft has to catch up with that is charged
  double idle_s_ = 0.0;          // spent in rounds without a draft
  double probe_s_ = 0.0;         // spent on probes
  std::size_t n_silent_ = 0;     // rounds without a draft since there was anything new
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_PLANNER_H_
