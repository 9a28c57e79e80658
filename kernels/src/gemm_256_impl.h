// Matrix products with 256-bit registers: AVX-VNNI and plain AVX2 share everything but the dot
// product itself. A panel's sixteen rows are two halves of eight. Sums of a tile live in memory of
// the first-level cache between blocks: sixteen registers cannot hold them.
//
// As in gemm_avx512.cc, what is added to a column's sum does not depend on the tile.
#ifndef GUMBELSPEC_KERNELS_SRC_GEMM_256_IMPL_H_
#define GUMBELSPEC_KERNELS_SRC_GEMM_256_IMPL_H_

#include <immintrin.h>

#include <cstring>

#include "kernel_set.h"
#include "unroll.h"

namespace gumbelspec::kernels {
namespace {  // compiled once per instruction set

constexpr int kHalf = 8;    // rows in a register
constexpr int kAtOnce = 4;  // columns whose integer sums are in registers

inline __m256i load256(const uint8_t* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline int32_t word_at(const uint8_t* p) {
  int32_t word;
  std::memcpy(&word, p, 4);
  return word;
}
inline float float_at(const uint8_t* p) {
  float value;
  std::memcpy(&value, p, 4);
  return value;
}
inline __m256 load_half8(const uint8_t* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}
inline __m256 load_u8x8(const uint8_t* p) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}
inline __m256 load_i8x8(const uint8_t* p) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
}

// Codes of group g (four matrix columns), rows 8 * half and on, of block b.
template <WeightFormat F>
inline __m256i load_group(const uint8_t* panel, const PanelLayout& layout, int64_t b, int half,
                          int g) {
  if constexpr (F == WeightFormat::kQ8_0) {
    return load256(panel + b * 512 + g * 64 + half * 32);
  } else {
    const __m256i both = load256(panel + b * 256 + (g & 3) * 64 + half * 32);
    const __m256i nibble = _mm256_set1_epi8(15);
    __m256i w = g < 4 ? _mm256_and_si256(both, nibble)
                      : _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
    if constexpr (F == WeightFormat::kQ5_K) {
      const __m256i high = load256(panel + layout.high + b * 64 + half * 32);
      const __m256i h = g < 4 ? _mm256_slli_epi16(high, 4 - g) : _mm256_srli_epi16(high, g - 4);
      w = _mm256_or_si256(w, _mm256_and_si256(h, _mm256_set1_epi8(16)));
    }
    if constexpr (F == WeightFormat::kQ6_K) {
      const __m256i high = load256(panel + layout.high + b * 128 + (g >> 2) * 64 + half * 32);
      const int at = 2 * (g & 3);
      const __m256i h = at < 4 ? _mm256_slli_epi16(high, 4 - at) : _mm256_srli_epi16(high, at - 4);
      w = _mm256_or_si256(w, _mm256_and_si256(h, _mm256_set1_epi8(48)));
    }
    return w;
  }
}

// One block of one half panel for M columns, from `column` on of a tile of n.
template <class Dot, WeightFormat F, int M>
inline void half_block(const GemmJob& job, const uint8_t* panel, int64_t b, int half, int column,
                       float* sums) {
  using Record = RecordLayout;
  const auto n = static_cast<size_t>(job.n);
  const PanelLayout& layout = job.layout;
  const uint8_t* rec = job.tile + static_cast<size_t>(b) * Record::kBytes * n;
  const uint8_t* more = job.tile + static_cast<size_t>(layout.blocks) * Record::kBytes * n +
                        static_cast<size_t>(b) * extra::kBytes * n;
  const uint8_t* scales = panel + layout.scales + b * 32;
  const auto at = [&](const uint8_t* base, size_t field, int c) {
    return base + field * n + 4 * static_cast<size_t>(column + c);
  };
  const auto codes = [&](int c, int g) { return rec + kBlock * (column + c) + 4 * g; };
  const auto sum_at = [&](int c) { return sums + (column + c) * kPanelRows + half * kHalf; };
  constexpr bool kSix = F == WeightFormat::kQ6_K;

  __m256i acc[M];
  __m256 low[M];
  GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
    acc[c] = _mm256_setzero_si256();
    if constexpr (F == WeightFormat::kQ8_0) {
      acc[c] = _mm256_set1_epi32(word_at(at(rec, Record::kMinus128, c)));
    } else if constexpr (F == WeightFormat::kQ4_0) {
      acc[c] = _mm256_set1_epi32(word_at(at(rec, Record::kMinus128, c)) >> 4);
    } else if constexpr (kSix) {
      acc[c] = _mm256_set1_epi32(word_at(at(more, extra::kMinus32Low, c)));
    }
  }
  const auto load = [&](int g) { return load_group<F>(panel, layout, b, half, g); };
  if constexpr (kSix) {
    Dot::template run<F, 0, 4>(acc, load, codes);
    const __m256 d = _mm256_mul_ps(load_half8(panel + layout.super + (b >> 3) * 32 + half * 16),
                                   load_i8x8(scales + half * kHalf));
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      low[c] = _mm256_mul_ps(_mm256_cvtepi32_ps(acc[c]), d);
      acc[c] = _mm256_set1_epi32(word_at(at(more, extra::kMinus32High, c)));
    }
    Dot::template run<F, 4, 8>(acc, load, codes);
  } else {
    Dot::template run<F, 0, 8>(acc, load, codes);
  }
  if constexpr (F == WeightFormat::kQ8_0 || F == WeightFormat::kQ4_0) {
    const __m256 d = load_half8(scales + half * 16);
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      const __m256 s = _mm256_mul_ps(d, _mm256_set1_ps(float_at(at(rec, Record::kScale, c))));
      float* sum = sum_at(c);
      _mm256_storeu_ps(sum, _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[c]), s, _mm256_loadu_ps(sum)));
    }
  } else if constexpr (kSix) {
    const __m256 d = _mm256_mul_ps(load_half8(panel + layout.super + (b >> 3) * 32 + half * 16),
                                   load_i8x8(scales + 16 + half * kHalf));
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      const __m256 t = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[c]), d, low[c]);
      const __m256 s = _mm256_set1_ps(float_at(at(rec, Record::kScale, c)));
      float* sum = sum_at(c);
      _mm256_storeu_ps(sum, _mm256_fmadd_ps(t, s, _mm256_loadu_ps(sum)));
    }
  } else {
    const uint8_t* super = panel + layout.super + (b >> 3) * 64 + half * 16;
    const __m256 d = _mm256_mul_ps(load_half8(super), load_u8x8(scales + half * kHalf));
    const __m256 m = _mm256_mul_ps(load_half8(super + 32), load_u8x8(scales + 16 + half * kHalf));
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      const __m256 s = _mm256_mul_ps(d, _mm256_set1_ps(float_at(at(rec, Record::kScale, c))));
      float* sum = sum_at(c);
      const __m256 t = _mm256_fmadd_ps(_mm256_cvtepi32_ps(acc[c]), s, _mm256_loadu_ps(sum));
      _mm256_storeu_ps(sum,
                       _mm256_fnmadd_ps(m, _mm256_set1_ps(float_at(at(more, extra::kSum, c))), t));
    }
  }
}

template <class Dot, WeightFormat F>
void int_panels_256(const GemmJob& job, int64_t begin, int64_t end) {
  constexpr int kCodeBytes = F == WeightFormat::kQ8_0 ? 512 : 256;
  for (int64_t p = begin; p < end; ++p) {
    const uint8_t* panel = job.weights + static_cast<size_t>(p) * job.layout.bytes;
    alignas(32) float sums[kMaxTile * kPanelRows] = {};
    for (int64_t b = 0; b < job.layout.blocks; ++b) {
      if (job.prefetch) {
        for (int i = 0; i < kCodeBytes; i += 64) {
          _mm_prefetch(reinterpret_cast<const char*>(panel + b * kCodeBytes + i + 1024),
                       _MM_HINT_T0);
          _mm_prefetch(reinterpret_cast<const char*>(panel + b * kCodeBytes + i + 16384),
                       _MM_HINT_T2);
        }
      }
      for (int half = 0; half < 2; ++half) {
        int c = 0;
        for (; c + kAtOnce <= job.n; c += kAtOnce) {
          half_block<Dot, F, kAtOnce>(job, panel, b, half, c, sums);
        }
        switch (job.n - c) {
          case 3:
            half_block<Dot, F, 3>(job, panel, b, half, c, sums);
            break;
          case 2:
            half_block<Dot, F, 2>(job, panel, b, half, c, sums);
            break;
          case 1:
            half_block<Dot, F, 1>(job, panel, b, half, c, sums);
            break;
          default:
            break;
        }
      }
    }
    const int64_t row = p * kPanelRows;
    const int64_t rows = job.n_rows - row < kPanelRows ? job.n_rows - row : kPanelRows;
    for (int c = 0; c < job.n; ++c) {
      std::memcpy(job.out + c * job.out_stride + row, sums + c * kPanelRows,
                  static_cast<size_t>(rows) * 4);
    }
  }
}

// Matrix columns k and k + 1 of eight rows.
struct Pair {
  __m256 even, odd;
};
template <WeightFormat F>
inline Pair load_pair(const uint8_t* panel, int64_t k, int half) {
  if constexpr (F == WeightFormat::kF32) {
    const auto* at = reinterpret_cast<const float*>(panel + k * 64 + half * 32);
    return {_mm256_loadu_ps(at), _mm256_loadu_ps(at + kPanelRows)};
  } else if constexpr (F == WeightFormat::kF16) {
    return {load_half8(panel + k * 32 + half * 16), load_half8(panel + k * 32 + 32 + half * 16)};
  } else {
    const __m256i both = load256(panel + k * 32 + half * 32);
    return {_mm256_castsi256_ps(_mm256_slli_epi32(both, 16)),
            _mm256_castsi256_ps(
                _mm256_and_si256(both, _mm256_set1_epi32(static_cast<int>(0xffff0000))))};
  }
}

template <WeightFormat F, int M>
inline void float_half(const GemmJob& job, const uint8_t* panel, int half, int column,
                       float* sums) {
  __m256 even[M], odd[M];
  GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) even[c] = odd[c] = _mm256_setzero_ps();
  const auto n = static_cast<size_t>(job.n);
  constexpr bool kPacked = F == WeightFormat::kBF16;
  for (int64_t k = 0; k < job.k; k += 2) {
    const Pair w = load_pair<F>(panel, k, half);
    const uint8_t* x = job.tile + static_cast<size_t>(k / 2) * n * (kPacked ? 4 : 8);
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      const uint8_t* at = x + 4 * static_cast<size_t>(column + c);
      __m256 x0, x1;
      if constexpr (kPacked) {
        const __m256i both = _mm256_set1_epi32(word_at(at));
        x0 = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
        x1 = _mm256_castsi256_ps(
            _mm256_and_si256(both, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
      } else {
        x0 = _mm256_set1_ps(float_at(at));
        x1 = _mm256_set1_ps(float_at(at + 4 * n));
      }
      even[c] = _mm256_fmadd_ps(w.even, x0, even[c]);
      odd[c] = _mm256_fmadd_ps(w.odd, x1, odd[c]);
    }
  }
  GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
    _mm256_storeu_ps(sums + (column + c) * kPanelRows + half * kHalf,
                     _mm256_add_ps(even[c], odd[c]));
  }
}

template <WeightFormat F>
void float_panels_256(const GemmJob& job, int64_t begin, int64_t end) {
  for (int64_t p = begin; p < end; ++p) {
    const uint8_t* panel = job.weights + static_cast<size_t>(p) * job.layout.bytes;
    alignas(32) float sums[kMaxTile * kPanelRows];
    for (int half = 0; half < 2; ++half) {
      int c = 0;
      for (; c + 4 <= job.n; c += 4) float_half<F, 4>(job, panel, half, c, sums);
      switch (job.n - c) {
        case 3:
          float_half<F, 3>(job, panel, half, c, sums);
          break;
        case 2:
          float_half<F, 2>(job, panel, half, c, sums);
          break;
        case 1:
          float_half<F, 1>(job, panel, half, c, sums);
          break;
        default:
          break;
      }
    }
    const int64_t row = p * kPanelRows;
    const int64_t rows = job.n_rows - row < kPanelRows ? job.n_rows - row : kPanelRows;
    for (int c = 0; c < job.n; ++c) {
      std::memcpy(job.out + c * job.out_stride + row, sums + c * kPanelRows,
                  static_cast<size_t>(rows) * 4);
    }
  }
}

template <class Dot>
void gemm_256(const GemmJob& job, int64_t begin, int64_t end) {
  switch (job.format) {
    case WeightFormat::kQ8_0:
      return int_panels_256<Dot, WeightFormat::kQ8_0>(job, begin, end);
    case WeightFormat::kQ4_0:
      return int_panels_256<Dot, WeightFormat::kQ4_0>(job, begin, end);
    case WeightFormat::kQ4_K:
      return int_panels_256<Dot, WeightFormat::kQ4_K>(job, begin, end);
    case WeightFormat::kQ5_K:
      return int_panels_256<Dot, WeightFormat::kQ5_K>(job, begin, end);
    case WeightFormat::kQ6_K:
      return int_panels_256<Dot, WeightFormat::kQ6_K>(job, begin, end);
    case WeightFormat::kF16:
      return float_panels_256<WeightFormat::kF16>(job, begin, end);
    case WeightFormat::kBF16:
      return float_panels_256<WeightFormat::kBF16>(job, begin, end);
    case WeightFormat::kF32:
      return float_panels_256<WeightFormat::kF32>(job, begin, end);
  }
}

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_GEMM_256_IMPL_H_
