// One text of a batch: who wants it, its slot, and how far its prompt is read.
#ifndef GUMBELSPEC_ENGINE_BATCH_TEXT_H_
#define GUMBELSPEC_ENGINE_BATCH_TEXT_H_

#include <cmath>
#include <cstddef>
#include <memory>
#include <span>

#include "gumbelspec/batch.h"
#include "gumbelspec/noise.h"
#include "src/engine/batch_slots.h"
#include "src/engine/mask_share.h"
#include "src/engine/text.h"

namespace gumbelspec {

class BatchText final : public Text {
 public:
  // Lifetime: the clock outlives it.
  BatchText(TextId id, std::span<const TokenId> prompt, TextOptions options,
            std::unique_ptr<TextSink> sink, const Clock& clock);

  [[nodiscard]] TextId id() const { return id_; }
  [[nodiscard]] TextSink& sink() { return *sink_; }

  // It has a slot now, whose sequences hold the beginning of the prompt.
  void join(std::size_t slot, BatchSlots& slots, const Models& models);
  [[nodiscard]] std::size_t slot() const { return slot_; }

  // Tokens of the prompt that were there already, and that each model has read.
  std::size_t n_reused = 0;
  std::size_t n_read = 0;
  std::size_t n_draft_read = 0;
  // Drafting does not pay at present: the draft reads the prompt when it does, or the end of it.
  bool defers_draft = false;
  // But for the last token.
  [[nodiscard]] std::size_t n_to_read() const { return prompt().size() - 1 - n_read; }
  [[nodiscard]] std::size_t n_draft_to_read() const {
    const bool reads_apart = reads_with_draft() && !defers_draft && !reads_with_head();
    return reads_apart ? prompt().size() - 1 - n_draft_read : 0;
  }
  // Where models that cannot go back anywhere remember the text, for a prompt that continues it:
  // shortly before its end, because the last tokens of a chat's prompt (the beginning of the
  // answer) are often written differently when the answer has become history. 0: nowhere.
  [[nodiscard]] std::size_t n_to_remember() const {
    constexpr std::size_t kShort = 64;  // read again as fast
    constexpr std::size_t kBeforeEnd = 8;
    return prompt().size() < kShort ? 0 : prompt().size() - kBeforeEnd;
  }
  [[nodiscard]] bool is_reading() const { return n_to_read() > 0 || n_draft_to_read() > 0; }
  // Whether the draft model follows the text.
  [[nodiscard]] bool reads_with_draft() const { return has_drafter() && reader() != nullptr; }

  // Whether it is a head, which reads the prompt along with the target.
  [[nodiscard]] bool reads_with_head() const { return reads_with_draft() && reader()->is_head(); }

  bool is_cancelled = false;

  // What its constraint took; and how much it may owe and draft all the same: each node of a path
  // has a mask of its own.
  MaskShare masks;
  double most_owed_to_draft = HUGE_VAL;

 protected:
  [[nodiscard]] bool may_draft_now() const override {
    return masks.owed_now() <= most_owed_to_draft;
  }

 private:
  // constraint: that of the options; null: none.
  BatchText(TextId id, std::span<const TokenId> prompt, std::shared_ptr<TimedConstraint> constraint,
            const TextOptions& options, std::unique_ptr<TextSink> sink);

  TextId id_;
  std::unique_ptr<TextSink> sink_;
  std::size_t slot_ = BatchSlots::kNone;
  GumbelNoise source_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_BATCH_TEXT_H_
