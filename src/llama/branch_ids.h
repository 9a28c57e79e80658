// llama.cpp's sequence ids besides the one of each sequence: one per extra branch end.
#ifndef GUMBELSPEC_SRC_LLAMA_BRANCH_IDS_H_
#define GUMBELSPEC_SRC_LLAMA_BRANCH_IDS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "llama.h"

namespace gumbelspec::internal {

// A branch id carries a sequence's committed text and a path below it. Marking every cell of the
// text again in each round would cost O(text) per branch, so an id that is given back keeps the
// text's cells, and acquire() only adds what was committed since.
class BranchIds {
 public:
  // Manages the ids [first, first + n). memory may not be used by others under these ids.
  BranchIds(llama_memory_t memory, llama_seq_id first, std::size_t n);

  // An id that carries exactly the first n_committed tokens of the sequence base.
  // Returns: -1 if all are in use. Cost: O(cells) and O(log) per token not carried yet.
  llama_seq_id acquire(llama_seq_id base, llama_pos n_committed);

  // Gives an id back; its cells from position n_kept on are dropped.
  // Requires: the first n_kept tokens are still committed text.
  void release(llama_seq_id id, llama_pos n_kept);

  // The text of base was cut to its first n tokens (0: it is closed). Requires: none in use.
  void truncate(llama_seq_id base, llama_pos n);

  // llama.cpp's memory was emptied of all branch ids. Requires: none in use.
  void forget_all();

  [[nodiscard]] std::size_t n_free() const { return n_free_; }

 private:
  struct Entry {
    llama_seq_id base = -1;   // whose text it carries; -1: nothing
    llama_pos n_carried = 0;  // how much of it
    bool in_use = false;
  };

  [[nodiscard]] std::size_t pick(llama_seq_id base) const;

  llama_memory_t memory_;
  llama_seq_id first_;
  std::vector<Entry> entries_;
  std::size_t n_free_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_BRANCH_IDS_H_
