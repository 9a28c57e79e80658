// One text being generated: its reading by each model, its pipeline, its part of a round.
#ifndef GUMBELSPEC_ENGINE_TEXT_H_
#define GUMBELSPEC_ENGINE_TEXT_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "gumbelspec/calibration_store.h"
#include "gumbelspec/draft_reader.h"
#include "gumbelspec/drafter.h"
#include "gumbelspec/error.h"
#include "gumbelspec/text_options.h"
#include "gumbelspec/token_constraint.h"
#include "gumbelspec/verifier.h"
#include "src/engine/methods.h"
#include "src/engine/planner.h"
#include "src/engine/stopwatch.h"

namespace gumbelspec {

// A text goes through prepare(), then any number of times through set_prompt(), begin() and rounds.
// What happens in a round, and in which order, is the Round's business.
class Text {
 public:
  // What texts of the same models share. costs and calibrations may be null. Lifetime: of the text.
  struct Models {
    LanguageModel* target = nullptr;
    LanguageModel* draft = nullptr;  // null: there is none
    std::shared_ptr<CostModel> costs;
    std::shared_ptr<CalibrationStore> calibrations;
  };

  explicit Text(TextOptions options) : options_(std::move(options)) {}
  virtual ~Text() = default;
  Text(const Text&) = delete;
  Text& operator=(const Text&) = delete;

  [[nodiscard]] const TextOptions& options() const { return options_; }

  // Drafter, verifier and all the memory that rounds need. Throws: Error{invalid_option}.
  void prepare(const Models& models);
  // Positions that the noise table must hold at once.
  [[nodiscard]] std::size_t n_noise_rows() const;
  // The sequence of the target that reads the text. The draft's: reader().
  void set_sequence(SeqId target) { seq_ = target; }
  [[nodiscard]] SeqId sequence() const { return seq_; }
  void set_prompt(std::span<const TokenId> prompt);
  // A new text with that prompt, which is not read yet. Lifetime: noise, until the next begin().
  void begin(NoiseTable& noise);

  [[nodiscard]] std::span<const TokenId> prompt() const {
    return std::span(text_).first(n_prompt_);
  }
  [[nodiscard]] std::span<const TokenId> tokens() const { return text_; }
  [[nodiscard]] std::size_t n_generated() const { return text_.size() - n_prompt_; }
  [[nodiscard]] Statistics& statistics() { return statistics_; }
  [[nodiscard]] const Statistics& statistics() const { return statistics_; }

  // The draft model's reading of the text; null: the method has none.
  [[nodiscard]] DraftReader* reader() { return reader_ ? &*reader_ : nullptr; }
  [[nodiscard]] const DraftReader* reader() const { return reader_ ? &*reader_ : nullptr; }
  [[nodiscard]] bool has_drafter() const { return drafter_ != nullptr; }
  // Goes on without a draft.
  void drop_drafter();

  // Tokens that may still follow, and how the text ends when there are none.
  [[nodiscard]] std::size_t room() const;
  [[nodiscard]] Outcome outcome_at(std::size_t room) const;

  // The tree becomes a root; where something can be drafted, the drafter begins, within limits of
  // this text alone. may_draft_now() is asked when the mask below the root is known.
  // Throws: Error of the constraint.
  void begin_round(std::size_t max_nodes, std::size_t max_leaves, bool may_draft);
  // The planner that decides how much of this round is drafted and verified; null: nobody does.
  [[nodiscard]] Planner* planner() {
    return planner_ && drafter_ && !drafter_->is_indivisible() ? &*planner_ : nullptr;
  }
  // Whether there is one at all.
  [[nodiscard]] bool is_planned() const { return planner_ && drafter_; }
  // Appends the nodes of the next draft pass; and what was appended has been evaluated.
  [[nodiscard]] PassOutcome append(const DraftRoom& room, std::vector<PassNode>& pass) {
    return drafter_->append(draft_round_, room, pass);
  }
  void take(std::size_t first_row);
  // Of the nodes found, descending; for who decides how many are verified. Requires: planner().
  [[nodiscard]] std::span<const double> values();
  // The best nodes become the tree: as many as the planner says, or n of them.
  void finish();
  void finish(std::size_t n);
  // Nodes of the tree were left out. Shape: as DraftTree::prune().
  void renumber(std::span<const NodeId> new_ids) { proposals_->renumber(new_ids); }
  void drop_tree() { tree.reset(text_.back()); }
  // Nothing was appended.
  void clear_round();
  // Whether the tree may lose some of its nodes, or all of them only.
  [[nodiscard]] bool is_divisible() const { return !has_drafted || !drafter_->is_indivisible(); }

  // The walk, where the tree's rows begin with first_row of the target's last pass; what the text
  // needs of them is kept. Throws: Error{no_token_allowed}, what the constraint throws.
  void walk_tree(const LanguageModel& target, std::size_t first_row);
  // Of a prompt that is being read: logprobs() of the tokens behind those that are rows 0 to n of
  // the target's last pass, the first of which is token `first` of the prompt.
  void score_prompt(const LanguageModel& target, std::size_t first, std::size_t n);
  // Both models keep the path; commit: scratch.
  void commit(LanguageModel& target, std::vector<PendingId>& commit);
  // Appends the tokens. Returns how the text stands then.
  Outcome emit(const LanguageModel& target);
  // The text has ended, whatever the reason: what its planner learnt is kept.
  void end();

  // Adds the nodes of the last round's tree, and what of them was accepted.
  void count_sources(std::vector<SourceCount>& counts) const;
  // What the last round appended.
  [[nodiscard]] std::span<const GeneratedToken> generated() const { return generated_; }
  [[nodiscard]] std::span<const TokenLogprob> logprobs() const { return logprobs_; }
  [[nodiscard]] std::span<const TokenLogprob> top_logprobs() const { return top_logprobs_; }
  // Null: no planner. Lifetime: until the next call.
  [[nodiscard]] const PlannerReport* planner_report();

  // Where the tree's nodes come from; null: nothing was drafted in this round.
  [[nodiscard]] const Proposals* proposals() const { return has_drafted ? &*proposals_ : nullptr; }

  DraftTree tree;
  WalkResult walk;
  bool has_drafted = false;  // in this round
  std::size_t n_last = 1;    // nodes verified in the last round, the root included

  // The draft's passes of the round, by level: this text's tokens in it; of levels that it was not
  // asked about yet, those of the round before.
  std::vector<std::size_t> by_level;
  std::size_t first_node = 0;  // in the pass that is being made
  std::size_t n_nodes = 0;
  bool is_drafting = false;  // may still want a pass

  // How it ended in this round, before anybody was told.
  Outcome outcome = Outcome::running;
  std::optional<Error> error;

 protected:
  [[nodiscard]] virtual bool may_draft_now() const { return true; }

 private:
  // Whether what the planner learns of the draft goes from text to text.
  [[nodiscard]] bool keeps_calibration() const {
    return planner_ && models_.draft != nullptr && models_.calibrations && !blocks_;
  }
  void add_logprobs(std::span<const float> logits, TokenId token);
  // Of the distribution that the token below a node was drawn from.
  void add_final_logprobs(const Verifier::Round& round, NodeId node, TokenId token);
  // Alternatives told per token.
  [[nodiscard]] std::size_t n_best() const;
  [[nodiscard]] std::size_t n_levels() const;

  TextOptions options_;
  Models models_;
  std::vector<TokenId> text_;
  std::size_t n_prompt_ = 0;
  std::size_t n_context_ = 0;
  Statistics statistics_;

  SeqId seq_{};
  std::optional<DraftReader> reader_;
  std::optional<LogWeights> weights_;
  NoiseTable* noise_ = nullptr;
  std::optional<Planner> planner_;
  std::optional<Proposals> proposals_;
  std::shared_ptr<Drafter> drafter_;
  std::shared_ptr<Verifier> verifier_;
  std::shared_ptr<const BlocksByArm> blocks_;  // null: the text has one method
  PlannerReport report_;

  DraftRound draft_round_;
  Stopwatch round_;
  std::vector<TokenId> path_;
  std::vector<std::uint32_t> allowed_;  // below the root; empty: no constraint
  std::vector<GeneratedToken> generated_;
  std::vector<TokenLogprob> logprobs_;
  std::vector<TokenLogprob> top_logprobs_;
  std::vector<Candidate> best_;  // one more than are told
};

// What became of the draft in a round, added up by depth. by_depth grows where it is too short, up
// to n_most. Shape: by_depth, element i: depth i + 1.
void count_depths(const DraftTree& tree, const WalkResult& walk, std::size_t n_most,
                  std::vector<DepthCount>& by_depth);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_TEXT_H_
