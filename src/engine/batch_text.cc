#include "src/engine/batch_text.h"

#include <utility>

namespace gumbelspec {

namespace {

std::shared_ptr<TimedConstraint> timed(TextOptions& options, const Clock& clock) {
  if (options.constraint == nullptr) return nullptr;
  auto constraint = std::make_shared<TimedConstraint>(std::move(options.constraint), clock);
  options.constraint = constraint;
  return constraint;
}

}  // namespace

BatchText::BatchText(TextId id, std::span<const TokenId> prompt, TextOptions options,
                     std::unique_ptr<TextSink> sink, const Clock& clock)
    : BatchText(id, prompt, timed(options, clock), options, std::move(sink)) {}

BatchText::BatchText(TextId id, std::span<const TokenId> prompt,
                     std::shared_ptr<TimedConstraint> constraint, const TextOptions& options,
                     std::unique_ptr<TextSink> sink)
    : Text(options), masks(std::move(constraint)), id_(id), sink_(std::move(sink)) {
  set_prompt(prompt);
}

void BatchText::join(std::size_t slot, BatchSlots& slots, const Models& models) {
  slot_ = slot;
  BatchSlot& own = slots[slot];
  n_reused = n_read = own.tokens.size();
  prepare(models);
  set_sequence(own.target);
  if (reader() != nullptr) {
    reader()->attach(own.draft);
    n_draft_read = own.n_draft;
    // What it cannot read it cannot follow either.
    if (!reader()->can_read(prompt())) drop_drafter();
  }
  if (own.n_noise_rows < n_noise_rows()) {
    own.noise = std::make_unique<NoiseTable>(models.target->limits().n_vocab, n_noise_rows());
    own.n_noise_rows = n_noise_rows();
  }
  own.noise->restart({options().seed, options().stream}, source_);
  begin(*own.noise);
  own.tokens.reserve(prompt().size() + room());
}

}  // namespace gumbelspec
