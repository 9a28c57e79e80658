// One text of a batch: what it wants, where it stands, and its part of a round.
#ifndef GUMBELSPEC_ENGINE_BATCH_TEXT_H_
#define GUMBELSPEC_ENGINE_BATCH_TEXT_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "gumbelspec/batch.h"
#include "src/engine/batch_slots.h"
#include "src/engine/step_drafter.h"

namespace gumbelspec {

class BatchText {
 public:
  BatchText(TextId id, std::span<const TokenId> prompt, const TextOptions& options,
            std::unique_ptr<TextSink> sink);

  [[nodiscard]] TextId id() const { return id_; }
  [[nodiscard]] const TextOptions& options() const { return options_; }
  [[nodiscard]] std::span<const TokenId> prompt() const {
    return std::span(text_).first(n_prompt_);
  }
  [[nodiscard]] std::span<const TokenId> text() const { return text_; }
  [[nodiscard]] std::size_t n_generated() const { return text_.size() - n_prompt_; }
  [[nodiscard]] Statistics& statistics() { return statistics_; }
  [[nodiscard]] TextSink& sink() { return *sink_; }

  // It has a slot now, whose sequences hold the beginning of the prompt.
  void join(std::size_t slot, BatchSlots& slots, const ModelLimits& target, LanguageModel* draft,
            const std::shared_ptr<CostModel>& costs);
  [[nodiscard]] std::size_t slot() const { return slot_; }
  [[nodiscard]] StepDrafter* drafter() const { return drafter_.get(); }
  // Goes on without a draft.
  void drop_drafter() { drafter_.reset(); }

  // The prompt. Tokens that each model still has to read, but for the last one.
  std::size_t n_reused = 0;
  std::size_t n_read = 0;
  std::size_t n_draft_read = 0;
  // Drafting does not pay at present: the draft reads the prompt when it does, or the end of it.
  bool defers_draft = false;
  [[nodiscard]] std::size_t n_to_read() const { return n_prompt_ - 1 - n_read; }
  [[nodiscard]] std::size_t n_draft_to_read() const {
    return drafter_ && !defers_draft ? n_prompt_ - 1 - n_draft_read : 0;
  }
  [[nodiscard]] bool is_reading() const { return n_to_read() > 0 || n_draft_to_read() > 0; }

  // A round. Tokens that may still follow, and how the text ends when there are none.
  [[nodiscard]] std::size_t room() const;
  [[nodiscard]] Outcome outcome_at(std::size_t room) const;
  // The tree becomes a root; where something can be drafted, the drafter begins, within limits of
  // this text alone. Throws: Error of the constraint.
  void begin_round(std::size_t max_nodes, std::size_t max_leaves, bool may_draft);
  // Whether a planner decides how much it drafts.
  [[nodiscard]] bool is_planned() const { return drafter_ && drafter_->planner() != nullptr; }
  void drop_tree() { tree.reset(text_.back()); }

  // The walk, where the tree's rows begin with first_row of the target's last pass; what the text
  // needs of them is kept. Throws: Error{no_token_allowed}, what the constraint throws.
  void walk_tree(const LanguageModel& target, std::size_t first_row);
  // Tells the drafter, and appends the tokens. Returns how the text stands then.
  Outcome emit(const LanguageModel& target);
  [[nodiscard]] std::span<const GeneratedToken> tokens() const { return tokens_; }
  [[nodiscard]] std::span<const TokenLogprob> logprobs() const { return logprobs_; }
  [[nodiscard]] std::span<const TokenLogprob> top_logprobs() const { return top_logprobs_; }

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
  bool is_cancelled = false;

 private:
  Choice choose_at(const LanguageModel& target, std::size_t first_row, NodeId node);
  void add_logprobs(std::span<const float> logits, TokenId token);
  // Alternatives told per token.
  [[nodiscard]] std::size_t n_best() const {
    return std::min(static_cast<std::size_t>(options_.n_logprobs), best_.size());
  }
  void count_depths();

  TextId id_;
  TextOptions options_;
  std::unique_ptr<TextSink> sink_;
  std::vector<TokenId> text_;
  std::size_t n_prompt_;
  std::size_t n_context_ = 0;
  Statistics statistics_;

  std::size_t slot_ = BatchSlots::kNone;
  std::optional<LogWeights> weights_;
  GumbelNoise source_;
  NoiseTable* noise_ = nullptr;  // the slot's
  std::unique_ptr<StepDrafter> drafter_;

  std::vector<TokenId> path_;
  std::vector<std::uint32_t> allowed_;  // below the root; empty: no constraint
  std::vector<GeneratedToken> tokens_;  // of the round
  std::vector<TokenLogprob> logprobs_;
  std::vector<TokenLogprob> top_logprobs_;
  std::vector<Candidate> best_;  // one more than are told
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_BATCH_TEXT_H_
