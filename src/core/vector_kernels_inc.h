// The body of the wide versions. Included by vector_kernels_avx2.cc and _avx512.cc, after these
// have defined Wide: the vector types, their number of lanes and a multiplication.
//   Wide::F, U, I     kLanes 32-bit lanes: float, unsigned, signed
//   Wide::U64         kLanes / 2 64-bit lanes
//   Wide::to_float, word_to_float, fma   as ScalarLanes has them
//   Wide::multiply    U64 x U64 -> U64, of the lower halves of the lanes
//   Wide::any_below   whether a word is below a limit
//   Wide::largest     the largest of the lanes, none of which is NaN
//   Wide::first_tokens, last_tokens   the words of the blocks in the order of the tokens
#ifndef GUMBELSPEC_CORE_VECTOR_KERNELS_INC_H_
#define GUMBELSPEC_CORE_VECTOR_KERNELS_INC_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "src/core/gumbel_math.h"
#include "src/core/softmax_math.h"
#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

constexpr std::size_t kLanes = Wide::kLanes;

// Unaligned loads and stores that the compiler turns into one instruction.
template <class V>
inline V load(const float* p) {
  V v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
template <class V>
inline void store(const V& v, float* p) {
  __builtin_memcpy(p, &v, sizeof v);
}

struct WordPair {
  Wide::U first, second;  // kLanes tokens each
};

// The words of the 2 kLanes tokens from 4 * first_block on. Each 64-bit lane computes one block;
// the upper half of a lane is left with garbage, which the multiplication ignores.
// Source: Philox4x32-10, Salmon et al., SC 2011 (constants and key schedule).
inline WordPair philox_words(NoiseKey key, Position position, std::uint32_t first_block) {
  using U64 = Wide::U64;
  constexpr std::uint64_t kMultiplier0 = 0xD2511F53U;
  constexpr std::uint64_t kMultiplier1 = 0xCD9E8D57U;
  U64 c0 = Wide::lane_numbers() + first_block;
  U64 c1 = U64{} + position;
  U64 c2 = U64{} + key.stream;
  U64 c3 = U64{} + 2 * key.use;
  auto k0 = static_cast<std::uint32_t>(key.seed);
  auto k1 = static_cast<std::uint32_t>(key.seed >> 32U);
  for (int round = 0; round < 10; ++round) {
    const U64 p0 = Wide::multiply(c0, U64{} + kMultiplier0);
    const U64 p1 = Wide::multiply(c2, U64{} + kMultiplier1);
    c0 = (p1 >> 32U) ^ c1 ^ k0;
    c1 = p1;
    c2 = (p0 >> 32U) ^ c3 ^ k1;
    c3 = p0;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  constexpr std::uint64_t kLow = 0xFFFFFFFFU;
  const U64 words01 = (c0 & kLow) | (c1 << 32U);
  const U64 words23 = (c2 & kLow) | (c3 << 32U);
  return {Wide::first_tokens(words01, words23), Wide::last_tokens(words01, words23)};
}

// Writes the noise of kLanes tokens; the few of the tail one by one.
inline void noise_of_words(NoiseKey key, Position position, std::uint32_t first_token,
                           const Wide::U& words, float* out) {
  store(gumbel_of_word<Wide>(words), out);
  if (!Wide::any_below(words, kTailBelow)) return;
  for (std::uint32_t i = 0; i < kLanes; ++i) {
    if (words[i] < kTailBelow) out[i] = tail_noise(key, position, first_token + i, words[i]);
  }
}

void fill_wide(NoiseKey key, Position position, float* out, std::size_t n) {
  constexpr std::size_t kStep = 2 * kLanes;
  float rest[kStep];
  for (std::size_t first = 0; first < n; first += kStep) {
    const auto token = static_cast<std::uint32_t>(first);
    const bool is_whole = first + kStep <= n;
    float* to = is_whole ? out + first : rest;
    const WordPair words = philox_words(key, position, token / 4);
    noise_of_words(key, position, token, words.first, to);
    noise_of_words(key, position, token + kLanes, words.second, to + kLanes);
    if (!is_whole) __builtin_memcpy(out + first, rest, (n - first) * sizeof(float));
  }
}

float max_wide(const float* a, const float* b, std::size_t n) {
  using F = Wide::F;
  constexpr float kLowest = -std::numeric_limits<float>::infinity();
  // Four independent maxima hide the latency of the comparison.
  F best[4] = {F{} + kLowest, F{} + kLowest, F{} + kLowest, F{} + kLowest};
  std::size_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes) {
    for (std::size_t j = 0; j < 4; ++j) {
      const F x = load<F>(a + i + j * kLanes);
      const F sum = b == nullptr ? x : x + load<F>(b + i + j * kLanes);
      best[j] = sum > best[j] ? sum : best[j];
    }
  }
  best[0] = best[1] > best[0] ? best[1] : best[0];
  best[2] = best[3] > best[2] ? best[3] : best[2];
  float result = Wide::largest(best[2] > best[0] ? best[2] : best[0]);
  for (; i < n; ++i) {
    const float sum = b == nullptr ? a[i] : a[i] + b[i];
    result = sum > result ? sum : result;
  }
  return result;
}

void softmax_sums_wide(const float* a, const float* b, float largest, float inverse_tau,
                       std::size_t n, float* out) {
  softmax_sums_of<Wide, kLanes>(a, b, largest, inverse_tau, n, out);
}

void scale_wide(const float* in, float factor, float* out, std::size_t n) {
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(load<Wide::F>(in + i) * factor, out + i);
  for (; i < n; ++i) out[i] = in[i] * factor;
}

}  // namespace
}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_VECTOR_KERNELS_INC_H_
