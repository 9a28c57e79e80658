// Ranges of characters are split until each is a product of ranges of bytes, as in RE2 and Rust's
// utf8-ranges; states with the same edges are one.
#include "src/llama/byte_automaton.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace gumbelspec::internal {
namespace {

std::vector<std::uint8_t> bytes_of(std::uint32_t c) {
  const auto tail = [c](unsigned shift) {
    return static_cast<std::uint8_t>(0x80U | ((c >> shift) & 0x3FU));
  };
  if (c < 0x80) return {static_cast<std::uint8_t>(c)};
  if (c < 0x800) return {static_cast<std::uint8_t>(0xC0U | c >> 6U), tail(0)};
  if (c < 0x10000) return {static_cast<std::uint8_t>(0xE0U | c >> 12U), tail(6), tail(0)};
  return {static_cast<std::uint8_t>(0xF0U | c >> 18U), tail(12), tail(6), tail(0)};
}

}  // namespace

ByteAutomaton::ByteAutomaton(const CodePointSet& set) {
  states_.emplace_back();  // the beginning
  std::vector<ByteRanges> sequences;
  for (const CodePointRange& range : set) add_sequences(range, sequences);
  const std::uint16_t begin = state_of(std::move(sequences), 0);
  states_[0] = states_[begin];
}

void ByteAutomaton::add_sequences(CodePointRange range, std::vector<ByteRanges>& out) {
  constexpr std::uint32_t kLastOfLength[] = {0x7F, 0x7FF, 0xFFFF};
  for (const std::uint32_t last : kLastOfLength) {
    if (range.first > last || range.last <= last) continue;
    add_sequences({range.first, last}, out);
    add_sequences({last + 1, range.last}, out);
    return;
  }
  // All last bytes below a prefix, or a single prefix.
  for (unsigned shift = 6; shift <= 18 && range.last > 0x7F; shift += 6) {
    const std::uint32_t mask = (1U << shift) - 1;
    if ((range.first & ~mask) == (range.last & ~mask)) continue;
    if ((range.first & mask) != 0) {
      add_sequences({range.first, range.first | mask}, out);
      add_sequences({(range.first | mask) + 1, range.last}, out);
      return;
    }
    if ((range.last & mask) != mask) {
      add_sequences({range.first, (range.last & ~mask) - 1}, out);
      add_sequences({range.last & ~mask, range.last}, out);
      return;
    }
  }
  const std::vector<std::uint8_t> first = bytes_of(range.first);
  const std::vector<std::uint8_t> last = bytes_of(range.last);
  ByteRanges sequence;
  for (std::size_t i = 0; i < first.size(); ++i) sequence.push_back({first[i], last[i]});
  out.push_back(std::move(sequence));
}

// Sequences come sorted, and their ranges at a depth are equal or disjoint.
std::uint16_t ByteAutomaton::state_of(std::vector<ByteRanges> sequences, std::size_t depth) {
  std::vector<Edge> edges;
  for (std::size_t i = 0; i < sequences.size();) {
    const ByteRange range = sequences[i][depth];
    if (sequences[i].size() == depth + 1) {
      edges.push_back({range.first, range.last, kDone});
      ++i;
      continue;
    }
    std::vector<ByteRanges> below;
    for (; i < sequences.size() && sequences[i][depth].first == range.first; ++i) {
      below.push_back(sequences[i]);
    }
    edges.push_back({range.first, range.last, state_of(std::move(below), depth + 1)});
  }
  const auto found = known_.find(edges);
  if (found != known_.end()) return found->second;
  if (states_.size() >= kNone) throw std::logic_error("a set of characters with too many states");
  const auto id = static_cast<std::uint16_t>(states_.size());
  known_.emplace(edges, id);
  states_.push_back(std::move(edges));
  return id;
}

std::uint16_t ByteAutomaton::next(std::uint16_t state, std::uint8_t byte) const {
  const std::vector<Edge>& edges = states_[state];
  const auto at = std::upper_bound(edges.begin(), edges.end(), byte,
                                   [](std::uint8_t b, const Edge& edge) { return b < edge.first; });
  if (at == edges.begin() || (at - 1)->last < byte) return kNone;
  return (at - 1)->to;
}

}  // namespace gumbelspec::internal
