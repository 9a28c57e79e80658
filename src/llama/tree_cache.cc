#include "src/llama/tree_cache.h"

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "gumbelspec/error.h"

namespace gumbelspec::internal {
namespace {

// LLAMA_MAX_SEQ is not in llama.h; the function is its public face.
std::size_t n_ids() { return llama_max_parallel_sequences(); }

}  // namespace

// Two ids are reserved: the parked tokens' and the guard's. A sequence's own id serves a branch.
std::size_t TreeCache::max_leaves(std::size_t n_sequences) { return n_ids() - n_sequences - 1; }

TreeCache::TreeCache(llama_context* context, const CacheSettings& settings, const LogSink& log,
                     std::function<bool()> is_cancelled)
    : context_(context),
      memory_(llama_get_memory(context)),
      settings_(settings),
      log_(log),
      is_cancelled_(std::move(is_cancelled)),
      park_id_(static_cast<llama_seq_id>(n_ids() - 1)),
      guard_id_(park_id_ - 1),
      branch_ids_(memory_, static_cast<llama_seq_id>(settings.n_sequences),
                  max_leaves(settings.n_sequences) - 1),
      sequences_(settings.n_sequences),
      batch_(context, settings.graph, settings.check_pass, log) {
  llama_seq_id next = 0;
  for (Sequence& sequence : sequences_) {
    sequence.base = next++;
    sequence.pending.reserve(settings.max_pass_nodes);
    sequence.pass_nodes.reserve(settings.max_pass_nodes);
  }
  reserve_batch(settings.max_pass_nodes, settings.max_pass_nodes);
}

std::size_t TreeCache::n_pending() const {
  std::size_t n = 0;
  for (const Sequence& sequence : sequences_) n += sequence.pending.size();
  return n;
}

SeqId TreeCache::open() {
  const SeqId seq = sequences_.open();
  Sequence& sequence = sequences_.at(seq);
  sequence.n_committed = 0;
  sequence.end_order = 0;
  sequence.base_is_lent = false;
  sequence.pending.clear();
  return seq;
}

void TreeCache::close(SeqId seq) {
  truncate(seq, 0);
  sequences_.at(seq).is_open = false;
}

std::size_t TreeCache::n_committed(SeqId seq) const {
  return static_cast<std::size_t>(sequences_.at(seq).n_committed);
}

void TreeCache::park(llama_seq_id carrier, llama_pos begin, llama_pos end) {
  llama_memory_seq_cp(memory_, carrier, park_id_, begin, end);
  n_parked_ += static_cast<std::size_t>(end - begin);
}

// Sets on_path; checks that path is one.
void TreeCache::mark_path(Sequence& sequence, std::span<const PendingId> path) const {
  PendingId parent = kCommitted;
  for (const PendingId id : path) {
    if (index(id) >= sequence.pending.size() || sequence.pending[index(id)].parent != parent) {
      throw std::logic_error("commit: pending token " + std::to_string(static_cast<int>(id)) +
                             " does not follow the one before it");
    }
    parent = id;
  }
  for (const PendingId id : path) {
    sequence.pending[index(id)].on_path = true;
    sequence.pending[index(id)].is_settled = true;
  }
}

// Cells are handed out in the order of evaluation, so a cell lies behind all texts iff it was
// evaluated after all their tokens. Other sequences' pending tokens may still become text.
std::uint64_t TreeCache::first_free_order(const Sequence& sequence) const {
  std::uint64_t end = 0;
  for (const Sequence& other : sequences_) {
    if (!other.is_open) continue;
    end = std::max(end, other.end_order);
    if (&other == &sequence || other.pending.empty()) continue;
    for (const Pending& node : other.pending) end = std::max(end, node.order + 1);
  }
  return end;
}

// Parks the rejected tokens that were evaluated before limit. Along a path the order only grows,
// so what is to be parked of a branch is one range of positions.
void TreeCache::park_rejected(Sequence& sequence, std::uint64_t limit) {
  for (const Pending& tip : sequence.pending) {
    if (!tip.is_tip) continue;
    llama_pos end = -1;
    llama_pos begin = tip.pos + 1;
    for (PendingId id = pending_id(static_cast<std::size_t>(&tip - sequence.pending.data()));
         id != kCommitted && !sequence.pending[index(id)].is_settled;
         id = sequence.pending[index(id)].parent) {
      Pending& node = sequence.pending[index(id)];
      node.is_settled = true;
      if (node.order >= limit) continue;
      if (end < 0) end = node.pos + 1;
      begin = node.pos;
    }
    if (end >= 0) park(tip.carrier, begin, end);
  }
}

// Gives the id of the committed text the accepted path, whichever branch had borrowed it.
void TreeCache::move_base(Sequence& sequence, std::span<const PendingId> path) {
  const llama_pos n_before = sequence.n_committed;
  const llama_pos n_after = n_before + static_cast<llama_pos>(path.size());
  // A branch that ends at or below a node of the path agrees with the path up to that node.
  llama_pos n_shared = n_before;
  if (sequence.base_is_lent) {
    PendingId id = kCommitted;
    for (std::size_t i = 0; i < sequence.pending.size(); ++i) {
      const Pending& node = sequence.pending[i];
      if (node.is_tip && node.carrier == sequence.base) id = pending_id(i);
    }
    while (id != kCommitted && !sequence.pending[index(id)].on_path) {
      id = sequence.pending[index(id)].parent;
    }
    if (id != kCommitted) n_shared = sequence.pending[index(id)].pos + 1;
    llama_memory_seq_rm(memory_, sequence.base, n_shared, -1);
  }
  if (n_shared < n_after) {
    llama_memory_seq_cp(memory_, sequence.pending[index(path.back())].carrier, sequence.base,
                        n_shared, n_after);
  }
}

void TreeCache::commit(SeqId seq, std::span<const PendingId> path) {
  Sequence& sequence = sequences_.at(seq);
  mark_path(sequence, path);
  const llama_pos n_before = sequence.n_committed;
  const std::size_t n_parked_before = n_parked_;
  if (!path.empty()) sequence.end_order = sequence.pending[index(path.back())].order + 1;
  if (settings_.keeps_order && path.size() != sequence.pending.size()) {
    park_rejected(sequence, first_free_order(sequence));
  }
  move_base(sequence, path);
  for (const Pending& node : sequence.pending) {
    if (node.is_tip && node.carrier != sequence.base) {
      branch_ids_.release(node.carrier, n_before);
    }
  }
  n_used_ -= sequence.pending.size() - path.size() - (n_parked_ - n_parked_before);
  sequence.n_committed = n_before + static_cast<llama_pos>(path.size());
  sequence.base_is_lent = false;
  sequence.pending.clear();
}

void TreeCache::truncate(SeqId seq, std::size_t n) {
  Sequence& sequence = sequences_.at(seq);
  if (n > static_cast<std::size_t>(sequence.n_committed)) {
    throw std::logic_error("truncate: " + std::to_string(n) + " is more than the " +
                           std::to_string(sequence.n_committed) + " committed tokens");
  }
  drop_guard();
  if (n == 0 && sequences_.is_alone(sequence)) {
    llama_memory_clear(memory_, false);
    branch_ids_.forget_all();
    n_used_ = n_parked_ = 0;
    sequence.pending.clear();
    sequence.base_is_lent = false;
    sequence.n_committed = 0;
    return;
  }
  commit(seq, {});
  const auto n_kept = static_cast<llama_pos>(n);
  std::size_t n_dropped = n_committed(seq) - n + sequence.pending.size();
  if (n_dropped == 0) return;
  // Another sequence's text may lie behind these cells.
  if (settings_.keeps_order && !sequences_.is_alone(sequence)) {
    park(sequence.base, n_kept, sequence.n_committed);
    n_dropped = 0;
  }
  branch_ids_.truncate(sequence.base, n_kept);
  llama_memory_seq_rm(memory_, sequence.base, n == 0 ? -1 : n_kept, -1);
  sequence.base_is_lent = false;
  sequence.pending.clear();
  sequence.n_committed = n_kept;
  n_used_ -= n_dropped;
}

// Whether n more cells are free, after compaction if that can help. The room for one more pass is
// kept as well where possible, because only a cache without pending tokens can be compacted.
bool TreeCache::make_room(std::size_t n) {
  const auto n_free = [this] { return settings_.n_cells - n_used_; };
  const std::size_t n_wanted = std::max(n, settings_.max_pass_nodes);
  const bool is_scattered = sequences_.size() > 1 && n_parked_ > settings_.n_parked;
  if ((n_free() < n_wanted || is_scattered) && n_parked_ > 0 && n_pending() == 0) compact();
  return n <= n_free();
}

void TreeCache::compact() {
  const LogCapture capture(log_);
  llama_memory_seq_rm(memory_, park_id_, -1, -1);
  n_used_ -= n_parked_;
  n_parked_ = 0;
  // The whole state, not one sequence's: it keeps the cells' order, their sharing, and what lies
  // outside an attention window. It names only the sequences' own ids, so branch ids are lost.
  const std::size_t n_bytes = llama_state_get_size(context_);
  const std::unique_ptr<std::uint8_t[]> state(new std::uint8_t[n_bytes]);
  if (llama_state_get_data(context_, state.get(), n_bytes) != n_bytes ||
      llama_state_set_data(context_, state.get(), n_bytes) == 0) {
    throw Error(ErrorCode::evaluation_failed,
                "the cache could not be compacted: " + capture.last_error());
  }
  branch_ids_.forget_all();
  if (settings_.has_window) guard_window();
  ++n_compactions_;
}

std::vector<std::uint8_t> TreeCache::state(SeqId seq) {
  const Sequence& sequence = sequences_.at(seq);
  if (!sequence.pending.empty()) throw std::logic_error("state: there are pending tokens");
  drop_guard();
  const LogCapture capture(log_);
  std::vector<std::uint8_t> bytes(llama_state_seq_get_size(context_, sequence.base));
  const std::size_t n =
      llama_state_seq_get_data(context_, bytes.data(), bytes.size(), sequence.base);
  if (n != bytes.size()) {
    throw Error(ErrorCode::evaluation_failed,
                "the cache could not be written out: " + capture.last_error());
  }
  return bytes;
}

bool TreeCache::set_state(SeqId seq, std::span<const std::uint8_t> state, std::size_t n_tokens) {
  Sequence& sequence = sequences_.at(seq);
  if (sequence.n_committed != 0 || !sequence.pending.empty()) {
    throw std::logic_error("set_state: the sequence is not empty");
  }
  if (n_tokens > settings_.n_context || !make_room(n_tokens)) return false;
  drop_guard();
  const LogCapture capture(log_);
  const std::size_t n =
      llama_state_seq_set_data(context_, state.data(), state.size(), sequence.base);
  // Of some other number of tokens than was told: not what the caller believes it to be.
  const bool is_whole = n == state.size() && llama_memory_seq_pos_max(memory_, sequence.base) + 1 ==
                                                 static_cast<llama_pos>(n_tokens);
  if (!is_whole) {
    llama_memory_seq_rm(memory_, sequence.base, -1, -1);
    return false;
  }
  // Its cells lie behind those of all texts there are, as if it had been evaluated now.
  next_order_ += n_tokens;
  n_used_ += n_tokens;
  sequence.end_order = next_order_;
  sequence.n_committed = static_cast<llama_pos>(n_tokens);
  if (settings_.has_window) guard_window();
  return true;
}

// After a rewrite llama.cpp looks for free cells from the first one on, and in layers with a window
// it takes a cell that has left the window and carries a single id for free: the next tokens would
// lie before the text. A second id on every cell prevents that until the next pass has moved the
// search behind the text.
void TreeCache::guard_window() {
  for (const Sequence& sequence : sequences_) {
    if (sequence.is_open) llama_memory_seq_cp(memory_, sequence.base, guard_id_, -1, -1);
  }
  is_guarded_ = true;
}

void TreeCache::drop_guard() {
  if (is_guarded_) llama_memory_seq_rm(memory_, guard_id_, -1, -1);
  is_guarded_ = false;
}

}  // namespace gumbelspec::internal
