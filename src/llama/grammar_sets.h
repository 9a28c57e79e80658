// Lists of readings and returns as sets: what makes equal places and frames one object.
#ifndef GUMBELSPEC_SRC_LLAMA_GRAMMAR_SETS_H_
#define GUMBELSPEC_SRC_LLAMA_GRAMMAR_SETS_H_

#include <algorithm>
#include <cstdint>
#include <tuple>

#include "src/llama/grammar_states.h"

namespace gumbelspec::internal {

inline std::uint64_t mixed(std::uint64_t hash, std::uint64_t word) {
  hash = (hash ^ word) * 0x9E3779B97F4A7C15U;
  return hash ^ (hash >> 29U);
}

inline bool same(const GrammarReading& a, const GrammarReading& b) {
  return a.step == b.step && a.in_character == b.in_character && a.frame == b.frame;
}
inline bool same(const GrammarFrame::Return& a, const GrammarFrame::Return& b) {
  return a.step == b.step && a.frame == b.frame;
}

// Sorts by what the frames are, not where they are.
template <class List>
void make_set(List& list) {
  const auto key = [](const auto& item) {
    std::uint64_t in_character = 0;
    if constexpr (requires { item.in_character; }) in_character = item.in_character;
    return std::make_tuple(item.step, in_character, item.frame == nullptr ? 0 : item.frame->id);
  };
  std::sort(list.begin(), list.end(),
            [&](const auto& a, const auto& b) { return key(a) < key(b); });
  list.erase(std::unique(list.begin(), list.end(),
                         [](const auto& a, const auto& b) { return same(a, b); }),
             list.end());
}

template <class List>
bool same_lists(const List& a, const List& b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(),
                    [](const auto& x, const auto& y) { return same(x, y); });
}

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_GRAMMAR_SETS_H_
