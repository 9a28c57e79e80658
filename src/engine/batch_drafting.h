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

namespace gumbelspec {

// Tokens per second of all texts together, over the last rounds. When texts come and go it moves at
// once by what that changes in plain decoding.
class BatchRate {
 public:
  explicit BatchRate(const CostModel& costs);
  // The next round is of so many texts.
  void begin_round(std::size_t n_texts);
  // It brought so many tokens, verified n_nodes drafted nodes and took so long, pass_s of it for
  // what the costs of passes count: these and the reading of their rows by the drafters.
  void end_round(std::size_t n_tokens, std::size_t n_nodes, double seconds, double pass_s);
  // Never less than plain decoding would bring, which is always possible.
  [[nodiscard]] double rate() const;
  [[nodiscard]] double own_node_s() const { return own_.per_node(); }

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
                std::function<bool()> make_room);

  // Fills the trees of the texts whose round has begun.
  // Returns: ok, or cancelled. Throws: Error{evaluation_failed}.
  [[nodiscard]] PassOutcome draft(Texts texts, const BatchRate& rate);
  // The seconds of the last round's passes.
  [[nodiscard]] double pass_s() const { return pass_s_; }
  // What the drafters did with their rows.
  [[nodiscard]] double take_s() const { return take_s_; }
  // What the costs say of them.
  [[nodiscard]] double counted_s() const { return counted_s_; }

 private:
  [[nodiscard]] PassOutcome append_level(Texts texts, std::size_t level);
  [[nodiscard]] PassOutcome run_pass(Texts texts);
  void take_level(Texts texts, double pass_s);
  void set_company(Texts texts, std::size_t i, std::size_t level);
  void finish(Texts texts);
  void choose_by_value(Texts texts);

  LanguageModel& draft_;
  ModelLimits target_;
  CostModel& costs_;
  std::function<bool()> make_room_;
  std::vector<PassNode> pass_;
  std::size_t n_rounds_ = 0;
  std::size_t last_pass_round_ = 0;  // n_rounds_ at the last pass
  double rate_ = 0.0;                // of this round
  double own_node_s_ = 0.0;          // as well
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
