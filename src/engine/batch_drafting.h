// The draft's part of a round of a batch: shared passes, level by level, and which nodes of all the
// trees are verified.
#ifndef GUMBELSPEC_ENGINE_BATCH_DRAFTING_H_
#define GUMBELSPEC_ENGINE_BATCH_DRAFTING_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "gumbelspec/language_model.h"
#include "gumbelspec/planner.h"
#include "src/engine/batch_text.h"
#include "src/engine/own_time.h"
#include "src/engine/plan.h"
#include "src/engine/stopwatch.h"

namespace gumbelspec {

// Tokens per second of all texts together, over the last rounds. When texts come and go it moves at
// once by what that changes in plain decoding.
class BatchRate {
 public:
  explicit BatchRate(const CostModel& costs);
  // The next round is of so many texts.
  void begin_round(std::size_t n_texts);
  // It brought so many tokens, verified n_nodes drafted nodes and took so long, pass_s of it for
  // what the costs of passes count: these and the reading of their rows by the drafters. is_plain:
  // the draft did nothing.
  void end_round(std::size_t n_tokens, std::size_t n_nodes, double seconds, double pass_s,
                 bool is_plain);
  // Never less than plain decoding would bring, which is always possible.
  [[nodiscard]] double rate() const;
  [[nodiscard]] double own_node_s() const { return own_.per_node(); }
  [[nodiscard]] std::size_t n_texts() const { return n_texts_; }
  // Expected of a round of these texts without a draft, seconds.
  [[nodiscard]] double plain_round_s() const {
    return plain_s(n_texts_) + static_cast<double>(n_texts_) * own_.per_text();
  }
  // Besides its passes.
  [[nodiscard]] double own_round_s() const {
    return static_cast<double>(n_texts_) * own_.per_text();
  }

 private:
  [[nodiscard]] double plain_s(std::size_t n) const;

  const CostModel& costs_;
  std::size_t n_texts_ = 0;
  double tokens_ = 0.0;
  double seconds_ = 0.0;
  OwnTime own_;
};

class BatchDrafting {
 public:
  using Texts = std::span<BatchText* const>;

  // make_room: frees cells of the draft's cache, and says whether it could; asked again and again
  // while a pass does not fit. Lifetime: draft, costs outlive it.
  BatchDrafting(LanguageModel& draft, const ModelLimits& target, CostModel& costs,
                const Clock& clock, std::function<bool()> make_room);

  // Fills the trees of the texts whose round has begun, such that the round takes at most limit_s
  // by the costs (infinity: anything).
  // Returns: ok, or cancelled. Throws: Error{evaluation_failed}.
  [[nodiscard]] PassOutcome draft(Texts texts, const BatchRate& rate, double limit_s);
  // No text drafts in this round.
  void skip_round() { pass_s_ = take_s_ = counted_s_ = 0.0; }
  // The seconds of the last round's passes, reading on included.
  [[nodiscard]] double pass_s() const { return pass_s_; }
  // What the drafters did with their rows.
  [[nodiscard]] double take_s() const { return take_s_; }
  // What the costs say of them.
  [[nodiscard]] double counted_s() const { return counted_s_; }
  // Drafted nodes that a round of n_texts has time for, at most n_most; none: it is not worth a
  // pass of the draft.
  [[nodiscard]] std::size_t n_in_time(std::size_t n_texts, std::size_t n_most,
                                      double limit_s) const;

 private:
  [[nodiscard]] PassOutcome append_level(Texts texts, std::size_t level);
  [[nodiscard]] PassOutcome append_text(BatchText& text, const StepDrafter::Room& room);
  [[nodiscard]] std::size_t n_pass_nodes(Texts texts, std::size_t level) const;
  [[nodiscard]] bool has_time_to_catch_up(BatchText& text);
  [[nodiscard]] double spent_s() const;
  [[nodiscard]] std::size_t n_verified_in_time(std::size_t n_fixed, std::size_t n_most) const;
  [[nodiscard]] PassOutcome run_pass(Texts texts);
  void take_level(Texts texts, double pass_s);
  void set_company(Texts texts, std::size_t i, std::size_t level);
  void finish(Texts texts);
  void choose_by_value(Texts texts);

  LanguageModel& draft_;
  ModelLimits target_;
  CostModel& costs_;
  const Clock& clock_;
  std::function<bool()> make_room_;
  std::vector<PassNode> pass_;
  std::size_t n_rounds_ = 0;
  std::size_t last_pass_round_ = 0;  // n_rounds_ at the last pass
  double rate_ = 0.0;                // of this round
  double own_node_s_ = 0.0;          // as well
  double limit_s_ = 0.0;             // of this round, without what it takes besides passes
  bool has_probed_ = false;          // a text, in this round
  bool has_caught_up_ = false;       // likewise
  double pass_s_ = 0.0;
  double take_s_ = 0.0;
  double counted_s_ = 0.0;

  struct Value {
    double value = 0.0;
    std::size_t text = 0;
  };
  std::vector<Value> values_;
  std::vector<double> sorted_;
  std::vector<std::size_t> n_chosen_;  // by text
};

// Leaves out the nodes of least value until all trees together fit into a pass.
class BatchTrim {
 public:
  void operator()(BatchDrafting::Texts texts, std::size_t max_nodes, std::size_t max_leaves);

 private:
  struct Node {
    float log_value = 0.0F;
    std::size_t text = 0;
    NodeId node{};
  };
  std::vector<Node> nodes_;
  std::vector<std::vector<char>> keep_;  // by text
  std::vector<NodeId> new_ids_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_BATCH_DRAFTING_H_
