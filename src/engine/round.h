// One round of any number of texts: draft, trim, evaluate, walk, commit, append.
#ifndef GUMBELSPEC_ENGINE_ROUND_H_
#define GUMBELSPEC_ENGINE_ROUND_H_

#include <cstddef>
#include <functional>
#include <vector>

#include "gumbelspec/costs.h"
#include "gumbelspec/language_model.h"
#include "src/engine/round_drafting.h"
#include "src/engine/round_trim.h"
#include "src/engine/stopwatch.h"
#include "src/engine/text.h"

namespace gumbelspec {

// The only place where a text grows, of a session as of a batch.
class Round {
 public:
  struct Surroundings {
    // Frees cells of the models' caches, and says whether it could.
    std::function<bool()> make_room = [] { return false; };
    // Nothing is known any more of what the text's sequences hold.
    std::function<void(Text&)> forget = [](Text&) {};
  };

  // draft may be null. Lifetime: models, costs, clock outlive it.
  Round(LanguageModel& target, LanguageModel* draft, CostModel& costs, const Clock& clock,
        Surroundings surroundings);

  // The round of texts for which begin_round() was called. Errors and ends are left in
  // Text::outcome and Text::error; texts that had no part in it are taken out of the list.
  // plan: null: there is one text, by itself. Returns: whether there was a round.
  bool run(std::vector<Text*>& texts, const RoundPlan* plan);

  // Of the last round, seconds: its passes, and what the drafters did with their rows.
  [[nodiscard]] double target_s() const { return target_s_; }
  [[nodiscard]] double draft_s() const { return drafting_.pass_s(); }
  [[nodiscard]] double take_s() const { return drafting_.take_s(); }
  // What the costs say of the passes, together and of the draft's.
  [[nodiscard]] double counted_s() const;
  [[nodiscard]] double counted_draft_s() const { return drafting_.counted_s(); }
  [[nodiscard]] const RoundDrafting& drafting() const { return drafting_; }

 private:
  using Texts = std::vector<Text*>;

  [[nodiscard]] bool draft_trees(Texts& texts, const RoundPlan* plan);
  [[nodiscard]] bool verify_trees(Texts& texts);
  [[nodiscard]] PassOutcome evaluate_where_there_is_room(Texts& texts);
  [[nodiscard]] PassOutcome evaluate_trees(const Texts& texts);
  void walk_trees(const Texts& texts);
  void commit_trees(const Texts& texts);
  void fail(const Texts& texts, const Error& error);
  void stop(const Texts& texts, Outcome outcome);

  LanguageModel& target_;
  CostModel& costs_;
  const Clock& clock_;
  Surroundings surroundings_;
  RoundDrafting drafting_;
  RoundTrim trim_;
  std::vector<PassNode> pass_;
  std::vector<std::size_t> first_rows_;  // by text
  std::vector<PendingId> commit_;
  double target_s_ = 0.0;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_ROUND_H_
