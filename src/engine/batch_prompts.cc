// How a batch reads prompts between its rounds.
#include <algorithm>
#include <cmath>
#include <utility>

#include "src/engine/batch_impl.h"
#include "src/engine/stopwatch.h"

namespace gumbelspec {
namespace {

// Of the pieces of prompts that are read, every so many goes to the text that came first; the
// others to the one that is done soonest.
constexpr std::size_t kOldestEvery = 4;

}  // namespace

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

}  // namespace gumbelspec
