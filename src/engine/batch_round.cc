// What surrounds the rounds of a batch: who takes part, what may be drafted, and what came of it.
#include <algorithm>
#include <cmath>
#include <exception>

#include "src/engine/batch_impl.h"
#include "src/engine/stopwatch.h"

namespace gumbelspec {
namespace {

// Texts that do not wait for each other's drafts for long.
constexpr std::size_t kFew = 2;

}  // namespace

void Batch::Impl::run_round() {
  const ClockWatch watch(clock_);
  begin_texts();
  if (texts_.empty()) return;
  const RoundPlan plan{rate_.rate(), rate_.own_node_s(), limit_s_ - rate_.own_round_s()};
  if (round_.run(texts_, &plan)) tell(watch.seconds());
  end_marked();
}

// Where several wait for the same round, or to read on behind it, none is to wait long for what the
// others draft.
double Batch::Impl::round_limit_s() const {
  if (options_.max_gap_ms > 0.0) return options_.max_gap_ms / 1e3;
  if (active_.size() <= kFew) return HUGE_VAL;
  return BatchOptions::kMostRound * rate_.plain_round_s();
}

// What may be drafted for one of so many texts where planners decide; none: plain decoding.
std::size_t Batch::Impl::n_planned_nodes(std::size_t n_texts) {
  limit_s_ = round_limit_s();
  if (draft_ == nullptr) return target_.limits().max_pass_nodes - n_texts;
  const bool may_draft = ledger_.begin_round(n_texts);
  const std::size_t n_most = target_.limits().max_pass_nodes - n_texts;
  if (!may_draft) return 0;
  return round_.drafting().n_in_time(n_texts, n_most, limit_s_ - rate_.own_round_s());
}

// A text whose masks took more than its share waits, unless nobody would gain by it.
void Batch::Impl::choose_texts() {
  ready_.clear();
  const auto owes = [this](const BatchText& text) { return text.masks.owed() > step_s_; };
  bool is_waited_for = false;
  for (const TextPtr& text : active_) {
    if (text->outcome != Outcome::running || text->is_cancelled) continue;
    is_waited_for = is_waited_for || !owes(*text);
    if (!text->is_reading()) ready_.push_back(text.get());
  }
  if (is_waited_for) {
    std::erase_if(ready_, [&](const BatchText* text) { return owes(*text); });
  } else {
    for (BatchText* text : ready_) text->masks.forgive();
  }
}

void Batch::Impl::begin_texts() {
  texts_.clear();
  choose_texts();
  if (ready_.empty()) return;
  rate_.begin_round(ready_.size());
  const std::size_t n_planned = n_planned_nodes(ready_.size());
  is_measured_ = true;
  for (BatchText* text : ready_) begin_text(*text, n_planned);
}

bool Batch::Impl::waits_to_catch_up(const BatchText& text) const {
  if (active_.size() <= kFew || !text.reads_with_draft() || pays_to_read_on()) return false;
  return text.reader()->n_missing(text.tokens()) > kFewMissing;
}

void Batch::Impl::begin_text(BatchText& text, std::size_t n_planned) {
  const ModelLimits& limits = target_.limits();
  const std::size_t n_others = ready_.size() - 1;
  try {
    const bool is_planned = text.is_planned();
    if (text.has_drafter() && !is_planned) is_measured_ = false;
    text.most_owed_to_draft = active_.size() == 1 ? HUGE_VAL : step_s_;
    text.masks.limit_drafts(text.most_owed_to_draft);
    const bool may_draft = !is_planned || (n_planned > 0 && !waits_to_catch_up(text));
    // Every other text has a root, which is a leaf at least.
    text.begin_round(is_planned ? n_planned : limits.max_pass_nodes - 1 - n_others,
                     limits.max_leaves - std::min(limits.max_leaves, n_others), may_draft);
    texts_.push_back(&text);
  } catch (const std::exception& error) {
    text.error = Error(ErrorCode::evaluation_failed, error.what());
    text.outcome = Outcome::cancelled;
  }
}

void Batch::Impl::enter_masks(double seconds) {
  double masks_s = 0.0;
  std::size_t n_owing = 0;
  for (const TextPtr& text : active_) {
    masks_s += text->masks.taken();
    n_owing += text->masks.owed_now() > 0.0 ? 1U : 0U;
  }
  const double passed_s = std::max(0.0, seconds - masks_s);
  constexpr double kNew = 0.1;
  step_s_ += (step_s_ == 0.0 ? 1.0 : kNew) * (passed_s - step_s_);
  for (const TextPtr& text : active_) text->masks.end_round(passed_s, n_owing);
}

void Batch::Impl::count(const BatchText& text) {
  statistics_.n_drafted += text.tree.n_drafted();
  statistics_.n_generated += text.generated().size();
  for (const GeneratedToken& token : text.generated()) {
    statistics_.n_accepted += token.was_drafted ? 1U : 0U;
  }
  count_depths(text.tree, text.walk, text.tree.size(), statistics_.by_depth);
  text.count_sources(statistics_.by_source);
}

// What the round brought and took, and whether that was worth it.
void Batch::Impl::enter_round(std::size_t n_tokens, double seconds) {
  std::size_t n_nodes = 0;
  for (const Text* text : texts_) n_nodes += text->tree.n_drafted();
  const bool refines = options_.costs->target.refines();
  const bool is_plain = round_.counted_draft_s() == 0.0 && n_nodes == 0;
  const double read_s = refines ? read_draft_s_ : counted_read_s_;
  const double taken_s = refines ? seconds : round_.counted_s();
  const double pass_s = round_.target_s() + round_.draft_s() + round_.take_s();
  rate_.end_round(n_tokens, taken_s);
  // What a draft takes that comes to nothing is no part of what plain rounds take.
  if (n_nodes > 0 || is_plain) rate_.observe_own(n_nodes, refines ? taken_s - pass_s : 0.0);
  if (draft_ != nullptr && is_measured_) {
    ledger_.end_round(n_tokens, taken_s + read_s, rate_.plain_round_s(), !is_plain || read_s > 0.0);
  }
  read_draft_s_ = counted_read_s_ = 0.0;
  statistics_.n_plain_rounds += is_plain ? 1U : 0U;
  statistics_.n_closed_rounds += draft_ != nullptr && !ledger_.is_open(texts_.size()) ? 1U : 0U;
}

void Batch::Impl::tell(double seconds) {
  std::size_t n_tokens = 0;
  for (const Text* text : texts_) n_tokens += text->error ? 0 : text->generated().size();
  enter_round(n_tokens, seconds);
  const double target_s = round_.target_s();
  const double draft_s = round_.draft_s();
  const double own_s = std::max(seconds - target_s - draft_s, 0.0);
  constexpr double kNew = 0.1;
  round_s_ += (round_s_ == 0.0 ? 1.0 : kNew) * (seconds - round_s_);
  ++statistics_.n_rounds;
  statistics_.target_s += target_s;
  statistics_.draft_s += draft_s;
  statistics_.own_s += own_s;
  for (Text* t : texts_) {
    BatchText& text = of_batch(*t);
    Statistics& s = text.statistics();
    s.decode_s += seconds;
    s.target_s += target_s;
    s.draft_s += draft_s;
    if (text.error) continue;
    count(text);
    // What the target has read of the text now.
    BatchSlot& slot = slots_[text.slot()];
    for (const NodeId node : text.walk.path) slot.tokens.push_back(text.tree.token(node));
  }
  for (Text* t : texts_) {
    BatchText& text = of_batch(*t);
    if (text.error || text.is_cancelled) continue;
    const bool goes_on =
        text.sink().on_round({text.generated(), text.logprobs(), text.top_logprobs(), text.tree,
                              text.walk, text.proposals(), draft_s, target_s, own_s});
    if (!goes_on) text.outcome = Outcome::stop;
  }
}

}  // namespace gumbelspec
