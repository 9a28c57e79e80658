#include "gumbelspec/draft_reader.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "src/engine/stopwatch.h"

namespace gumbelspec {

DraftReader::DraftReader(LanguageModel& model, std::size_t n_nodes, std::size_t n_level,
                         std::size_t n_states)
    : model_(model), n_state_(model.limits().n_input_state) {
  if (is_head()) {
    n_kept_ = std::max(n_states, kMaxChain);
    states_.resize((n_kept_ + 1) * n_state_);
    extension_.reserve(n_kept_ * n_state_);
  }
  pass_.reserve(std::max(n_level, kMaxChain));
  commit_.reserve(n_nodes + kMaxChain);
  has_child_.reserve(n_nodes + std::max(n_level, kMaxChain));
}

PassOutcome DraftReader::begin(std::span<const TokenId> prompt) {
  if (!is_open_) seq_ = model_.open();
  is_open_ = true;
  model_.truncate(seq_, 0);
  n_skipped_ = n_passes_ = 0;
  states_begin_ = states_end_ = 0;
  pass_s_ = 0.0;
  end_pending();
  return can_read(prompt) ? PassOutcome::ok : PassOutcome::no_space;
}

PassOutcome DraftReader::start(std::span<const TokenId> prompt) {
  const PassOutcome outcome = begin(prompt);
  if (outcome != PassOutcome::ok) return outcome;
  return model_.extend(seq_, prompt.first(prompt.size() - 1));
}

void DraftReader::attach(SeqId seq) {
  seq_ = seq;
  is_open_ = is_lent_ = true;
  n_skipped_ = n_passes_ = 0;
  states_begin_ = states_end_ = 0;
  pass_s_ = 0.0;
  end_pending();
}

PassOutcome DraftReader::read(std::span<const TokenId> tokens) {
  return model_.extend(seq_, tokens);
}

// The first token has no state before it.
std::size_t DraftReader::first_readable() const {
  return states_begin_ == 0 ? 0 : states_begin_ + 1;
}

const float* DraftReader::state_before(std::size_t i) {
  if (i == 0) return states_.data() + n_kept_ * n_state_;
  if (i <= states_begin_ || i > states_end_) {
    throw std::logic_error("DraftReader: the state before token " + std::to_string(i) +
                           " is not known");
  }
  return slot(i - 1);
}

std::span<const float> DraftReader::states_before(std::size_t first, std::size_t n) {
  extension_.clear();
  for (std::size_t i = first; i < first + n; ++i) {
    const float* state = state_before(i);
    extension_.insert(extension_.end(), state, state + n_state_);
  }
  return extension_;
}

void DraftReader::keep_state(const LanguageModel& target, std::size_t i, std::size_t n_before) {
  if (n_before != states_end_) states_begin_ = states_end_ = n_before;
  target.copy_state(i, {slot(n_before), n_state_});
  ++states_end_;
  states_begin_ = std::max(states_begin_, states_end_ - std::min(states_end_, n_kept_));
}

PassOutcome DraftReader::read_after(const LanguageModel& target, std::size_t n_before,
                                    std::span<const TokenId> tokens, bool reads) {
  const std::size_t end = n_before + tokens.size();
  PassOutcome outcome = PassOutcome::ok;
  if (reads) {
    std::size_t first = n_read(end);
    const bool is_known = n_before == 0 || (states_begin_ < n_before && n_before <= states_end_);
    const std::size_t readable = is_known ? n_before : n_before + 1;
    if (first < readable) skip_before(first = readable);
    if (first < end) {
      extension_.resize((end - first) * n_state_);
      for (std::size_t i = first; i < end; ++i) {
        const std::span<float> out =
            std::span(extension_).subspan((i - first) * n_state_, n_state_);
        if (i > n_before) {
          target.copy_state(i - 1 - n_before, out);
        } else {
          std::copy_n(state_before(i), n_state_, out.begin());
        }
      }
      outcome = model_.extend_after(seq_, tokens.subspan(first - n_before), extension_);
    }
  }
  const std::size_t n = std::min(tokens.size(), n_kept_);
  for (std::size_t i = tokens.size() - n; i < tokens.size(); ++i) {
    keep_state(target, i, n_before + i);
  }
  return outcome;
}

void DraftReader::skip_before(std::size_t n) {
  // The first token stays: models give it a part of their attention wherever they are in a text.
  const std::size_t n_kept = std::min<std::size_t>(model_.n_committed(seq_), 1);
  model_.truncate(seq_, n_kept);
  n_skipped_ = n - std::min(n, n_kept);
}

void DraftReader::close_gap(std::span<const TokenId> text) {
  if (!is_head() || !is_open_) return;
  const std::size_t first = n_read(text.size());
  if (first < first_readable() && first_readable() < text.size()) skip_before(first_readable());
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
  if (is_head()) {
    const std::size_t first = n_read(text.size());
    const bool is_known = first >= first_readable() && states_end_ + 1 >= text.size();
    if (!is_known) return 0;
  }
  return context - (text.size() - n_skipped_) + 1;
}

void DraftReader::skip_to_last(std::span<const TokenId> text, std::size_t n) {
  // A recurrent state goes on or begins anew, and reading on is less than that.
  if (!model_.limits().can_drop) return;
  const std::size_t first = text.size() - std::min(n, text.size());
  if (is_head() && first < first_readable()) return;
  const bool is_empty = model_.n_committed(seq_) == 0;
  skip_before(first);
  if (is_empty && !is_head()) n_skipped_ = 0;
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
  const std::size_t first = n_read(text.size());
  std::span<const TokenId> missing = text.subspan(first);
  n_most = std::min(n_most, std::max(n_rows, kMaxChain));
  n_read_apart_ = missing.size() > n_most ? missing.size() - n_rows : 0;
  if (n_read_apart_ > 0) {
    const Stopwatch watch;
    const std::span<const TokenId> apart = missing.first(n_read_apart_);
    const PassOutcome outcome =
        is_head() ? model_.extend_after(seq_, apart, states_before(first, apart.size()))
                  : model_.extend(seq_, apart);
    pass_s_ += watch.seconds();
    if (outcome != PassOutcome::ok) return outcome;
    missing = missing.last(n_rows);
  }
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const PendingId parent = i == 0 ? kCommitted : pending_id(i - 1);
    const float* state = is_head() ? state_before(text.size() - missing.size() + i) : nullptr;
    pass.push_back({seq_, parent, missing[i], i + n_rows >= missing.size(), state});
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
    pass.push_back({seq_, parents[i], tokens[i], true, nullptr});
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
  // A head read the path with states of its own.
  if (is_head()) path = {};
  commit_.insert(commit_.end(), path.begin(), path.end());
  model_.commit(seq_, commit_);
  end_pending();
}

}  // namespace gumbelspec
