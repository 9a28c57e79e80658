// The draft's part of a round: shared passes, level by level, and which nodes of all the trees are
// verified.
#ifndef GUMBELSPEC_ENGINE_ROUND_DRAFTING_H_
#define GUMBELSPEC_ENGINE_ROUND_DRAFTING_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "gumbelspec/costs.h"
#include "gumbelspec/language_model.h"
#include "src/engine/stopwatch.h"
#include "src/engine/text.h"

namespace gumbelspec {

// Tokens that a text may have to read besides its root without the others' noticing.
inline constexpr std::size_t kFewMissing = 4;

// What texts that are decoded together have to look at; a text alone has its planner only.
struct RoundPlan {
  double rate = 0.0;        // tokens per second of all texts
  double own_node_s = 0.0;  // that a verified node takes besides the passes
  double limit_s = 0.0;  // that the passes of the round may take by the costs; infinity: anything
};

class RoundDrafting {
 public:
  using Texts = std::span<Text* const>;

  // draft: null: there is none, and drafters propose without passes. make_room: frees cells of the
  // draft's cache, and says whether it could; asked again and again while a pass does not fit.
  // Lifetime: draft, costs, clock outlive it.
  RoundDrafting(LanguageModel* draft, const ModelLimits& target, CostModel& costs,
                const Clock& clock, std::function<bool()> make_room);

  // Fills the trees of the texts whose round has begun. plan: null: there is one text, by itself.
  // Returns: ok, or cancelled. Throws: Error{evaluation_failed}.
  [[nodiscard]] PassOutcome draft(Texts texts, const RoundPlan* plan);
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
  [[nodiscard]] PassOutcome append_text(Text& text, const DraftRoom& room);
  [[nodiscard]] std::size_t n_pass_nodes(Texts texts, std::size_t level) const;
  [[nodiscard]] bool has_time_to_catch_up(Text& text);
  [[nodiscard]] double spent_s() const;
  [[nodiscard]] std::size_t n_verified_in_time(std::size_t n_fixed, std::size_t n_most) const;
  [[nodiscard]] PassOutcome run_pass(Texts texts);
  void take_level(Texts texts, double pass_s);
  void set_company(Texts texts, std::size_t i, std::size_t level);
  void finish(Texts texts);
  void choose_by_value(Texts texts);
  void choose_among_all(std::size_t n_fixed);
  void choose_one_length(Texts texts, std::size_t n_fixed);

  LanguageModel* draft_;
  ModelLimits target_;
  CostModel& costs_;
  const Clock& clock_;
  std::function<bool()> make_room_;
  std::vector<PassNode> pass_;
  std::size_t n_rounds_ = 0;
  std::size_t last_pass_round_ = 0;  // n_rounds_ at the last pass
  RoundPlan plan_;                   // of this round
  bool is_alone_ = true;             // likewise: nobody planned it
  bool has_probed_ = false;          // a text, in this round
  bool has_caught_up_ = false;       // likewise
  double pass_s_ = 0.0;
  double take_s_ = 0.0;
  double counted_s_ = 0.0;
  std::size_t n_extra_ = 0;  // tokens of the last pass besides what was appended

  struct Value {
    double value = 0.0;
    std::size_t text = 0;
  };
  std::vector<Value> values_;
  std::vector<double> sorted_;
  std::vector<std::size_t> n_chosen_;  // by text
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_ROUND_DRAFTING_H_
