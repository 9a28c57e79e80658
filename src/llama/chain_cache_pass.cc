// ChainCache: the passes.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "src/llama/chain_cache.h"

namespace gumbelspec::internal {
namespace {

// Tokens owed by a sequence that are read in a pass of their own: the longer they are owed, the
// more each pass costs.
constexpr std::size_t kMostOwed = 6;

// What one more micro-batch, which reads all weights again, is worth in filling tokens.
constexpr std::size_t kFillingPerPass = 8;

}  // namespace

PassOutcome ChainCache::extend(SeqId seq, std::span<const TokenId> tokens) {
  Sequence& sequence = sequences_.at(seq);
  if (!sequence.pending.empty()) throw std::logic_error("extend: there are pending tokens");
  row_slot_.clear();
  if (sequence.n_committed + tokens.size() > settings_.n_context ||
      n_used() + tokens.size() > settings_.n_cells) {
    return PassOutcome::no_space;
  }
  if (!sequence.owed.empty()) {
    const PassOutcome outcome = read_owed(sequence);
    if (outcome != PassOutcome::ok) return outcome;
  }
  drop_copy(sequence);
  const PromptThreads threads(context_, settings_);
  // Always the same chunks for the same text: the numbers of a chunk can depend on its size.
  const std::size_t n_chunk = llama_n_ubatch(context_);
  for (std::size_t begin = 0; begin < tokens.size(); begin += n_chunk) {
    // A state cannot be taken back, so a pass is not interrupted.
    if (is_cancelled_ && is_cancelled_()) return PassOutcome::cancelled;
    batch_.clear();
    for (const TokenId token : tokens.subspan(begin, std::min(n_chunk, tokens.size() - begin))) {
      const auto pos = static_cast<llama_pos>(sequence.n_committed + batch_.size());
      batch_.add(token, pos, {&sequence.id, 1}, false);
    }
    const PassOutcome outcome = batch_.decode();
    if (outcome != PassOutcome::ok) return outcome;
    sequence.n_committed += batch_.size();
  }
  return PassOutcome::ok;
}

PassOutcome ChainCache::read_owed(Sequence& sequence) {
  drop_copy(sequence);
  batch_.clear();
  const std::size_t n_before = sequence.n_committed - sequence.owed.size();
  for (const TokenId token : sequence.owed) {
    batch_.add(token, static_cast<llama_pos>(n_before + batch_.size()), {&sequence.id, 1}, false);
  }
  const PassOutcome outcome = batch_.decode();
  if (outcome != PassOutcome::ok) return outcome;
  n_extra_ += sequence.owed.size();
  sequence.owed.clear();
  return PassOutcome::ok;
}

// Sequence::in_pass from the nodes; checks the caller's duties.
void ChainCache::read_chains(std::span<const PassNode> nodes) {
  if (nodes.size() > settings_.max_pass_nodes) {
    throw std::logic_error("evaluate: " + std::to_string(nodes.size()) +
                           " nodes are more than max_pass_nodes");
  }
  for (Sequence& sequence : sequences_) {
    sequence.in_pass.clear();
    sequence.n_fill = 0;
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Sequence& sequence = sequences_.at(nodes[i].seq);
    const std::size_t n_before = sequence.pending.size() + sequence.in_pass.size();
    const PendingId expected = n_before == 0 ? kCommitted : pending_id(n_before - 1);
    if (nodes[i].parent != expected) throw std::logic_error("evaluate: this model cannot branch");
    sequence.in_pass.push_back(static_cast<std::int32_t>(i));
  }
}

bool ChainCache::has_room() const {
  std::size_t n = n_used();
  for (const Sequence& sequence : sequences_) {
    if (sequence.n_in_state() + sequence.in_pass.size() > settings_.n_context) return false;
    n += sequence.in_pass.size();
  }
  return n <= settings_.n_cells;
}

// Where much is owed, or more than fits, it is read apart.
PassOutcome ChainCache::settle_debts(std::size_t n_nodes) {
  std::size_t n_free = llama_n_batch(context_) - n_nodes;
  for (Sequence& sequence : sequences_) {
    const std::size_t n_owed = sequence.in_pass.empty() ? 0 : sequence.n_to_reread();
    if (n_owed <= kMostOwed && n_owed <= n_free) {
      n_free -= n_owed;
      continue;
    }
    const PassOutcome outcome = read_owed(sequence);
    if (outcome != PassOutcome::ok) return outcome;
  }
  return PassOutcome::ok;
}

// A sequence that goes on before it is committed does so behind its own tokens.
void ChainCache::drop_filling() {
  for (Sequence& sequence : sequences_) {
    if (sequence.in_pass.empty() || sequence.n_filling == 0) continue;
    take_snapshot(sequence, sequence.pending.size());
    sequence.n_filling = 0;
  }
}

// Makes the chains of the pass equally long, where that costs less than reading the weights again.
void ChainCache::fill_up() {
  if (settings_.rollback != Rollback::snapshots) return;
  std::vector<std::size_t> lengths;
  for (const Sequence& sequence : sequences_) {
    if (!sequence.in_pass.empty()) lengths.push_back(sequence.in_pass.size());
  }
  std::sort(lengths.begin(), lengths.end());
  std::size_t n_filling = 0;
  for (const std::size_t length : lengths) n_filling += lengths.back() - length;
  const auto n_different =
      static_cast<std::size_t>(std::unique(lengths.begin(), lengths.end()) - lengths.begin());
  if (n_different < 2 || n_filling > kFillingPerPass * (n_different - 1)) return;
  const std::size_t longest = lengths[n_different - 1];
  std::size_t n_nodes = 0;
  for (const Sequence& sequence : sequences_) n_nodes += sequence.in_pass.size();
  if (longest > settings_.n_snapshots + 1 || n_used() + n_nodes + n_filling > settings_.n_cells ||
      n_nodes + n_filling > llama_n_batch(context_)) {
    return;
  }
  for (Sequence& sequence : sequences_) {
    if (!sequence.in_pass.empty()) sequence.n_fill = longest - sequence.in_pass.size();
  }
}

// The first pending token stays. So of a pass over it alone nothing can be dropped, and the state
// behind it is the better copy: nothing that was owed is owed then.
void ChainCache::make_copies() {
  if (settings_.rollback != Rollback::copies) return;
  for (Sequence& sequence : sequences_) {
    if (sequence.in_pass.empty()) continue;
    if (sequence.pending.empty() && sequence.in_pass.size() == 1) continue;
    if (sequence.has_copy && sequence.pending.size() != 1) continue;
    copy_state(sequence.id, sequence.copy_id);
    sequence.has_copy = true;
    sequence.n_copied = sequence.n_in_state() - sequence.n_to_reread();
  }
}

// In the order of llama.cpp's ids, which its micro-batches want.
void ChainCache::fill_batch(std::span<const PassNode> nodes) {
  row_slot_.assign(nodes.size(), -1);
  batch_.clear();
  for (Sequence& sequence : sequences_) {
    if (sequence.in_pass.empty()) continue;
    const std::span<llama_seq_id> id{&sequence.id, 1};
    const std::size_t n_reread = sequence.n_to_reread();
    auto pos = static_cast<llama_pos>(sequence.n_in_state() - n_reread);
    for (std::size_t i = 0; i < n_reread; ++i) batch_.add(sequence.owed[i], pos++, id, false);
    for (const std::int32_t i : sequence.in_pass) {
      const PassNode& node = nodes[static_cast<std::size_t>(i)];
      const std::int32_t place = batch_.add(node.token, pos++, id, node.wants_row);
      if (node.wants_row) row_slot_[static_cast<std::size_t>(i)] = place;
    }
    const TokenId last = nodes[static_cast<std::size_t>(sequence.in_pass.back())].token;
    for (std::size_t i = 0; i < sequence.n_fill; ++i) batch_.add(last, pos++, id, false);
  }
}

// Makes the nodes of a finished pass pending.
void ChainCache::record(std::span<const PassNode> nodes) {
  n_extra_ += batch_.size() - nodes.size();
  for (Sequence& sequence : sequences_) {
    if (sequence.in_pass.empty()) continue;
    for (const std::int32_t i : sequence.in_pass) {
      sequence.pending.push_back(nodes[static_cast<std::size_t>(i)].token);
    }
    sequence.n_last = sequence.in_pass.size();
    sequence.n_filling = sequence.n_fill;
  }
}

PassOutcome ChainCache::evaluate(std::span<const PassNode> nodes) {
  row_slot_.clear();
  n_extra_ = 0;
  if (nodes.empty()) return PassOutcome::ok;
  read_chains(nodes);
  if (!has_room()) return PassOutcome::no_space;
  if (is_cancelled_ && is_cancelled_()) return PassOutcome::cancelled;
  PassOutcome outcome = settle_debts(nodes.size());
  if (outcome != PassOutcome::ok) return outcome;
  drop_filling();
  fill_up();
  make_copies();
  fill_batch(nodes);
  outcome = batch_.decode();
  if (outcome == PassOutcome::ok) {
    record(nodes);
  } else {
    row_slot_.clear();
  }
  return outcome;
}

const float* ChainCache::row(std::size_t i) const {
  if (i >= row_slot_.size() || row_slot_[i] < 0) {
    throw std::logic_error("row: node " + std::to_string(i) + " of the last pass has no row");
  }
  return batch_.row(row_slot_[i]);
}

}  // namespace gumbelspec::internal
