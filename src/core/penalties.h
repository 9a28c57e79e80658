// llama.cpp's penalties for tokens that the last part of a text has.
#ifndef GUMBELSPEC_CORE_PENALTIES_H_
#define GUMBELSPEC_CORE_PENALTIES_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "gumbelspec/sampling.h"

namespace gumbelspec {

[[nodiscard]] inline bool has_penalties(const SamplingOptions& o) {
  return o.penalty_last_n != 0 &&
         (o.repeat_penalty != 1.0F || o.presence_penalty != 0.0F || o.frequency_penalty != 0.0F);
}

// Where the last part begins.
[[nodiscard]] inline std::size_t first_penalised(const TextView& text, int last_n) {
  return last_n < 0 ? 0 : text.size() - std::min(text.size(), static_cast<std::size_t>(last_n));
}

// Adds up how often its tokens occur. Shape: counts [n_vocab].
inline void count_tokens(const TextView& text, std::size_t first, std::span<std::uint32_t> counts) {
  for (std::size_t i = first; i < text.size(); ++i) {
    if (index(text[i]) < counts.size()) ++counts[index(text[i])];
  }
}

// Requires: count > 0.
[[nodiscard]] inline float penalised(float weight, std::uint32_t count, const SamplingOptions& o) {
  weight = weight <= 0.0F ? weight * o.repeat_penalty : weight / o.repeat_penalty;
  return weight - (static_cast<float>(count) * o.frequency_penalty + o.presence_penalty);
}

}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_PENALTIES_H_
