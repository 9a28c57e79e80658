#include "src/engine/draft_sequence.h"

#include <algorithm>

namespace gumbelspec {
namespace {

constexpr PendingId kNotEvaluated{-1};

}  // namespace

DraftSequence::DraftSequence(LanguageModel& model, std::size_t n_nodes, std::size_t n_level)
    : reader_(model, n_nodes, n_level) {
  pending_.reserve(n_nodes);
  tokens_.reserve(n_level);
  parents_.reserve(n_level);
  commit_.reserve(n_nodes);
}

PassOutcome DraftSequence::start(std::span<const TokenId> prompt) {
  begin();
  return reader_.start(prompt);
}

void DraftSequence::begin() { pending_.clear(); }

int DraftSequence::levels(const DraftRequest& request, int length) const {
  if (request.max_nodes == 0) return 0;
  const auto wanted = static_cast<std::size_t>(std::min(length, request.max_depth));
  return static_cast<int>(std::min(wanted, reader_.n_levels(request.text)));
}

PassOutcome DraftSequence::evaluate_root(std::span<const TokenId> text) {
  const PassOutcome outcome = reader_.read_root(text);
  if (outcome != PassOutcome::ok) return outcome;
  first_row_ = reader_.n_chain() - 1;
  pending_.assign(1, reader_.root());
  return outcome;
}

PassOutcome DraftSequence::append_root(std::span<const TokenId> text, std::size_t n_most,
                                       std::vector<PassNode>& pass) {
  return reader_.append_root(text, 1, n_most, pass);
}

void DraftSequence::take_root(std::size_t first_row) {
  reader_.take(first_row);
  first_row_ = reader_.n_chain() - 1;
  pending_.assign(1, reader_.root());
}

void DraftSequence::set_nodes(const DraftTree& tree, std::span<const NodeId> nodes) {
  tokens_.clear();
  parents_.clear();
  for (const NodeId node : nodes) {
    tokens_.push_back(tree.token(node));
    parents_.push_back(pending_[index(tree.parent(node))]);
  }
}

void DraftSequence::set_pending(const DraftTree& tree, std::span<const NodeId> nodes) {
  first_row_ = 0;
  pending_.resize(tree.size(), kNotEvaluated);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    pending_[index(nodes[i])] = reader_.id_of_last(i);
  }
}

PassOutcome DraftSequence::evaluate(const DraftTree& tree, std::span<const NodeId> nodes) {
  set_nodes(tree, nodes);
  const PassOutcome outcome = reader_.evaluate(tokens_, parents_);
  if (outcome == PassOutcome::ok) set_pending(tree, nodes);
  return outcome;
}

std::size_t DraftSequence::append(const DraftTree& tree, std::span<const NodeId> nodes,
                                  std::size_t n_most, std::size_t n_ends,
                                  std::vector<PassNode>& pass) {
  set_nodes(tree, nodes);
  const std::size_t n = std::min(reader_.n_fitting(parents_, n_ends), n_most);
  reader_.append(std::span(tokens_).first(n), std::span(parents_).first(n), pass);
  return n;
}

void DraftSequence::take(const DraftTree& tree, std::span<const NodeId> nodes,
                         std::size_t first_row) {
  reader_.take(first_row);
  set_pending(tree, nodes);
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
  for (const NodeId node : path.subspan(1)) {
    if (index(node) >= pending_.size() || pending_[index(node)] == kNotEvaluated) break;
    commit_.push_back(pending_[index(node)]);
  }
  reader_.commit(commit_);
}

}  // namespace gumbelspec
