// The sequences of a batch: whose they are, and what they still hold of the past.
#ifndef GUMBELSPEC_ENGINE_BATCH_SLOTS_H_
#define GUMBELSPEC_ENGINE_BATCH_SLOTS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gumbelspec/drafter.h"
#include "gumbelspec/language_model.h"

namespace gumbelspec {

// A sequence of each model, for one text at a time.
struct BatchSlot {
  bool is_open = false;
  bool is_busy = false;
  SeqId target{};
  SeqId draft{};                // where there is a draft
  std::vector<TokenId> tokens;  // committed in the target
  std::size_t n_draft = 0;      // of them, those that an idle slot has in the draft as well
  std::uint64_t last_use = 0;
  // Kept for the next text, because it is large.
  std::unique_ptr<NoiseTable> noise;
  std::size_t n_noise_rows = 0;
};

class BatchSlots {
 public:
  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  // draft may be null. Lifetime: both outlive it.
  BatchSlots(LanguageModel& target, LanguageModel* draft, std::size_t n);
  ~BatchSlots();
  BatchSlots(const BatchSlots&) = delete;
  BatchSlots& operator=(const BatchSlots&) = delete;

  [[nodiscard]] std::size_t size() const { return slots_.size(); }
  [[nodiscard]] BatchSlot& operator[](std::size_t i) { return slots_[i]; }

  // An idle slot for this prompt: one whose text begins like it, or the one used longest ago,
  // shortened to what they share, but for the prompt's last token. Without `reuses` nothing is
  // shared. wanted: the slot that it has to be, or kNone. Returns: kNone if all are busy, or that
  // one is.
  [[nodiscard]] std::size_t take(std::span<const TokenId> prompt, bool reuses,
                                 std::size_t wanted = kNone);
  // An idle slot gets its sequences, if it has none.
  void open(std::size_t i);
  // The text has ended; its tokens stay. The draft has the first n_draft of them, or has read
  // something else behind the first n_draft.
  void release(std::size_t i, std::size_t n_draft);
  // Forgets the tokens of a slot, busy or idle.
  void clear(std::size_t i);
  // Forgets the idle slot that was used longest ago. Returns: whether there was one.
  bool evict();

  [[nodiscard]] std::size_t n_tokens() const;

 private:
  [[nodiscard]] std::size_t n_shared(const BatchSlot& slot, std::span<const TokenId> prompt) const;
  [[nodiscard]] std::size_t choose(std::span<const TokenId> prompt, bool reuses) const;
  [[nodiscard]] std::size_t n_with_states(BatchSlot& slot, std::size_t n) const;
  void shorten(BatchSlot& slot, std::size_t n);
  void close(BatchSlot& slot);

  LanguageModel& target_;
  LanguageModel* draft_;
  std::vector<BatchSlot> slots_;
  std::uint64_t clock_ = 0;  // uses so far
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_BATCH_SLOTS_H_
