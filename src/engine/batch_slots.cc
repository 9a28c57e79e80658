#include "src/engine/batch_slots.h"

#include <algorithm>

namespace gumbelspec {

BatchSlots::BatchSlots(LanguageModel& target, LanguageModel* draft, std::size_t n)
    : target_(target), draft_(draft), slots_(n) {}

BatchSlots::~BatchSlots() {
  for (BatchSlot& slot : slots_) close(slot);
}

void BatchSlots::close(BatchSlot& slot) {
  if (!slot.is_open) return;
  target_.close(slot.target);
  if (draft_ != nullptr) draft_->close(slot.draft);
  slot.is_open = false;
  slot.tokens.clear();
  slot.n_draft = 0;
}

std::size_t BatchSlots::n_shared(const BatchSlot& slot, std::span<const TokenId> prompt) const {
  if (!slot.is_open) return 0;
  // The last token is the root of the first round.
  const std::size_t n_most = std::min(slot.tokens.size(), prompt.size() - 1);
  std::size_t n = 0;
  while (n < n_most && slot.tokens[n] == prompt[n]) ++n;
  // A recurrent state can go back to few places.
  return target_.n_restorable(slot.target, n);
}

// Of the first n tokens, those that the target keeps where a head reads along: it reads the last
// token that both have again, whose state goes with the next one. What the head has not read
// because it was last in its text is read again, too; anything longer is left out of its text.
std::size_t BatchSlots::n_with_states(BatchSlot& slot, std::size_t n) const {
  constexpr std::size_t kFew = 32;
  std::size_t n_both = std::min(n, slot.n_draft);
  if (n - n_both > kFew) {
    slot.n_draft = 0;
    n_both = n;
  }
  slot.n_draft = std::min(slot.n_draft, n_both);
  return target_.n_restorable(slot.target, n_both - std::min<std::size_t>(n_both, 1));
}

void BatchSlots::shorten(BatchSlot& slot, std::size_t n) {
  if (draft_ != nullptr && draft_->limits().is_head()) n = n_with_states(slot, n);
  if (n != slot.tokens.size()) target_.truncate(slot.target, n);
  slot.tokens.resize(n);
  if (draft_ == nullptr) return;
  const std::size_t n_read = draft_->n_committed(slot.draft);
  // A head may be a token ahead: it does not need the state that the target will give it.
  std::size_t n_kept = std::min(draft_->limits().is_head() ? n + 1 : n, slot.n_draft);
  n_kept = draft_->n_restorable(slot.draft, n_kept);
  if (n_kept != n_read) draft_->truncate(slot.draft, n_kept);
  slot.n_draft = n_kept;
}

// A text that goes on, or a prompt that is mostly there: the longest one. Otherwise an empty slot
// or the one used longest ago, because what few tokens are shared costs less than a text forgotten.
std::size_t BatchSlots::choose(std::span<const TokenId> prompt, bool reuses) const {
  std::size_t best = kNone;
  std::size_t n_best = 0;
  std::size_t oldest = kNone;
  for (std::size_t i = 0; i < slots_.size(); ++i) {
    const BatchSlot& slot = slots_[i];
    if (slot.is_busy) continue;
    const std::size_t n = reuses ? n_shared(slot, prompt) : 0;
    const bool is_match = n > 0 && (2 * n >= slot.tokens.size() || 2 * n >= prompt.size());
    if (is_match && n > n_best) {
      best = i;
      n_best = n;
    }
    const auto is_older = [&](const BatchSlot& other) {
      if (slot.tokens.empty() != other.tokens.empty()) return slot.tokens.empty();
      return slot.last_use < other.last_use;
    };
    if (oldest == kNone || is_older(slots_[oldest])) oldest = i;
  }
  return best == kNone ? oldest : best;
}

void BatchSlots::open(std::size_t i) {
  BatchSlot& slot = slots_[i];
  if (slot.is_open) return;
  slot.target = target_.open();
  if (draft_ != nullptr) slot.draft = draft_->open();
  slot.is_open = true;
}

std::size_t BatchSlots::take(std::span<const TokenId> prompt, bool reuses, std::size_t wanted) {
  const std::size_t best = wanted == kNone ? choose(prompt, reuses) : wanted;
  if (best == kNone || slots_[best].is_busy) return kNone;
  BatchSlot& slot = slots_[best];
  open(best);
  shorten(slot, reuses ? n_shared(slot, prompt) : 0);
  slot.is_busy = true;
  slot.last_use = ++clock_;
  return best;
}

void BatchSlots::release(std::size_t i, std::size_t n_draft) {
  BatchSlot& slot = slots_[i];
  slot.is_busy = false;
  slot.last_use = ++clock_;
  slot.n_draft = std::min(n_draft, slot.tokens.size());
}

void BatchSlots::clear(std::size_t i) {
  const bool is_busy = slots_[i].is_busy;
  close(slots_[i]);
  slots_[i].is_busy = is_busy;
}

bool BatchSlots::evict() {
  BatchSlot* oldest = nullptr;
  for (BatchSlot& slot : slots_) {
    if (slot.is_busy || slot.tokens.empty()) continue;
    if (oldest == nullptr || slot.last_use < oldest->last_use) oldest = &slot;
  }
  if (oldest == nullptr) return false;
  close(*oldest);
  return true;
}

std::size_t BatchSlots::n_tokens() const {
  std::size_t n = 0;
  for (const BatchSlot& slot : slots_) n += slot.tokens.size();
  return n;
}

}  // namespace gumbelspec
