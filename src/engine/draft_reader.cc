#include "src/engine/draft_reader.h"

#include <algorithm>

#include "src/engine/stopwatch.h"

namespace gumbelspec {

DraftReader::DraftReader(LanguageModel& model, std::size_t n_nodes, std::size_t n_level)
    : model_(model) {
  pass_.reserve(std::max(n_level, kMaxChain));
  commit_.reserve(n_nodes + kMaxChain);
}

PassOutcome DraftReader::start(std::span<const TokenId> prompt) {
  if (!is_open_) seq_ = model_.open();
  is_open_ = true;
  model_.truncate(seq_, 0);
  n_skipped_ = n_chain_ = n_pending_ = n_passes_ = 0;
  pass_s_ = 0.0;
  if (prompt.size() > model_.limits().n_context || !knows(prompt)) return PassOutcome::no_space;
  return model_.extend(seq_, prompt.first(prompt.size() - 1));
}

// A target may have more padding tokens. If it ever says one, the draft cannot follow.
bool DraftReader::knows(std::span<const TokenId> tokens) const {
  return std::all_of(tokens.begin(), tokens.end(),
                     [&](TokenId t) { return index(t) < model_.limits().n_vocab; });
}

std::size_t DraftReader::n_read(std::size_t n_text) const {
  return std::min(model_.n_committed(seq_) + n_skipped_, n_text);
}

std::size_t DraftReader::n_missing(std::span<const TokenId> text) const {
  return text.size() - n_read(text.size());
}

std::size_t DraftReader::n_levels(std::span<const TokenId> text) const {
  // The last level is never evaluated by the draft, so it may lie just behind its context.
  const std::size_t context = model_.limits().n_context;
  if (!is_open_ || text.size() - n_skipped_ > context) return 0;
  // Tokens that it does not know stay missing, so this holds for the rest of the text.
  if (!knows(text.subspan(n_read(text.size())))) return 0;
  return context - (text.size() - n_skipped_) + 1;
}

void DraftReader::skip_to_last(std::span<const TokenId> text, std::size_t n) {
  // The first token stays: models give it a part of their attention wherever they are in a text.
  const std::size_t n_kept = std::min<std::size_t>(model_.n_committed(seq_), 1);
  model_.truncate(seq_, n_kept);
  n_skipped_ = n_kept == 0 || text.size() <= n + n_kept ? 0 : text.size() - n - n_kept;
}

PassOutcome DraftReader::run_pass() {
  const Stopwatch watch;
  first_ = n_pending_;
  const PassOutcome outcome = model_.evaluate(pass_);
  pass_s_ += watch.seconds();
  ++n_passes_;
  if (outcome == PassOutcome::ok) n_pending_ += pass_.size();
  return outcome;
}

PassOutcome DraftReader::read_root(std::span<const TokenId> text, std::size_t n_rows) {
  std::span<const TokenId> missing = text.subspan(n_read(text.size()));
  const std::size_t n_most = std::max(n_rows, kMaxChain);
  if (missing.size() > n_most) {
    const Stopwatch watch;
    const PassOutcome outcome = model_.extend(seq_, missing.first(missing.size() - n_rows));
    pass_s_ += watch.seconds();
    if (outcome != PassOutcome::ok) return outcome;
    missing = missing.last(n_rows);
  }
  pass_.clear();
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const PendingId parent = i == 0 ? kCommitted : pending_id(i - 1);
    pass_.push_back({seq_, parent, missing[i], i + n_rows >= missing.size()});
  }
  const PassOutcome outcome = run_pass();
  if (outcome == PassOutcome::ok) n_chain_ = missing.size();
  return outcome;
}

PassOutcome DraftReader::evaluate(std::span<const TokenId> tokens,
                                  std::span<const PendingId> parents) {
  pass_.clear();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    pass_.push_back({seq_, parents[i], tokens[i], true});
  }
  return run_pass();
}

void DraftReader::commit(std::span<const PendingId> path) {
  if (n_pending_ == 0) return;
  commit_.clear();
  for (std::size_t i = 0; i < n_chain_; ++i) commit_.push_back(pending_id(i));
  commit_.insert(commit_.end(), path.begin(), path.end());
  model_.commit(seq_, commit_);
  n_chain_ = n_pending_ = 0;
}

}  // namespace gumbelspec
