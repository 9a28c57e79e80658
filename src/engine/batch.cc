#include "gumbelspec/batch.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

#include "src/engine/batch_impl.h"
#include "src/engine/methods.h"
#include "src/engine/stopwatch.h"
#include "src/engine/text_checks.h"

namespace gumbelspec {
namespace {

std::shared_ptr<CostModel> costs_of(LanguageModel& target, LanguageModel* draft,
                                    std::shared_ptr<CostModel> given) {
  if (given) return given;
  if (draft == nullptr) {
    // Nothing is drafted where nothing can be dropped.
    if (!target.limits().can_drop) return std::make_shared<CostModel>();
    return std::make_shared<CostModel>(measure_costs(target, {}));
  }
  return std::make_shared<CostModel>(measure_costs(target, *draft, {}));
}

}  // namespace

Batch::Impl::Impl(LanguageModel& target, LanguageModel* draft, BatchOptions options)
    : target_(target),
      draft_(draft),
      options_([&] {
        options.costs = costs_of(target, draft, std::move(options.costs));
        if (!options.calibrations) options.calibrations = std::make_shared<CalibrationStore>();
        return std::move(options);
      }()),
      max_active_(std::min({target.limits().n_sequences, target.limits().max_pass_nodes,
                            std::max<std::size_t>(target.limits().max_leaves, 1)})),
      slots_(target, draft,
             draft == nullptr ? target.limits().n_sequences
                              : std::min(target.limits().n_sequences, draft->limits().n_sequences)),
      clock_(options_.clock),
      rate_(*options_.costs),
      round_(target, draft, *options_.costs, clock_,
             {.make_room = [this] { return slots_.evict(); },
              .forget = [this](Text& text) { slots_.clear(of_batch(text).slot()); }}) {
  if (!(options_.max_gap_ms >= 0.0 && options_.max_gap_ms <= 3.6e6)) {
    throw Error(ErrorCode::invalid_option,
                "max_gap_ms is " + std::to_string(options_.max_gap_ms) +
                    ", but must be from 0 (by the texts) to 3600000; 100 is usual",
                "max_gap_ms");
  }
  if (options_.prompt_tokens_per_round == 0) {
    throw Error(ErrorCode::invalid_option,
                "prompt_tokens_per_round is 0, but must be at least 1; 256 is usual",
                "prompt_tokens_per_round");
  }
  max_active_ = std::min(max_active_, slots_.size());
  if (draft != nullptr) {
    max_active_ =
        std::min({max_active_, draft->limits().max_pass_nodes, draft->limits().max_leaves});
  }
  if (options_.max_active > 0) max_active_ = std::min(max_active_, options_.max_active);
}

TextOptions Batch::Impl::checked(std::span<const TokenId> prompt,
                                 const TextOptions& options) const {
  check_prompt(prompt, target_.limits());
  validate(options.sampling);
  validate(options.method);
  check_logit_bias(options.sampling, target_.limits().n_vocab);
  if (options.n_logprobs < -1) {
    throw Error(
        ErrorCode::invalid_option,
        "n_logprobs is " + std::to_string(options.n_logprobs) + ", but must be -1 (none) or more",
        "n_logprobs");
  }
  if (options.slot != kAnySlot && options.slot >= slots_.size()) {
    throw Error(ErrorCode::invalid_option,
                "slot is " + std::to_string(options.slot) + ", but must be below " +
                    std::to_string(slots_.size()),
                "slot");
  }
  if (options.scores_prompt && options.n_logprobs < 0) {
    throw Error(ErrorCode::invalid_option, "scores_prompt needs n_logprobs of 0 or more",
                "scores_prompt");
  }
  TextOptions result = options;
  if (draft_ == nullptr) {
    const bool can_draft = sources_of(options, nullptr).any() && target_.limits().can_drop;
    if (!options.drafter && !can_draft) result.method = Method::of(MethodKind::ar);
  } else {
    result.method = possible_method(options.method, target_.limits(), draft_->limits()).method;
  }
  return result;
}

TextId Batch::Impl::add(std::span<const TokenId> prompt, const TextOptions& options,
                        std::unique_ptr<TextSink> sink) {
  if (!sink) throw std::logic_error("Batch::add: no sink");
  const TextOptions possible = checked(prompt, options);
  const TextId id{next_id_++};
  waiting_.push_back(std::make_unique<BatchText>(id, prompt, possible, std::move(sink), clock_));
  return id;
}

void Batch::Impl::cancel(TextId id) {
  const auto has_id = [&](const TextPtr& text) { return text->id() == id; };
  const auto active = std::find_if(active_.begin(), active_.end(), has_id);
  if (active != active_.end()) {
    (*active)->is_cancelled = true;
    // From within a sink: the round may still hold on to the text.
    if (!is_in_step_) end_marked();
    return;
  }
  const auto waiting = std::find_if(waiting_.begin(), waiting_.end(), has_id);
  if (waiting == waiting_.end()) return;
  TextPtr text = std::move(*waiting);
  waiting_.erase(waiting);
  text->sink().on_end(Outcome::cancelled, text->statistics(), nullptr);
}

void Batch::Impl::admit() {
  while (active_.size() < max_active_ && admit_one()) {
  }
}

// The text that has waited longest, but for those whose slot is busy.
bool Batch::Impl::admit_one() {
  for (auto next = waiting_.begin(); next != waiting_.end(); ++next) {
    const TextOptions& options = (*next)->options();
    const bool reuses = options_.reuses_prefixes && options.reuses_prefix && !options.scores_prompt;
    const std::size_t slot = slots_.take((*next)->prompt(), reuses, options.slot);
    if (slot == BatchSlots::kNone) continue;
    TextPtr text = std::move(*next);
    waiting_.erase(next);
    text->join(slot, slots_, {&target_, draft_, options_.costs, options_.calibrations});
    active_.push_back(std::move(text));
    BatchText& joined = *active_.back();
    joined.defers_draft = joined.is_planned() && !pays_to_read_on();
    statistics_.n_prompt_reused += joined.n_reused;
    tell_prompt(joined);
    return true;
  }
  return false;
}

// Whether a draft that has yet to read a text may be worth it: with as many texts as in the last
// round, and with those that will take part soon. While others read their prompts rounds have few
// texts, of which drafts pay that do not pay once all take part.
bool Batch::Impl::pays_to_read_on() const {
  const std::size_t n = active_.size();
  const std::size_t n_now = std::clamp(rate_.n_texts(), std::min<std::size_t>(n, 2), n);
  const std::size_t n_soon = std::min(max_active_, n + waiting_.size());
  return ledger_.is_open(n_now) && ledger_.is_open(n_soon);
}

bool Batch::Impl::step() {
  is_in_step_ = true;
  const ClockWatch watch(clock_);
  admit();
  read_prompts();
  run_round();
  enter_masks(watch.seconds());
  is_in_step_ = false;
  end_marked();
  return !active_.empty() || !waiting_.empty();
}

void Batch::Impl::end_marked() {
  for (std::size_t i = 0; i < active_.size();) {
    BatchText& text = *active_[i];
    if (text.is_cancelled && text.outcome == Outcome::running) text.outcome = Outcome::cancelled;
    if (text.outcome == Outcome::running) {
      ++i;
      continue;
    }
    TextPtr ended = std::move(active_[i]);
    active_.erase(active_.begin() + static_cast<std::ptrdiff_t>(i));
    end(std::move(ended));
  }
}

void Batch::Impl::end(TextPtr text) {
  BatchSlot& slot = slots_[text->slot()];
  if (text->error || !options_.reuses_prefixes) slots_.clear(text->slot());
  std::size_t n_draft = slot.n_draft;
  if (text->reads_with_draft() && slot.is_open) {
    const DraftReader& reader = *text->reader();
    // After a gap only the first token is where it was.
    n_draft = std::min<std::size_t>(reader.n_committed(), reader.n_skipped() > 0 ? 1 : SIZE_MAX);
  }
  text->end();
  slots_.release(text->slot(), n_draft);
  text->sink().on_end(text->outcome, text->statistics(), text->error ? &*text->error : nullptr);
}

const BatchStatistics& Batch::Impl::statistics() {
  statistics_.n_active = active_.size();
  statistics_.n_waiting = waiting_.size();
  statistics_.n_cached_tokens = slots_.n_tokens();
  statistics_.n_cache_tokens = slots_.size() * target_.limits().n_context;
  return statistics_;
}

Batch::Batch(LanguageModel& target, LanguageModel* draft, BatchOptions options)
    : impl_(std::make_unique<Impl>(target, draft, std::move(options))) {}
Batch::~Batch() = default;

TextId Batch::add(std::span<const TokenId> prompt, const TextOptions& options,
                  std::unique_ptr<TextSink> sink) {
  return impl_->add(prompt, options, std::move(sink));
}
void Batch::cancel(TextId id) { impl_->cancel(id); }
bool Batch::step() { return impl_->step(); }
const BatchStatistics& Batch::statistics() const { return impl_->statistics(); }
std::size_t Batch::n_slots() const { return impl_->n_slots(); }
SlotState Batch::save_slot(std::size_t slot) { return impl_->save_slot(slot); }
void Batch::restore_slot(std::size_t slot, const SlotState& state) {
  impl_->restore_slot(slot, state);
}
std::size_t Batch::erase_slot(std::size_t slot) { return impl_->erase_slot(slot); }

}  // namespace gumbelspec
