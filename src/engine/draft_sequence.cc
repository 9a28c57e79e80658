#include "src/engine/draft_sequence.h"

#include <algorithm>

#include "src/engine/stopwatch.h"

namespace gumbelspec {
namespace {

constexpr PendingId kNotEvaluated{-1};

// Tokens that a pass takes on its way to the root; after a long pause they get a pass of their own.
constexpr std::size_t kMaxChain = 8;

}  // namespace

DraftSequence::DraftSequence(LanguageModel& model, std::size_t n_nodes, std::size_t n_level)
    : model_(model) {
  pending_.reserve(n_nodes);
  pass_.reserve(n_level + kMaxChain);
  commit_.reserve(n_nodes + kMaxChain);
}

DraftSequence::~DraftSequence() {
  if (is_open_) model_.close(seq_);
}

PassOutcome DraftSequence::start(std::span<const TokenId> prompt) {
  if (!is_open_) seq_ = model_.open();
  is_open_ = true;
  model_.truncate(seq_, 0);
  n_passes_ = 0;
  pass_s_ = 0.0;
  begin();
  if (prompt.size() > model_.limits().n_context || !knows(prompt)) return PassOutcome::no_space;
  return model_.extend(seq_, prompt.first(prompt.size() - 1));
}

void DraftSequence::begin() {
  n_chain_ = n_pending_ = 0;
  pending_.clear();
}

// A target may have more padding tokens. If it ever says one, the draft cannot follow.
bool DraftSequence::knows(std::span<const TokenId> tokens) const {
  return std::all_of(tokens.begin(), tokens.end(),
                     [&](TokenId t) { return index(t) < model_.limits().n_vocab; });
}

int DraftSequence::levels(const DraftRequest& request, int length) const {
  // The last level is never evaluated by the draft, so it may lie just behind its context.
  const std::size_t context = model_.limits().n_context;
  if (request.text.size() > context || request.max_nodes == 0) return 0;
  // Tokens that it does not know stay missing, so this holds for the rest of the text.
  if (!knows(request.text.subspan(model_.n_committed(seq_)))) return 0;
  const std::size_t fitting = context - request.text.size() + 1;
  const auto wanted = static_cast<std::size_t>(std::min(length, request.max_depth));
  return static_cast<int>(std::min(wanted, fitting));
}

PassOutcome DraftSequence::run_pass() {
  const Stopwatch watch;
  const PassOutcome outcome = model_.evaluate(pass_);
  pass_s_ += watch.seconds();
  ++n_passes_;
  if (outcome == PassOutcome::ok) n_pending_ += pass_.size();
  return outcome;
}

PassOutcome DraftSequence::evaluate_root(std::span<const TokenId> text) {
  std::span<const TokenId> missing = text.subspan(model_.n_committed(seq_));
  if (missing.size() > kMaxChain) {
    const PassOutcome outcome = model_.extend(seq_, missing.first(missing.size() - 1));
    if (outcome != PassOutcome::ok) return outcome;
    missing = missing.last(1);
  }
  pass_.clear();
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const PendingId parent = i == 0 ? kCommitted : pending_id(i - 1);
    pass_.push_back({seq_, parent, missing[i], i + 1 == missing.size()});
  }
  const PassOutcome outcome = run_pass();
  if (outcome != PassOutcome::ok) return outcome;
  n_chain_ = missing.size();
  first_row_ = n_chain_ - 1;
  pending_.assign(1, pending_id(n_chain_ - 1));
  return outcome;
}

PassOutcome DraftSequence::evaluate(const DraftTree& tree, std::span<const NodeId> nodes) {
  pass_.clear();
  for (const NodeId node : nodes) {
    pass_.push_back({seq_, pending_[index(tree.parent(node))], tree.token(node), true});
  }
  const std::size_t first = n_pending_;
  const PassOutcome outcome = run_pass();
  if (outcome != PassOutcome::ok) return outcome;
  first_row_ = 0;
  pending_.resize(tree.size(), kNotEvaluated);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    pending_[index(nodes[i])] = pending_id(first + i);
  }
  return outcome;
}

void DraftSequence::renumber(std::span<const NodeId> new_ids) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < std::min(new_ids.size(), pending_.size()); ++i) {
    if (new_ids[i] == kNoNode) continue;
    pending_[index(new_ids[i])] = pending_[i];
    n = index(new_ids[i]) + 1;
  }
  pending_.resize(n);
}

void DraftSequence::accept(std::span<const NodeId> path) {
  commit_.clear();
  for (std::size_t i = 0; i < n_chain_; ++i) commit_.push_back(pending_id(i));
  for (const NodeId node : path.subspan(1)) {
    if (index(node) >= pending_.size() || pending_[index(node)] == kNotEvaluated) break;
    commit_.push_back(pending_[index(node)]);
  }
  model_.commit(seq_, commit_);
  n_chain_ = n_pending_ = 0;
}

}  // namespace gumbelspec
