#include "gumbelspec/draft_reader.h"

#include <algorithm>

#include "src/engine/stopwatch.h"

namespace gumbelspec {

DraftReader::DraftReader(LanguageModel& model, std::size_t n_nodes, std::size_t n_level)
    : model_(model) {
  pass_.reserve(std::max(n_level, kMaxChain));
  commit_.reserve(n_nodes + kMaxChain);
  has_child_.reserve(n_nodes + std::max(n_level, kMaxChain));
}

PassOutcome DraftReader::start(std::span<const TokenId> prompt) {
  if (!is_open_) seq_ = model_.open();
  is_open_ = true;
  model_.truncate(seq_, 0);
  n_skipped_ = n_passes_ = 0;
  pass_s_ = 0.0;
  end_pending();
  if (!can_read(prompt)) return PassOutcome::no_space;
  return model_.extend(seq_, prompt.first(prompt.size() - 1));
}

void DraftReader::attach(SeqId seq) {
  seq_ = seq;
  is_open_ = is_lent_ = true;
  n_skipped_ = n_passes_ = 0;
  pass_s_ = 0.0;
  end_pending();
}

PassOutcome DraftReader::read(std::span<const TokenId> tokens) {
  return model_.extend(seq_, tokens);
}

void DraftReader::end_pending() {
  n_chain_ = n_pending_ = n_ends_ = 0;
  has_child_.clear();
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
  // A recurrent state goes on or begins anew, and reading on is less than that.
  if (!model_.limits().can_drop) return;
  // The first token stays: models give it a part of their attention wherever they are in a text.
  const std::size_t n_kept = std::min<std::size_t>(model_.n_committed(seq_), 1);
  model_.truncate(seq_, n_kept);
  n_skipped_ = n_kept == 0 || text.size() <= n + n_kept ? 0 : text.size() - n - n_kept;
}

PassOutcome DraftReader::run_pass() {
  const Stopwatch watch;
  const PassOutcome outcome = model_.evaluate(pass_);
  count_pass(watch.seconds());
  if (outcome == PassOutcome::ok) take(0);
  return outcome;
}

void DraftReader::take(std::size_t first_row) {
  first_row_ = first_row;
  first_ = n_pending_;
  n_pending_ += n_appended_;
  if (appended_root_) n_chain_ = n_appended_;
}

PassOutcome DraftReader::read_root(std::span<const TokenId> text, std::size_t n_rows) {
  pass_.clear();
  const PassOutcome outcome = append_root(text, n_rows, model_.limits().max_pass_nodes, pass_);
  return outcome == PassOutcome::ok ? run_pass() : outcome;
}

PassOutcome DraftReader::append_root(std::span<const TokenId> text, std::size_t n_rows,
                                     std::size_t n_most, std::vector<PassNode>& pass) {
  std::span<const TokenId> missing = text.subspan(n_read(text.size()));
  n_most = std::min(n_most, std::max(n_rows, kMaxChain));
  n_read_apart_ = missing.size() > n_most ? missing.size() - n_rows : 0;
  if (n_read_apart_ > 0) {
    const Stopwatch watch;
    const PassOutcome outcome = model_.extend(seq_, missing.first(n_read_apart_));
    pass_s_ += watch.seconds();
    if (outcome != PassOutcome::ok) return outcome;
    missing = missing.last(n_rows);
  }
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const PendingId parent = i == 0 ? kCommitted : pending_id(i - 1);
    pass.push_back({seq_, parent, missing[i], i + n_rows >= missing.size()});
  }
  n_appended_ = missing.size();
  appended_root_ = true;
  has_child_.assign(n_appended_, 1);
  has_child_.back() = 0;
  n_ends_ = 1;
  return PassOutcome::ok;
}

void DraftReader::append(std::span<const TokenId> tokens, std::span<const PendingId> parents,
                         std::vector<PassNode>& pass) {
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    pass.push_back({seq_, parents[i], tokens[i], true});
    // The first child takes its parent's place as the end of a branch.
    if (has_child_[index(parents[i])] != 0) ++n_ends_;
    has_child_[index(parents[i])] = 1;
    has_child_.push_back(0);
  }
  n_appended_ = tokens.size();
  n_read_apart_ = 0;
  appended_root_ = false;
}

std::size_t DraftReader::n_fitting(std::span<const PendingId> parents, std::size_t n_ends) const {
  std::size_t n = 0;
  for (std::size_t n_new = 0; n < parents.size(); ++n) {
    const auto before = parents.begin() + static_cast<std::ptrdiff_t>(n);
    const bool is_first = has_child_[index(parents[n])] == 0 &&
                          std::find(parents.begin(), before, parents[n]) == before;
    if (!is_first && ++n_new > n_ends) break;
  }
  return n;
}

PassOutcome DraftReader::evaluate(std::span<const TokenId> tokens,
                                  std::span<const PendingId> parents) {
  pass_.clear();
  append(tokens, parents, pass_);
  return run_pass();
}

void DraftReader::commit(std::span<const PendingId> path) {
  if (n_pending_ == 0) {
    end_pending();  // what was appended did not take place
    return;
  }
  commit_.clear();
  for (std::size_t i = 0; i < n_chain_; ++i) commit_.push_back(pending_id(i));
  commit_.insert(commit_.end(), path.begin(), path.end());
  model_.commit(seq_, commit_);
  end_pending();
}

}  // namespace gumbelspec
