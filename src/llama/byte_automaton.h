// Sets of characters as automata over the bytes of UTF-8.
#ifndef GUMBELSPEC_SRC_LLAMA_BYTE_AUTOMATON_H_
#define GUMBELSPEC_SRC_LLAMA_BYTE_AUTOMATON_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "src/llama/gbnf.h"

namespace gumbelspec::internal {

// Reads one character of the set, and nothing that is not well-formed.
class ByteAutomaton {
 public:
  static constexpr std::uint16_t kDone = 0xFFFF;  // the character is whole
  static constexpr std::uint16_t kNone = 0xFFFE;  // it is none of the set
  struct Edge {
    std::uint8_t first = 0;
    std::uint8_t last = 0;  // inclusive
    std::uint16_t to = 0;   // a state, or kDone
    bool operator<(const Edge& other) const {
      return first != other.first ? first < other.first
             : last != other.last ? last < other.last
                                  : to < other.to;
    }
  };

  explicit ByteAutomaton(const CodePointSet& set);

  // State 0 is the beginning.
  [[nodiscard]] std::uint16_t next(std::uint16_t state, std::uint8_t byte) const;
  [[nodiscard]] const std::vector<std::vector<Edge>>& states() const { return states_; }

 private:
  struct ByteRange {
    std::uint8_t first = 0;
    std::uint8_t last = 0;
  };
  using ByteRanges = std::vector<ByteRange>;  // of the bytes of some characters

  static void add_sequences(CodePointRange range, std::vector<ByteRanges>& out);
  std::uint16_t state_of(std::vector<ByteRanges> sequences, std::size_t depth);

  std::vector<std::vector<Edge>> states_;
  std::map<std::vector<Edge>, std::uint16_t> known_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_BYTE_AUTOMATON_H_
