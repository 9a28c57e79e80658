// The rounds of a batch.
#include <algorithm>
#include <cmath>
#include <exception>

#include "src/engine/batch_impl.h"
#include "src/engine/stopwatch.h"

namespace gumbelspec {

void Batch::Impl::run_round() {
  const ClockWatch watch(clock_);
  begin_texts();
  if (texts_.empty()) return;
  if (draft_trees() && verify_trees()) tell(watch.seconds());
  end_marked();
}

// Where several wait for the same round, none is to wait long for what the others draft.
double Batch::Impl::round_limit_s() const {
  constexpr std::size_t kFew = 2;
  if (options_.max_gap_ms > 0.0) return options_.max_gap_ms / 1e3;
  if (rate_.n_texts() <= kFew) return HUGE_VAL;
  return BatchOptions::kMostRound * rate_.plain_round_s();
}

// What may be drafted for one of so many texts where planners decide; none: plain decoding.
std::size_t Batch::Impl::n_planned_nodes(std::size_t n_texts) {
  if (!drafting_) return 0;
  const bool may_draft = ledger_.begin_round(n_texts);
  limit_s_ = round_limit_s();
  const std::size_t n_most = target_.limits().max_pass_nodes - n_texts;
  if (!may_draft) return 0;
  return drafting_->n_in_time(n_texts, n_most, limit_s_ - rate_.own_round_s());
}

void Batch::Impl::begin_texts() {
  texts_.clear();
  std::size_t n_ready = 0;
  const auto is_ready = [](const TextPtr& text) {
    return text->outcome == Outcome::running && !text->is_cancelled && !text->is_reading();
  };
  for (const TextPtr& text : active_) n_ready += is_ready(text) ? 1U : 0U;
  if (n_ready == 0) return;
  const ModelLimits& limits = target_.limits();
  rate_.begin_round(n_ready);
  const std::size_t n_planned = n_planned_nodes(n_ready);
  is_measured_ = true;
  for (const TextPtr& text : active_) {
    if (!is_ready(text)) continue;
    try {
      const bool is_planned = text->is_planned();
      if (text->drafter() != nullptr && !is_planned) is_measured_ = false;
      // Every other text has a root, which is a leaf at least.
      text->begin_round(is_planned ? n_planned : limits.max_pass_nodes - n_ready,
                        limits.max_leaves - std::min(limits.max_leaves, n_ready - 1),
                        !is_planned || n_planned > 0);
      texts_.push_back(text.get());
    } catch (const std::exception& error) {
      text->error = Error(ErrorCode::evaluation_failed, error.what());
      text->outcome = Outcome::cancelled;
    }
  }
}

// Returns: whether the round goes on.
bool Batch::Impl::draft_trees() {
  draft_s_ = 0.0;
  if (!drafting_) return true;
  try {
    const PassOutcome outcome = drafting_->draft(texts_, rate_, limit_s_);
    draft_s_ = drafting_->pass_s();
    if (outcome == PassOutcome::cancelled) stop_round(Outcome::cancelled);
    return outcome == PassOutcome::ok;
  } catch (const Error& error) {
    // Who did not draft is as it was, and has its round in the next step.
    std::erase_if(texts_, [](const BatchText* text) { return !text->has_drafted; });
    fail_round(error);
    return false;
  }
}

PassOutcome Batch::Impl::evaluate_trees() {
  pass_.clear();
  first_rows_.clear();
  for (BatchText* text : texts_) {
    first_rows_.push_back(pass_.size());
    const SeqId seq = slots_[text->slot()].target;
    const DraftTree& tree = text->tree;
    for (std::size_t i = 0; i < tree.size(); ++i) {
      const NodeId node = node_id(i);
      const PendingId parent = i == 0 ? kCommitted : pending_id(index(tree.parent(node)));
      pass_.push_back({seq, parent, tree.token(node), true});
    }
  }
  const ClockWatch watch(clock_);
  const PassOutcome outcome = target_.evaluate(pass_);
  const double seconds = watch.seconds();
  target_s_ += seconds;
  if (outcome == PassOutcome::ok) options_.costs->target.observe(pass_.size(), seconds);
  return outcome;
}

bool Batch::Impl::verify_trees() {
  target_s_ = 0.0;
  try {
    trim_(texts_, target_.limits().max_pass_nodes, target_.limits().max_leaves);
    PassOutcome outcome = evaluate_trees();
    while (outcome == PassOutcome::no_space && slots_.evict()) outcome = evaluate_trees();
    if (outcome == PassOutcome::no_space) {
      for (BatchText* text : texts_) text->drop_tree();  // without drafts there may be enough
      outcome = evaluate_trees();
    }
    // The last one that came makes room for the others.
    while (outcome == PassOutcome::no_space) {
      texts_.back()->outcome = Outcome::context_full;
      slots_.clear(texts_.back()->slot());
      texts_.pop_back();
      if (texts_.empty()) return false;
      outcome = evaluate_trees();
    }
    if (outcome == PassOutcome::cancelled) stop_round(Outcome::cancelled);
    if (outcome != PassOutcome::ok) return false;
  } catch (const Error& error) {
    fail_round(error);
    return false;
  }
  commit_trees();
  return true;
}

// The rows are gone with the first commit, so all texts walk before.
void Batch::Impl::commit_trees() {
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    BatchText& text = *texts_[i];
    try {
      text.walk_tree(target_, first_rows_[i]);
    } catch (const Error& error) {
      text.error = error;
    } catch (const std::exception& error) {
      text.error = Error(ErrorCode::evaluation_failed, error.what());
    }
  }
  for (BatchText* text : texts_) {
    BatchSlot& slot = slots_[text->slot()];
    commit_.clear();
    if (!text->error) {
      for (const NodeId node : text->walk.path) {
        commit_.push_back(pending_id(index(node)));
        slot.tokens.push_back(text->tree.token(node));
      }
      target_.commit(slot.target, commit_);
      text->outcome = text->emit(target_);
    } else {
      text->outcome = Outcome::cancelled;
    }
  }
}

void Batch::Impl::count(const BatchText& text) {
  statistics_.n_drafted += text.tree.n_drafted();
  statistics_.n_generated += text.tokens().size();
  for (const GeneratedToken& token : text.tokens()) {
    statistics_.n_accepted += token.was_drafted ? 1U : 0U;
  }
  std::size_t depth = 0;
  for (std::size_t i = 1; i < text.tree.size(); ++i) {
    depth = std::max(depth, static_cast<std::size_t>(text.tree.depth(node_id(i))));
  }
  std::vector<DepthCount>& counts = statistics_.by_depth;
  if (counts.size() < depth) counts.resize(depth);
  for (std::size_t d = 0; d < depth; ++d) {
    ++counts[d].n_drafted;
    if (d < text.walk.n_accepted()) ++counts[d].n_accepted;
  }
}

// The round's passes, where time is counted instead of measured.
double Batch::Impl::counted_s() const {
  return options_.costs->target.seconds(pass_.size()) + (drafting_ ? drafting_->counted_s() : 0.0);
}

// What the round brought and took, and whether that was worth it.
void Batch::Impl::enter_round(std::size_t n_tokens, double seconds) {
  std::size_t n_nodes = 0;
  for (const BatchText* text : texts_) n_nodes += text->tree.n_drafted();
  const bool refines = options_.costs->target.refines();
  const bool is_plain = !drafting_ || drafting_->counted_s() == 0.0;
  const double read_s = refines ? read_draft_s_ : counted_read_s_;
  const double taken_s = refines ? seconds : counted_s();
  const double pass_s = target_s_ + draft_s_ + (drafting_ ? drafting_->take_s() : 0.0);
  rate_.end_round(n_tokens, n_nodes, taken_s, refines ? pass_s : taken_s, is_plain);
  if (drafting_ && is_measured_) {
    ledger_.end_round(n_tokens, taken_s + read_s, rate_.plain_round_s(), !is_plain || read_s > 0.0);
  }
  read_draft_s_ = counted_read_s_ = 0.0;
  statistics_.n_plain_rounds += is_plain ? 1U : 0U;
  statistics_.n_closed_rounds += drafting_ && !ledger_.is_open(texts_.size()) ? 1U : 0U;
}

void Batch::Impl::tell(double seconds) {
  std::size_t n_tokens = 0;
  for (const BatchText* text : texts_) n_tokens += text->error ? 0 : text->tokens().size();
  enter_round(n_tokens, seconds);
  const double own_s = std::max(seconds - target_s_ - draft_s_, 0.0);
  ++statistics_.n_rounds;
  statistics_.target_s += target_s_;
  statistics_.draft_s += draft_s_;
  statistics_.own_s += own_s;
  for (BatchText* text : texts_) {
    Statistics& s = text->statistics();
    s.decode_s += seconds;
    s.target_s += target_s_;
    s.draft_s += draft_s_;
    if (text->drafter() != nullptr) s.n_draft_passes = text->drafter()->n_passes();
    if (!text->error) count(*text);
  }
  for (BatchText* text : texts_) {
    if (text->error || text->is_cancelled) continue;
    const bool goes_on =
        text->sink().on_round({text->tokens(), text->logprobs(), text->top_logprobs(), text->tree,
                               text->walk, draft_s_, target_s_, own_s});
    if (!goes_on) text->outcome = Outcome::stop;
  }
}

// A pass failed: nothing is known of the sequences that it was about.
void Batch::Impl::fail_round(const Error& error) {
  for (BatchText* text : texts_) text->error = error;
  stop_round(Outcome::cancelled);
}

void Batch::Impl::stop_round(Outcome outcome) {
  for (BatchText* text : texts_) {
    text->outcome = outcome;
    slots_.clear(text->slot());
  }
}

}  // namespace gumbelspec
