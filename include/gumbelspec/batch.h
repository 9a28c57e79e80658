// Many texts at once: every round one target pass verifies the trees of all of them.
#ifndef GUMBELSPEC_BATCH_H_
#define GUMBELSPEC_BATCH_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "gumbelspec/calibration_store.h"
#include "gumbelspec/costs.h"
#include "gumbelspec/draft_tree.h"
#include "gumbelspec/drafter.h"
#include "gumbelspec/error.h"
#include "gumbelspec/language_model.h"
#include "gumbelspec/method.h"
#include "gumbelspec/proposals.h"
#include "gumbelspec/text_options.h"
#include "gumbelspec/token_constraint.h"
#include "gumbelspec/verifier.h"
#include "gumbelspec/walk.h"

namespace gumbelspec {

// A text of a batch. Never used twice.
enum class TextId : std::uint64_t {};

// One round of one text, as its sink sees it. Lifetime: of the call.
struct BatchRound {
  std::span<const GeneratedToken> tokens;  // what it appended, at least one unless the text ends
  std::span<const TokenLogprob> logprobs;  // [tokens.size()], or empty
  std::span<const TokenLogprob> top_logprobs;  // [tokens.size(), n_logprobs], likeliest first
  const DraftTree& tree;
  const WalkResult& walk;
  // Where the tree's nodes come from: chosen(node).source; null: nothing was drafted.
  const Proposals* proposals = nullptr;
  // Of the whole round, which other texts may share, seconds.
  double draft_s = 0.0;
  double target_s = 0.0;
  double own_s = 0.0;
};

// What becomes of a text. Called from Batch::step() and Batch::cancel().
class TextSink {
 public:
  virtual ~TextSink() = default;
  // n_done of the prompt's n_total tokens are evaluated; n_reused of them were in the cache.
  virtual void on_prompt(std::size_t /*n_done*/, std::size_t /*n_total*/,
                         std::size_t /*n_reused*/) {}
  // Of the next tokens of the prompt, where TextOptions::scores_prompt asks for them; the first
  // token of all has none. Shape: [n] and [n, n_logprobs], likeliest first.
  virtual void on_prompt_logprobs(std::span<const TokenLogprob> /*logprobs*/,
                                  std::span<const TokenLogprob> /*top_logprobs*/) {}
  // Returns: whether to go on; if not, the text ends with Outcome::stop.
  virtual bool on_round(const BatchRound& round) = 0;
  // The last call. error is not null where a model pass failed or no token was allowed. Times are
  // those of the rounds that the text took part in, the other texts' part of them included.
  virtual void on_end(Outcome outcome, const Statistics& statistics, const Error* error) = 0;
};

struct BatchOptions {
  // Texts decoded at once, at most; 0: what the target has sequences for.
  std::size_t max_active = 0;
  // Prompt tokens evaluated between two rounds, at most; fewer where other texts decode, see below.
  std::size_t prompt_tokens_per_round = 256;
  // What passes cost. Null: measured when the batch is made, if there is a draft.
  std::shared_ptr<CostModel> costs = {};
  // What planners of earlier texts learnt, and where the batch's go. Null: the batch has its own.
  std::shared_ptr<CalibrationStore> calibrations = {};
  // Keeps the evaluated texts of the past, and uses them for prompts that begin alike; the least
  // recently used ones make room for new texts. Prompts are otherwise read in pieces, and what is
  // kept was read in others, or a token at a time: that is exact where a token's logits do not
  // depend on its pass, as the rest of a batch is.
  bool reuses_prefixes = true;
  // What a round may take, by its plan, and with prompts read in front; a plain round and 16 tokens
  // of a prompt always may. 0: kMostRound plain rounds where more than two texts are decoded, else
  // anything; prompts 1 plain round to 2. Methods with a tree of a given size keep it. Units: ms.
  double max_gap_ms = 0.0;
  // Seconds since some moment, for simulations; empty: the steady clock. What is drafted depends on
  // it, the texts do not.
  std::function<double()> clock = {};

  static constexpr double kMostRound = 1.8;
};

struct BatchStatistics {
  std::size_t n_active = 0;         // texts in rounds, or reading their prompts
  std::size_t n_waiting = 0;        // for room
  std::size_t n_cached_tokens = 0;  // in the cache, of texts active and past
  std::size_t n_cache_tokens = 0;   // that the cache can hold
  std::size_t n_rounds = 0;
  std::size_t n_plain_rounds = 0;   // in which the draft did nothing
  std::size_t n_closed_rounds = 0;  // of them in which it was not allowed to: it had lost too much
  std::size_t n_drafted = 0;
  std::size_t n_accepted = 0;
  std::size_t n_generated = 0;
  std::size_t n_prompt = 0;                 // prompt tokens evaluated
  std::size_t n_prompt_reused = 0;          // and those that did not have to be
  std::vector<DepthCount> by_depth = {};    // element i: depth i + 1
  std::vector<SourceCount> by_source = {};  // those that proposed anything
  double prompt_s = 0.0;
  double target_s = 0.0;
  double draft_s = 0.0;
  double own_s = 0.0;
};

// What an idle slot of a batch holds: a text, and what the target has evaluated of it.
struct SlotState {
  std::vector<TokenId> tokens;
  std::vector<std::uint8_t> state;  // LanguageModel::state()
};

// The tokens of a text are those of a Session with the same prompt, options and seed, whatever else
// is in the batch, as long as the target's logits of a token do not depend on what else is in a
// pass (docs/exactness.md).
//
// Texts that are left when the batch ends are dropped without a call of their sinks.
// Threads: one at a time; a sink may call add() and cancel(), a text cancelled so ends with the
// step. Lifetime: the models outlive the batch, which has their sequences for itself.
class Batch {
 public:
  // draft may be null: then gumbel-tree drafts from its sources, and texts of other
  // methods are decoded plainly.
  // Throws: Error{invalid_option}; Error{evaluation_failed} when costs are measured.
  Batch(LanguageModel& target, LanguageModel* draft, BatchOptions options = {});
  ~Batch();
  Batch(const Batch&) = delete;
  Batch& operator=(const Batch&) = delete;

  // Joins at the next round, or as soon as there is room.
  // Throws: Error{invalid_option, invalid_prompt, prompt_too_long}; then the sink is dropped
  // without a call.
  TextId add(std::span<const TokenId> prompt, const TextOptions& options,
             std::unique_ptr<TextSink> sink);

  // Ends a text with Outcome::cancelled; its room is free before the next round. Unknown and ended
  // ids are ignored.
  void cancel(TextId id);

  // A part of the waiting prompts, then one round of all texts that have read theirs.
  // Returns: whether there is anything left to do.
  // Errors of a pass end the texts that took part in it; the batch goes on.
  bool step();

  [[nodiscard]] const BatchStatistics& statistics() const;

  // Slots, counted from 0, hold what past texts have evaluated; TextOptions::slot names one.
  // All throw Error{invalid_option} for a slot that is busy, or not there.
  [[nodiscard]] std::size_t n_slots() const;
  // Throws also: Error{invalid_option} for models whose state cannot be taken out.
  [[nodiscard]] SlotState save_slot(std::size_t slot);
  // Requires: saved by a batch of the same model. Throws also: Error{invalid_option} for a state
  // that the model does not take; the slot is then empty.
  void restore_slot(std::size_t slot, const SlotState& state);
  // Returns: the tokens that it held.
  std::size_t erase_slot(std::size_t slot);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_BATCH_H_
