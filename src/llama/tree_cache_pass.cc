// TreeCache: the passes.
#include <algorithm>
#include <stdexcept>
#include <string>

#include "src/llama/tree_cache.h"

namespace gumbelspec::internal {

void TreeCache::reserve_batch(std::size_t n, std::size_t n_ids) {
  batch_.reserve(n);
  row_slot_.reserve(n);
  parents_.reserve(n);
  positions_.reserve(n);
  if (leaf_ids_.size() < n_ids) {
    leaf_ids_.resize(n_ids);
    leaf_is_borrowed_.resize(n_ids);
  }
}

PassOutcome TreeCache::decode() {
  // Whatever comes of the pass, the search for free cells has moved.
  struct Drop {
    TreeCache& cache;
    ~Drop() { cache.drop_guard(); }
  } const drop{*this};
  return batch_.decode();
}

void TreeCache::use_states(const StateSource& source, std::size_t n_input) {
  n_input_ = n_input;
  batch_.use_states(source, n_input);
}

void TreeCache::copy_state(std::size_t i, std::span<float> out) const {
  std::span<const float> states = batch_.states();
  std::size_t place = i;
  if (has_extended_) {
    states = extended_;
  } else if (i < plan_.slot_of().size()) {
    place = static_cast<std::size_t>(plan_.slot_of()[i]);
  }
  if (out.empty() || states.size() / out.size() <= place) {
    throw std::logic_error("copy_state: token " + std::to_string(i) + " has none");
  }
  std::copy_n(states.subspan(place * out.size()).begin(), out.size(), out.begin());
}

PassOutcome TreeCache::extend_after(SeqId seq, std::span<const TokenId> tokens,
                                    std::span<const float> states) {
  Sequence& sequence = sequences_.at(seq);
  if (!sequence.pending.empty()) throw std::logic_error("extend: there are pending tokens");
  row_slot_.clear();
  if (n_committed(seq) + tokens.size() > settings_.n_context || !make_room(tokens.size())) {
    return PassOutcome::no_space;
  }
  const auto n_before = sequence.n_committed;
  extended_.clear();
  has_extended_ = true;
  const PromptThreads threads(context_, settings_);
  // Always the same chunks for the same text: the numbers of a chunk can depend on its size.
  const std::size_t n_chunk = llama_n_ubatch(context_);
  for (std::size_t begin = 0; begin < tokens.size(); begin += n_chunk) {
    const auto chunk = tokens.subspan(begin, std::min(n_chunk, tokens.size() - begin));
    const auto of_chunk =
        states.empty() ? states : states.subspan(begin * n_input_, chunk.size() * n_input_);
    const PassOutcome outcome = extend_by(sequence, chunk, of_chunk);
    if (outcome == PassOutcome::ok) continue;
    n_used_ -= static_cast<std::size_t>(sequence.n_committed - n_before);
    sequence.n_committed = n_before;
    llama_memory_seq_rm(memory_, sequence.base, n_before, -1);
    return outcome;
  }
  return PassOutcome::ok;
}

PassOutcome TreeCache::extend_by(Sequence& sequence, std::span<const TokenId> tokens,
                                 std::span<const float> states) {
  if (is_cancelled_ && is_cancelled_()) return PassOutcome::cancelled;
  batch_.clear();
  for (std::size_t i = 0; i < tokens.size(); ++i) {
    const llama_pos pos = sequence.n_committed + static_cast<llama_pos>(i);
    const float* state = states.empty() ? nullptr : states.data() + i * n_input_;
    batch_.add(tokens[i], pos, {&sequence.base, 1}, false, state);
  }
  const PassOutcome outcome = decode();
  if (outcome == PassOutcome::ok) {
    extended_.insert(extended_.end(), batch_.states().begin(), batch_.states().end());
    sequence.n_committed += static_cast<llama_pos>(tokens.size());
    n_used_ += tokens.size();
    next_order_ += tokens.size();
    sequence.end_order = next_order_;
  }
  return outcome;
}

// parents_ and positions_ from the nodes; checks the caller's duties.
void TreeCache::read_parents(std::span<const PassNode> nodes) {
  if (nodes.size() > settings_.max_pass_nodes) {
    throw std::logic_error("evaluate: " + std::to_string(nodes.size()) +
                           " nodes are more than max_pass_nodes");
  }
  for (Sequence& sequence : sequences_) sequence.pass_nodes.clear();
  parents_.resize(nodes.size());
  positions_.resize(nodes.size());
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    Sequence& sequence = sequences_.at(nodes[i].seq);
    parents_[i] = PassPlan::kOutside;
    const PendingId parent = nodes[i].parent;
    if (parent != kCommitted && index(parent) >= sequence.pending.size()) {
      const std::size_t in_pass = index(parent) - sequence.pending.size();
      if (parent < kCommitted || in_pass >= sequence.pass_nodes.size()) {
        throw std::logic_error("evaluate: node " + std::to_string(i) + " has no such parent");
      }
      parents_[i] = sequence.pass_nodes[in_pass];
    }
    positions_[i] = position_of(nodes[i], i);
    sequence.pass_nodes.push_back(static_cast<std::int32_t>(i));
  }
}

llama_pos TreeCache::position_of(const PassNode& node, std::size_t i) const {
  if (parents_[i] != PassPlan::kOutside) {
    return positions_[static_cast<std::size_t>(parents_[i])] + 1;
  }
  const Sequence& sequence = sequences_.at(node.seq);
  if (node.parent == kCommitted) return sequence.n_committed;
  return sequence.pending[index(node.parent)].pos + 1;
}

// An id for every leaf of the pass, carrying exactly the text that the pass grows from.
// Returns false if there are not enough; then nothing has changed.
bool TreeCache::give_ids(std::span<const PassNode> nodes) {
  reserve_batch(nodes.size(), plan_.n_leaves());
  std::size_t n_given = 0;
  for (const PassPlan::Slot& slot : plan_.slots()) {
    const bool is_top = slot.node == slot.top;
    if (!is_top) continue;
    const PassNode& top = nodes[static_cast<std::size_t>(slot.node)];
    Sequence& sequence = sequences_.at(top.seq);
    Pending* parent = top.parent == kCommitted ? nullptr : &sequence.pending[index(top.parent)];
    const llama_seq_id carrier = parent == nullptr ? sequence.base : parent->carrier;
    for (std::int32_t k = 0; k < slot.n_leaves; ++k) {
      const auto leaf = static_cast<std::size_t>(slot.first_leaf) + static_cast<std::size_t>(k);
      const bool can_borrow = parent == nullptr ? !sequence.base_is_lent : parent->is_tip;
      leaf_is_borrowed_[leaf] = can_borrow;
      if (can_borrow) {
        leaf_ids_[leaf] = carrier;
        bool& flag = parent == nullptr ? sequence.base_is_lent : parent->is_tip;
        flag = !flag;
      } else {
        leaf_ids_[leaf] = branch_ids_.acquire(sequence.base, sequence.n_committed);
        if (leaf_ids_[leaf] < 0) {
          std::fill(leaf_ids_.begin() + static_cast<std::ptrdiff_t>(leaf), leaf_ids_.end(), -1);
          take_back_ids(nodes);
          return false;
        }
        llama_memory_seq_cp(memory_, carrier, leaf_ids_[leaf], sequence.n_committed,
                            positions_[static_cast<std::size_t>(slot.node)]);
      }
      ++n_given;
    }
  }
  return n_given == plan_.n_leaves();
}

// Undoes give_ids() after a pass that did not happen, and drops what it left in the cache:
// llama.cpp itself removes an aborted batch only from the first id of every token.
void TreeCache::take_back_ids(std::span<const PassNode> nodes) {
  for (const PassPlan::Slot& slot : plan_.slots()) {
    if (slot.node != slot.top) continue;
    const PassNode& top = nodes[static_cast<std::size_t>(slot.node)];
    Sequence& sequence = sequences_.at(top.seq);
    for (std::int32_t k = 0; k < slot.n_leaves; ++k) {
      const auto leaf = static_cast<std::size_t>(slot.first_leaf) + static_cast<std::size_t>(k);
      if (leaf_ids_[leaf] < 0) continue;
      if (!leaf_is_borrowed_[leaf]) {
        branch_ids_.release(leaf_ids_[leaf], sequence.n_committed);
        continue;
      }
      llama_memory_seq_rm(memory_, leaf_ids_[leaf], positions_[static_cast<std::size_t>(slot.node)],
                          -1);
      if (top.parent == kCommitted) {
        sequence.base_is_lent = false;
      } else {
        sequence.pending[index(top.parent)].is_tip = true;
      }
    }
  }
}

void TreeCache::fill_batch(std::span<const PassNode> nodes) {
  row_slot_.assign(nodes.size(), -1);
  batch_.clear();
  for (const PassPlan::Slot& slot : plan_.slots()) {
    const auto i = static_cast<std::size_t>(slot.node);
    const std::span<llama_seq_id> ids = std::span(leaf_ids_).subspan(
        static_cast<std::size_t>(slot.first_leaf), static_cast<std::size_t>(slot.n_leaves));
    const std::int32_t place =
        batch_.add(nodes[i].token, positions_[i], ids, nodes[i].wants_row, nodes[i].state);
    if (nodes[i].wants_row) row_slot_[i] = place;
  }
}

// Makes the nodes of a finished pass pending.
void TreeCache::record(std::span<const PassNode> nodes) {
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    const auto s = static_cast<std::size_t>(plan_.slot_of()[i]);
    const PassPlan::Slot& slot = plan_.slots()[s];
    Pending pending;
    pending.parent = nodes[i].parent;
    pending.pos = positions_[i];
    pending.order = next_order_ + s;
    pending.carrier = leaf_ids_[static_cast<std::size_t>(slot.first_leaf)];
    const bool is_leaf = s + 1 == plan_.slots().size() ||
                         parents_[static_cast<std::size_t>(plan_.slots()[s + 1].node)] != slot.node;
    pending.is_tip = is_leaf;
    sequences_.at(nodes[i].seq).pending.push_back(pending);
  }
  next_order_ += nodes.size();
  n_used_ += nodes.size();
}

PassOutcome TreeCache::evaluate(std::span<const PassNode> nodes) {
  row_slot_.clear();
  has_extended_ = false;
  if (nodes.empty()) return PassOutcome::ok;
  read_parents(nodes);
  const auto too_far = [this](llama_pos pos) {
    return static_cast<std::size_t>(pos) >= settings_.n_context;
  };
  if (std::any_of(positions_.begin(), positions_.end(), too_far) || !make_room(nodes.size())) {
    return PassOutcome::no_space;
  }
  plan_.build(parents_);
  if (!give_ids(nodes)) throw std::logic_error("evaluate: more branch ends than max_leaves");
  fill_batch(nodes);
  PassOutcome outcome = PassOutcome::ok;
  try {
    outcome = decode();
  } catch (...) {
    take_back_ids(nodes);
    row_slot_.clear();
    throw;
  }
  if (outcome == PassOutcome::ok) {
    record(nodes);
  } else {
    take_back_ids(nodes);
    row_slot_.clear();
  }
  return outcome;
}

const float* TreeCache::row(std::size_t i) const {
  if (i >= row_slot_.size() || row_slot_[i] < 0) {
    throw std::logic_error("row: node " + std::to_string(i) + " of the last pass has no row");
  }
  return batch_.row(row_slot_[i]);
}

}  // namespace gumbelspec::internal
