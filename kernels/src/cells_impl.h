// Cells of the cache as floats.
//
// Everything here has internal linkage: the file is compiled once per instruction set.
#ifndef GUMBELSPEC_KERNELS_SRC_CELLS_IMPL_H_
#define GUMBELSPEC_KERNELS_SRC_CELLS_IMPL_H_

#include <immintrin.h>

#include <cmath>
#include <cstring>

#include "kernels/src/formats/q8_0.h"
#include "kernels/src/kernel_set.h"

namespace gumbelspec::kernels {
namespace {

constexpr int kCells = 16;  // cells per step
constexpr uint32_t kAllCells = 0xffff;

inline float half_bits_to_float(uint16_t h) {
  const uint32_t sign = static_cast<uint32_t>(h & 0x8000) << 16;
  const uint32_t exponent = (h >> 10) & 31, fraction = h & 1023;
  if (exponent == 0) {
    const float tiny = std::ldexp(static_cast<float>(fraction), -24);
    return sign != 0 ? -tiny : tiny;
  }
  const uint32_t bits =
      sign | (exponent == 31 ? 0x7f800000 : (exponent + 112) << 23) | (fraction << 13);
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// One cached row as floats; `padded` is n rounded up to the lanes, the rest is left zero.
template <class V>
inline void widen_row(ggml_type type, const uint8_t* src, int64_t n, float* dst) {
  constexpr int kLanes = V::kLanes;
  int64_t i = 0;
  switch (type) {
    case GGML_TYPE_F16:
      for (; i + kLanes <= n; i += kLanes) V::store(dst + i, V::load_half(src + 2 * i));
      for (; i < n; ++i) {
        uint16_t h;
        std::memcpy(&h, src + 2 * i, 2);
        dst[i] = half_bits_to_float(h);
      }
      return;
    case GGML_TYPE_BF16:
      for (; i + kLanes <= n; i += kLanes) V::store(dst + i, V::load_bf16(src + 2 * i));
      for (; i < n; ++i) {
        uint32_t bits = 0;
        std::memcpy(reinterpret_cast<uint8_t*>(&bits) + 2, src + 2 * i, 2);
        std::memcpy(dst + i, &bits, 4);
      }
      return;
    case GGML_TYPE_Q8_0:
      for (; i < n; i += kBlock) {
        FormatTraits<GGML_TYPE_Q8_0>::Block block;
        std::memcpy(&block, src + static_cast<size_t>(i / kBlock) * sizeof(block), sizeof(block));
        const typename V::Float d = V::set1(half_bits_to_float(block.d));
        for (int j = 0; j < kBlock; j += kLanes) {
          V::store(dst + i + j, V::mul(d, V::load_i8(block.q + j)));
        }
      }
      return;
    default:
      std::memcpy(dst, src, static_cast<size_t>(n) * 4);
  }
}

template <class V>
inline void widen_cells(ggml_type type, const uint8_t* base, size_t stride, int64_t n, int64_t row,
                        int64_t t, uint32_t any, float* cells) {
  for (uint32_t rest = any; rest != 0; rest &= rest - 1) {
    const int j = __builtin_ctz(rest);
    widen_row<V>(type, base + static_cast<size_t>(t * kCells + j) * stride, n, cells + j * row);
  }
}

// A head's part of the cells lies scattered (the heads of a cell are neighbours), which hides the
// pattern from the processor: name the lines of a later step.
inline void prefetch_cells(const AttentionJob& job, const uint8_t* base, size_t stride,
                           size_t row_bytes, int64_t t) {
  constexpr int64_t kAhead = 3;  // steps
  const int64_t first = (t + kAhead) * kCells;
  const int64_t last = first + kCells < job.n_cells ? first + kCells : job.n_cells;
  for (int64_t j = first; j < last; ++j) {
    const uint8_t* row = base + static_cast<size_t>(j) * stride;
    for (size_t i = 0; i < row_bytes; i += 64) __builtin_prefetch(row + i);
  }
}

// The cells of a step: element d and on of cell j. Both give the same floats.
template <class V>
struct FloatRows {  // widened
  const float* at;
  int64_t row;
  typename V::Float load(int64_t j, int64_t d) const { return V::load(at + j * row + d); }
};
template <class V>
struct HalfRows {  // in the cache itself
  const uint8_t* at;
  size_t stride;
  typename V::Float load(int64_t j, int64_t d) const {
    return V::load_half(at + static_cast<size_t>(j) * stride + 2 * d);
  }
};

// Largest magnitude of n halves (a multiple of 16), lane by lane; infinity if one is not a number.
// The magnitudes of halves are in the order of their bits: only the result is widened.
template <class V>
inline typename V::Float half_top(const uint8_t* src, int64_t n) {
  const __m256i magnitude = _mm256_set1_epi16(0x7fff);
  __m256i top = _mm256_setzero_si256();
  for (int64_t d = 0; d < n; d += 16) {
    const __m256i h = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(src + 2 * d));
    top = _mm256_max_epi16(top, _mm256_and_si256(h, magnitude));
  }
  top = _mm256_min_epi16(top, _mm256_set1_epi16(0x7c00));
  alignas(32) uint16_t lanes[16];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), top);
  typename V::Float widest = V::load_half(lanes);
  for (int i = V::kLanes; i < 16; i += V::kLanes) widest = V::max(widest, V::load_half(lanes + i));
  return widest;
}

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_CELLS_IMPL_H_
