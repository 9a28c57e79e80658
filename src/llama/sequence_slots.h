// The sequences of a cache by their ids, of which some are open.
#ifndef GUMBELSPEC_SRC_LLAMA_SEQUENCE_SLOTS_H_
#define GUMBELSPEC_SRC_LLAMA_SEQUENCE_SLOTS_H_

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include "gumbelspec/types.h"

namespace gumbelspec::internal {

// Sequence: a struct with `bool is_open`, which is false at first.
template <class Sequence>
class SequenceSlots {
 public:
  explicit SequenceSlots(std::size_t n) : sequences_(n) {}

  // The first one that is not open is from now on. Throws: std::logic_error where all are.
  SeqId open() {
    const auto free = std::find_if(sequences_.begin(), sequences_.end(),
                                   [](const Sequence& sequence) { return !sequence.is_open; });
    if (free == sequences_.end()) {
      throw std::logic_error("all " + std::to_string(size()) +
                             " sequences are open; close one or load with a larger n_sequences");
    }
    free->is_open = true;
    return static_cast<SeqId>(free - sequences_.begin());
  }
  // Requires: it is open. Throws: std::logic_error.
  [[nodiscard]] Sequence& at(SeqId seq) { return sequences_[open_index(seq)]; }
  [[nodiscard]] const Sequence& at(SeqId seq) const { return sequences_[open_index(seq)]; }
  // Whether no other one is open.
  [[nodiscard]] bool is_alone(const Sequence& sequence) const {
    return std::all_of(sequences_.begin(), sequences_.end(), [&](const Sequence& other) {
      return !other.is_open || &other == &sequence;
    });
  }

  // All of them, open or not.
  [[nodiscard]] std::size_t size() const { return sequences_.size(); }
  [[nodiscard]] auto begin() { return sequences_.begin(); }
  [[nodiscard]] auto end() { return sequences_.end(); }
  [[nodiscard]] auto begin() const { return sequences_.begin(); }
  [[nodiscard]] auto end() const { return sequences_.end(); }

 private:
  [[nodiscard]] std::size_t open_index(SeqId seq) const {
    if (index(seq) < size() && sequences_[index(seq)].is_open) return index(seq);
    throw std::logic_error("sequence " + std::to_string(static_cast<int>(seq)) + " is not open");
  }

  std::vector<Sequence> sequences_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_SEQUENCE_SLOTS_H_
