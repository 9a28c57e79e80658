// The parts of a Batch; batch.cc has the texts' coming and going, batch_prompts.cc their prompts,
// batch_round.cc what surrounds their rounds.
#ifndef GUMBELSPEC_ENGINE_BATCH_IMPL_H_
#define GUMBELSPEC_ENGINE_BATCH_IMPL_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "gumbelspec/batch.h"
#include "src/engine/batch_ledger.h"
#include "src/engine/batch_slots.h"
#include "src/engine/batch_text.h"
#include "src/engine/prompt_pieces.h"
#include "src/engine/round.h"
#include "src/engine/round_rate.h"
#include "src/engine/stopwatch.h"

namespace gumbelspec {

// Rounds of a batch have no other texts.
inline BatchText& of_batch(Text& text) { return static_cast<BatchText&>(text); }

class Batch::Impl {
 public:
  Impl(LanguageModel& target, LanguageModel* draft, BatchOptions options);

  TextId add(std::span<const TokenId> prompt, const TextOptions& options,
             std::unique_ptr<TextSink> sink);
  void cancel(TextId id);
  bool step();
  [[nodiscard]] const BatchStatistics& statistics();
  // batch_state.cc.
  [[nodiscard]] std::size_t n_slots() const { return slots_.size(); }
  [[nodiscard]] SlotState save_slot(std::size_t slot);
  void restore_slot(std::size_t slot, const SlotState& state);
  std::size_t erase_slot(std::size_t slot);

 private:
  using TextPtr = std::unique_ptr<BatchText>;

  [[nodiscard]] TextOptions checked(std::span<const TokenId> prompt,
                                    const TextOptions& options) const;
  void admit();
  [[nodiscard]] bool admit_one();
  [[nodiscard]] bool pays_to_read_on() const;
  BatchSlot& idle_slot(std::size_t slot);
  // Prompts; batch_prompts.cc.
  void read_prompts();
  [[nodiscard]] BatchText* next_reader();
  [[nodiscard]] std::size_t next_piece(const BatchText& text) const;
  struct ReadingLimit {
    double seconds = HUGE_VAL;
    bool is_alone = false;  // nobody decodes, but somebody may come
  };
  [[nodiscard]] ReadingLimit reading_limit() const;
  [[nodiscard]] double reading_credit_s(const ReadingLimit& limit);
  [[nodiscard]] double plain_round_s() const;
  void read_piece(BatchText& text);
  [[nodiscard]] PassOutcome read_target(BatchText& text);
  [[nodiscard]] PassOutcome score_target(BatchText& text, std::span<const TokenId> piece);
  [[nodiscard]] PassOutcome read_draft(BatchText& text);
  [[nodiscard]] PassOutcome read_head(BatchText& text, std::span<const TokenId> piece);
  static void tell_prompt(BatchText& text);
  // The round; batch_round.cc.
  void run_round();
  void choose_texts();
  void begin_texts();
  [[nodiscard]] bool waits_to_catch_up(const BatchText& text) const;
  void begin_text(BatchText& text, std::size_t n_planned);
  [[nodiscard]] double round_limit_s() const;
  [[nodiscard]] std::size_t n_planned_nodes(std::size_t n_texts);
  void tell(double seconds);
  void enter_round(std::size_t n_tokens, double seconds);
  void enter_masks(double seconds);
  void count(const BatchText& text);
  // Ends.
  void end_marked();
  void end(TextPtr text);

  LanguageModel& target_;
  LanguageModel* draft_;
  BatchOptions options_;
  std::size_t max_active_;
  BatchSlots slots_;
  Clock clock_;
  RoundRate rate_;
  BatchLedger ledger_;
  Round round_;
  BatchStatistics statistics_;

  std::uint64_t next_id_ = 1;
  std::deque<TextPtr> waiting_;
  std::vector<TextPtr> active_;  // in the order of their coming
  bool is_in_step_ = false;
  std::size_t n_pieces_ = 0;
  PromptPieces pieces_{options_.prompt_tokens_per_round};
  double reading_credit_s_ = 0.0;  // what was left, or is owed
  std::size_t most_piece_ = 0;     // tokens of a prompt at once, in this round
  double target_read_s_ = 0.0;     // of the piece that was read last
  double round_s_ = 0.0;           // of rounds on average, where costs are not known

  // The round.
  std::vector<BatchText*> ready_;  // those that take part
  std::vector<Text*> texts_;       // of them, all BatchTexts, those that could begin
  double limit_s_ = 0.0;           // by the costs
  bool is_measured_ = true;        // all that draft are planned, so that the round is entered
  // What the draft read of prompts since the last round, measured and by the costs.
  double read_draft_s_ = 0.0;
  double counted_read_s_ = 0.0;
  double step_s_ = 0.0;          // what steps take on average, without masks
  std::vector<PassNode> nodes_;  // of a scored prompt
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_BATCH_IMPL_H_
