// What an idle slot of a batch holds: taken out, put back, forgotten.
#include <string>
#include <utility>

#include "gumbelspec/error.h"
#include "src/engine/batch_impl.h"

namespace gumbelspec {

BatchSlot& Batch::Impl::idle_slot(std::size_t slot) {
  if (slot >= slots_.size()) {
    throw Error(
        ErrorCode::invalid_option,
        "slot is " + std::to_string(slot) + ", but must be below " + std::to_string(slots_.size()),
        "slot");
  }
  if (slots_[slot].is_busy) {
    throw Error(ErrorCode::invalid_option,
                "slot " + std::to_string(slot) + " is busy; try again when its text has ended",
                "slot");
  }
  return slots_[slot];
}

SlotState Batch::Impl::save_slot(std::size_t slot) {
  const BatchSlot& idle = idle_slot(slot);
  SlotState saved;
  if (!idle.is_open || idle.tokens.empty()) return saved;
  saved.tokens = idle.tokens;
  saved.state = target_.state(idle.target);
  if (saved.state.empty()) {
    throw Error(ErrorCode::invalid_option, "slots of this model cannot be saved: it " +
                                               std::string(target_.limits().why_no_drop));
  }
  return saved;
}

void Batch::Impl::restore_slot(std::size_t slot, const SlotState& state) {
  BatchSlot& idle = idle_slot(slot);
  slots_.clear(slot);
  if (state.tokens.empty()) return;
  for (const TokenId token : state.tokens) {
    if (index(token) < target_.limits().n_vocab) continue;
    throw Error(ErrorCode::invalid_option, "the state has tokens that the model has not", "state");
  }
  slots_.open(slot);
  bool is_taken = target_.set_state(idle.target, state.state, state.tokens.size());
  while (!is_taken && slots_.evict()) {
    is_taken = target_.set_state(idle.target, state.state, state.tokens.size());
  }
  if (!is_taken) {
    slots_.clear(slot);
    throw Error(ErrorCode::invalid_option,
                "the state is not one of this model, or does not fit into its context; evaluate "
                "the prompt again",
                "state");
  }
  idle.tokens = state.tokens;
  slots_.release(slot, 0);
}

std::size_t Batch::Impl::erase_slot(std::size_t slot) {
  const std::size_t n = idle_slot(slot).tokens.size();
  slots_.clear(slot);
  return n;
}

}  // namespace gumbelspec
