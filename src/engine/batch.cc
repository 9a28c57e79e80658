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

// Of the pieces of prompts that are read, every so many goes to the text that came first; the
// others to the one that is done soonest.
constexpr std::size_t kOldestEvery = 4;

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

// The last token is evaluated with the first round.
void Batch::Impl::tell_prompt(BatchText& text) {
  const std::size_t n_done = text.n_read + (text.is_reading() ? 0 : 1);
  text.sink().on_prompt(n_done, text.prompt().size(), text.n_reused);
}

BatchText* Batch::Impl::next_reader() {
  BatchText* best = nullptr;
  const bool takes_oldest = n_pieces_ % kOldestEvery == kOldestEvery - 1;
  for (const TextPtr& text : active_) {
    if (!text->is_reading() || text->is_cancelled || text->outcome != Outcome::running) continue;
    if (best == nullptr) best = text.get();
    if (takes_oldest) break;
    if (text->n_to_read() < best->n_to_read()) best = text.get();
  }
  return best;
}

// What may be read of prompts before the next round, for which others wait or may come to wait.
Batch::Impl::ReadingLimit Batch::Impl::reading_limit() const {
  std::size_t n_reading = 0;
  std::size_t n_decoding = 0;
  for (const TextPtr& text : active_) {
    if (text->is_cancelled || text->outcome != Outcome::running) continue;
    ++(text->is_reading() ? n_reading : n_decoding);
  }
  if (n_reading == 0 || max_active_ == 1) return {};
  const bool is_alone = n_decoding == 0;
  const double plain_s = plain_round_s();
  if (options_.max_gap_ms > 0.0) return {options_.max_gap_ms / 1e3 - plain_s, is_alone};
  const double rounds =
      is_alone ? PromptPieces::kAloneRounds : PromptPieces::rounds(n_reading, n_decoding);
  return {rounds * plain_s, is_alone};
}

// Of the texts of the last round, or of one text before the first; unbounded if nothing is known.
double Batch::Impl::plain_round_s() const {
  const bool is_known = options_.costs->target.is_known();
  if (rate_.n_texts() > 0) return is_known ? rate_.plain_round_s() : round_s_;
  return is_known ? options_.costs->target.seconds(1) : HUGE_VAL;
}

// Pieces end at multiples of their size, so that they depend little on what else there is to read;
// and where a model is to remember the text.
std::size_t Batch::Impl::next_piece(const BatchText& text) const {
  const std::size_t size = most_piece_;
  const auto up_to = [](std::size_t n_read, std::size_t n, std::size_t place) {
    return n_read < place ? std::min(n, place - n_read) : n;
  };
  if (text.n_to_read() > 0) {
    std::size_t n = std::min(text.n_to_read(), size - text.n_read % size);
    if (text.options().scores_prompt) n = std::min(n, target_.limits().max_pass_nodes);
    return target_.limits().can_drop ? n : up_to(text.n_read, n, text.n_to_remember());
  }
  const std::size_t n = std::min(text.n_draft_to_read(), size - text.n_draft_read % size);
  const bool remembers = draft_ != nullptr && !draft_->limits().can_drop;
  return remembers ? up_to(text.n_draft_read, n, text.n_to_remember()) : n;
}

// What may be read before this round. Where even the least piece takes longer than a round's share
// it is read every so many rounds, and what a piece took longer than its share is made up for.
double Batch::Impl::reading_credit_s(const ReadingLimit& limit) {
  constexpr double kMostRounds = 4.0;
  if (limit.is_alone || !std::isfinite(limit.seconds)) return limit.seconds;
  const double least_s = pieces_.least_s();
  return std::clamp(reading_credit_s_, -kMostRounds * limit.seconds, least_s) + limit.seconds;
}

void Batch::Impl::read_prompts() {
  const ReadingLimit limit = reading_limit();
  double left_s = reading_credit_s(limit);
  // Prompts go on whatever was asked for.
  bool is_first = limit.is_alone || limit.seconds <= 0.0;
  bool has_read = false;
  for (std::size_t n_left = options_.prompt_tokens_per_round;
       is_first || pieces_.least_s() <= left_s;) {
    BatchText* text = next_reader();
    if (text == nullptr) break;
    most_piece_ =
        limit.is_alone ? pieces_.size_alone(left_s) : pieces_.size(std::min(left_s, limit.seconds));
    const std::size_t n = next_piece(*text);
    if (n > n_left) break;
    is_first = false;
    n_left -= n;
    ++n_pieces_;
    const bool reads_target = text->n_to_read() > 0 && !text->options().scores_prompt;
    target_read_s_ = 0.0;
    const ClockWatch watch(clock_);
    read_piece(*text);
    const double seconds = watch.seconds();
    // What the draft reads besides is its own matter, and must not make pieces small.
    if (reads_target) pieces_.observe(n, target_read_s_);
    left_s -= target_read_s_;
    has_read = true;
    text->statistics().prompt_s += seconds;
    statistics_.prompt_s += seconds;
    tell_prompt(*text);
  }
  reading_credit_s_ = !std::isfinite(left_s) ? 0.0 : has_read ? std::min(left_s, 0.0) : left_s;
  for (const TextPtr& text : active_) {
    if (text->outcome == Outcome::running && !text->is_reading()) {
      text->outcome = text->outcome_at(text->room());
    }
  }
  end_marked();
}

void Batch::Impl::read_piece(BatchText& text) {
  try {
    PassOutcome outcome = PassOutcome::ok;
    if (text.n_to_read() > 0) outcome = read_target(text);
    if (outcome == PassOutcome::ok && text.n_draft_to_read() > 0) outcome = read_draft(text);
    if (outcome == PassOutcome::cancelled) text.outcome = Outcome::cancelled;
    if (outcome == PassOutcome::no_space) text.outcome = Outcome::context_full;
  } catch (const Error& error) {
    text.error = error;
    text.outcome = Outcome::cancelled;
  }
}

PassOutcome Batch::Impl::read_target(BatchText& text) {
  const auto piece = text.prompt().subspan(text.n_read, next_piece(text));
  BatchSlot& slot = slots_[text.slot()];
  const auto read = [&] {
    return text.options().scores_prompt ? score_target(text, piece)
                                        : target_.extend(slot.target, piece);
  };
  const ClockWatch watch(clock_);
  PassOutcome outcome = read();
  while (outcome == PassOutcome::no_space && slots_.evict()) outcome = read();
  target_read_s_ = watch.seconds();
  if (outcome != PassOutcome::ok) return outcome;
  if (text.reads_with_head()) outcome = read_head(text, piece);
  if (outcome != PassOutcome::ok) return outcome;
  slot.tokens.insert(slot.tokens.end(), piece.begin(), piece.end());
  text.n_read += piece.size();
  if (text.n_read == text.n_to_remember()) target_.remember(slot.target);
  statistics_.n_prompt += piece.size();
  return outcome;
}

// A head needs the states of the piece that the target has just read.
PassOutcome Batch::Impl::read_head(BatchText& text, std::span<const TokenId> piece) {
  const ClockWatch watch(clock_);
  const PassOutcome outcome =
      text.reader()->read_after(target_, text.n_read, piece, !text.defers_draft);
  if (text.is_planned() && !text.defers_draft) {
    read_draft_s_ += watch.seconds();
    counted_read_s_ += options_.costs->draft.seconds(piece.size());
  }
  if (outcome == PassOutcome::no_space) text.drop_drafter();
  return outcome == PassOutcome::cancelled ? outcome : PassOutcome::ok;
}

// As a chain, whose rows are wanted.
PassOutcome Batch::Impl::score_target(BatchText& text, std::span<const TokenId> piece) {
  const SeqId seq = slots_[text.slot()].target;
  nodes_.clear();
  std::vector<PendingId> path;
  for (std::size_t i = 0; i < piece.size(); ++i) {
    nodes_.push_back({seq, i == 0 ? kCommitted : pending_id(i - 1), piece[i]});
    path.push_back(pending_id(i));
  }
  const PassOutcome outcome = target_.evaluate(nodes_);
  if (outcome != PassOutcome::ok) return outcome;
  text.score_prompt(target_, text.n_read, piece.size());
  text.sink().on_prompt_logprobs(text.logprobs(), text.top_logprobs());
  target_.commit(seq, path);
  return outcome;
}

// The draft follows the target, or catches up with it where it had less in its cache.
PassOutcome Batch::Impl::read_draft(BatchText& text) {
  const std::size_t n_behind = text.n_read - std::min(text.n_read, text.n_draft_read);
  const std::size_t n_most = std::min(n_behind, options_.prompt_tokens_per_round);
  const std::size_t place = text.n_to_remember();
  const bool stops = !draft_->limits().can_drop && text.n_draft_read < place;
  const std::size_t n = stops ? std::min(n_most, place - text.n_draft_read) : n_most;
  const auto piece = text.prompt().subspan(text.n_draft_read, n);
  DraftReader& reader = *text.reader();
  const ClockWatch watch(clock_);
  PassOutcome outcome = reader.read(piece);
  while (outcome == PassOutcome::no_space && slots_.evict()) outcome = reader.read(piece);
  if (text.is_planned() && n > 0) {
    read_draft_s_ += watch.seconds();
    counted_read_s_ += options_.costs->draft.seconds(n);
  }
  if (outcome == PassOutcome::cancelled) return outcome;
  if (outcome == PassOutcome::no_space) {
    text.drop_drafter();
  } else {
    text.n_draft_read += n;
    if (text.n_draft_read == place) draft_->remember(slots_[text.slot()].draft);
  }
  return PassOutcome::ok;
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
