#include "src/llama/branch_ids.h"

#include <algorithm>

namespace gumbelspec::internal {

BranchIds::BranchIds(llama_memory_t memory, llama_seq_id first, std::size_t n)
    : memory_(memory), first_(first), entries_(n), n_free_(n) {}

// Best an id that carries this text already, then an empty one, then any.
std::size_t BranchIds::pick(llama_seq_id base) const {
  std::size_t best = entries_.size();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    if (entries_[i].in_use) continue;
    if (entries_[i].base == base) return i;
    if (best == entries_.size() || (entries_[best].base >= 0 && entries_[i].base < 0)) best = i;
  }
  return best;
}

llama_seq_id BranchIds::acquire(llama_seq_id base, llama_pos n_committed) {
  const std::size_t i = pick(base);
  if (i == entries_.size()) return -1;
  const llama_seq_id id = first_ + static_cast<llama_seq_id>(i);
  Entry& entry = entries_[i];
  if (entry.base != base) {
    if (entry.n_carried > 0) llama_memory_seq_rm(memory_, id, -1, -1);
    entry.base = base;
    entry.n_carried = 0;
  }
  if (entry.n_carried < n_committed) {
    llama_memory_seq_cp(memory_, base, id, entry.n_carried, n_committed);
    entry.n_carried = n_committed;
  }
  entry.in_use = true;
  --n_free_;
  return id;
}

void BranchIds::release(llama_seq_id id, llama_pos n_kept) {
  Entry& entry = entries_[static_cast<std::size_t>(id - first_)];
  llama_memory_seq_rm(memory_, id, n_kept, -1);
  entry.n_carried = n_kept;
  entry.in_use = false;
  ++n_free_;
}

void BranchIds::truncate(llama_seq_id base, llama_pos n) {
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    Entry& entry = entries_[i];
    if (entry.base != base) continue;
    if (entry.n_carried > n) {
      llama_memory_seq_rm(memory_, first_ + static_cast<llama_seq_id>(i), n, -1);
      entry.n_carried = n;
    }
    if (n == 0) entry.base = -1;
  }
}

void BranchIds::forget_all() {
  std::fill(entries_.begin(), entries_.end(), Entry{});
  n_free_ = entries_.size();
}

}  // namespace gumbelspec::internal
