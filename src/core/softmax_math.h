// Sums over a softmax, written once for a number and for vectors of numbers. As gumbel_math.h, and
// for its reasons: the same operations in the same order on every instruction set, and everything
// here has internal linkage.
#ifndef GUMBELSPEC_CORE_SOFTMAX_MATH_H_
#define GUMBELSPEC_CORE_SOFTMAX_MATH_H_

#include <cstddef>
#include <cstdint>
#include <limits>

#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

// exp(x) for x in [-87, 0]. Relative error about 1e-7.
// Source: the polynomial of expf in the Cephes library (S. Moshier).
template <class L>
inline typename L::F exp_of_negative(typename L::F x) {
  using F = typename L::F;
  using U = typename L::U;
  constexpr float kToInteger = 12582912.0F;  // 1.5 * 2^23: adding it leaves the nearest integer
  const F shifted = L::fma(x, F{} + 1.44269504F, F{} + kToInteger);
  const F k = shifted - kToInteger;
  F r = L::fma(k, F{} - 0.693359375F, x);
  r = L::fma(k, F{} + 2.12194440e-4F, r);
  F y = L::fma(F{} + 1.9875691500e-4F, r, F{} + 1.3981999507e-3F);
  y = L::fma(y, r, F{} + 8.3334519073e-3F);
  y = L::fma(y, r, F{} + 4.1665795894e-2F);
  y = L::fma(y, r, F{} + 1.6666665459e-1F);
  y = L::fma(y, r, F{} + 5.0000001201e-1F);
  y = L::fma(y, r * r, r) + 1.0F;
  const U exponent = __builtin_bit_cast(U, shifted) - 0x4B400000U + 127U;
  return y * __builtin_bit_cast(F, exponent << 23U);
}

// See VectorKernels::softmax_sums. kLanes: of a vector; the sums are kept in 16 lanes in any case.
template <class L, std::size_t kLanes>
inline void softmax_sums_of(const ScoreSpan& scores, const SoftmaxRange& range, float* out) {
  using F = typename L::F;
  constexpr std::size_t kAll = 16;
  constexpr std::size_t kVectors = kAll / kLanes;
  const F least = F{} - 16.0F;
  const F zero = F{};
  F sums[3][kVectors] = {};
  const auto add = [&](const float* from_a, const float* from_b) {
    for (std::size_t j = 0; j < kVectors; ++j) {
      F score;
      __builtin_memcpy(&score, from_a + j * kLanes, sizeof score);
      score = score * scores.factor;
      if (from_b != nullptr) {
        F more;
        __builtin_memcpy(&more, from_b + j * kLanes, sizeof more);
        score = score + more;
      }
      const F x = (score - range.largest) * range.inverse_tau;
      if (!L::any_above(x, least)) continue;   // as nearly always: they would add zeros
      const F inside = x > least ? x : least;  // also for what is not a number
      const F weight = x > least ? exp_of_negative<L>(inside) : zero;
      const F first = weight * inside;
      sums[0][j] = sums[0][j] + weight;
      sums[1][j] = sums[1][j] + first;
      sums[2][j] = L::fma(first, inside, sums[2][j]);
    }
  };
  const float* const a = scores.a;
  const float* const b = scores.b;
  const std::size_t n = scores.n;
  const std::size_t block = range.maxima == nullptr ? n : range.block;
  for (std::size_t begin = 0, j = 0; begin < n; begin += block, ++j) {
    // Every score of the block gives at most as much as its largest one, whatever is rounded.
    if (range.maxima != nullptr &&
        !((range.maxima[j] - range.largest) * range.inverse_tau > -16.0F)) {
      continue;
    }
    const std::size_t end = begin + block < n ? begin + block : n;
    std::size_t i = begin;
    for (; i + kAll <= end; i += kAll) add(a + i, b == nullptr ? nullptr : b + i);
    if (i == end) continue;
    float rest[2][kAll] = {};
    for (float& score : rest[0]) score = -std::numeric_limits<float>::infinity();
    __builtin_memcpy(rest[0], a + i, (end - i) * sizeof(float));
    if (b != nullptr) __builtin_memcpy(rest[1], b + i, (end - i) * sizeof(float));
    add(rest[0], rest[1]);
  }
  for (std::size_t s = 0; s < 3; ++s) {
    float lanes[kAll];
    __builtin_memcpy(lanes, sums[s], sizeof lanes);
    out[s] = 0.0F;
    for (const float lane : lanes) out[s] += lane;
  }
}

}  // namespace
}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_SOFTMAX_MATH_H_
