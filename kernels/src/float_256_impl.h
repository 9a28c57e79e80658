// Products of F16, BF16 and F32 weights with 256-bit registers.
//
// Matrix columns go in pairs, as the activations lie; the even ones and the odd ones have a sum
// each, which are added at the end. A piece of a panel is widened to floats once per tile, into
// scratch memory, where the even and the odd columns lie apart: then up to four columns of the
// batch have all sixteen rows of one of the two sums in registers.
#ifndef GUMBELSPEC_KERNELS_SRC_FLOAT_256_IMPL_H_
#define GUMBELSPEC_KERNELS_SRC_FLOAT_256_IMPL_H_

#include <immintrin.h>

#include "kernel_set.h"
#include "unroll.h"
#include "vector_256.h"

namespace gumbelspec::kernels {
namespace {  // compiled once per instruction set

constexpr int64_t kPiece = 32;    // pairs of columns that are widened at a time
constexpr int kFloatColumns = 4;  // of the batch, whose sums are in registers

// Bits of a BF16 pair as two floats.
inline __m256 even_of(__m256i both) { return _mm256_castsi256_ps(_mm256_slli_epi32(both, 16)); }
inline __m256 odd_of(__m256i both) {
  return _mm256_castsi256_ps(
      _mm256_and_si256(both, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
}

// Pair `pair` of the matrix' columns, rows 8 * half and on; kOdd: which of the two.
template <WeightFormat F, bool kOdd>
inline __m256 load_weights(const uint8_t* panel, int64_t pair, int half) {
  if constexpr (F == WeightFormat::kF32) {
    const uint8_t* at = panel + (2 * pair + kOdd) * 64 + half * 32;
    return _mm256_loadu_ps(reinterpret_cast<const float*>(at));
  } else if constexpr (F == WeightFormat::kF16) {
    return load_half8(panel + (2 * pair + kOdd) * 32 + half * 16);
  } else {
    const __m256i both = load256(panel + pair * 64 + half * 32);
    return kOdd ? odd_of(both) : even_of(both);
  }
}

// The activations of a tile of n columns, from `column` on.
template <WeightFormat F>
struct FloatColumns {
  const uint8_t* at;
  int64_t n;
  static constexpr bool kPacked = F == WeightFormat::kBF16;

  FloatColumns(const GemmJob& job, int column) : at(job.tile + 4 * column), n(job.n) {}
  template <bool kOdd>
  __m256 load(int64_t pair, int c) const {
    if constexpr (kPacked) {
      const __m256i both = _mm256_set1_epi32(word_at(at + pair * n * 4 + 4 * c));
      return kOdd ? odd_of(both) : even_of(both);
    } else {
      return _mm256_set1_ps(float_at(at + pair * n * 8 + (kOdd ? 4 * n : 0) + 4 * c));
    }
  }
};

// One or two columns, straight from the panel: sums [2][M][kPanelRows], even and odd.
template <WeightFormat F, int M>
inline void float_direct(const GemmJob& job, const uint8_t* panel, float* sums) {
  const FloatColumns<F> x(job, 0);
  __m256 even[2][M], odd[2][M];
  GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
    even[0][c] = even[1][c] = odd[0][c] = odd[1][c] = _mm256_setzero_ps();
  }
  constexpr int kPairBytes = F == WeightFormat::kF32 ? 128 : 64;
  for (int64_t pair = 0; 2 * pair < job.k; ++pair) {
    if (job.prefetch) prefetch_256<kPairBytes>(panel + pair * kPairBytes);
    GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
      const __m256 w0 = load_weights<F, false>(panel, pair, half);
      const __m256 w1 = load_weights<F, true>(panel, pair, half);
      GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
        even[half][c] = _mm256_fmadd_ps(w0, x.template load<false>(pair, c), even[half][c]);
        odd[half][c] = _mm256_fmadd_ps(w1, x.template load<true>(pair, c), odd[half][c]);
      }
    }
  }
  GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
    GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
      _mm256_storeu_ps(sums + c * kPanelRows + half * kHalf,
                       _mm256_add_ps(even[half][c], odd[half][c]));
    }
  }
}

// Adds the even or the odd columns of a piece, widened in `w` ([pairs][kPanelRows]), to the sums of
// M columns of the batch.
template <WeightFormat F, bool kOdd, int M>
inline void float_step(const FloatColumns<F>& x, int64_t first, int64_t last, const float* w,
                       float* sums) {
  __m256 acc[2][M];
  GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
    acc[0][c] = _mm256_load_ps(sums + c * kPanelRows);
    acc[1][c] = _mm256_load_ps(sums + c * kPanelRows + kHalf);
  }
  for (int64_t pair = first; pair < last; ++pair, w += kPanelRows) {
    const __m256 w0 = _mm256_load_ps(w), w1 = _mm256_load_ps(w + kHalf);
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      const __m256 value = x.template load<kOdd>(pair, c);
      acc[0][c] = _mm256_fmadd_ps(w0, value, acc[0][c]);
      acc[1][c] = _mm256_fmadd_ps(w1, value, acc[1][c]);
    }
  }
  GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
    _mm256_store_ps(sums + c * kPanelRows, acc[0][c]);
    _mm256_store_ps(sums + c * kPanelRows + kHalf, acc[1][c]);
  }
}

template <WeightFormat F, bool kOdd>
inline void float_group(int m, const FloatColumns<F>& x, int64_t first, int64_t last,
                        const float* w, float* sums) {
  switch (m) {
    case 1:
      return float_step<F, kOdd, 1>(x, first, last, w, sums);
    case 2:
      return float_step<F, kOdd, 2>(x, first, last, w, sums);
    case 3:
      return float_step<F, kOdd, 3>(x, first, last, w, sums);
    default:
      return float_step<F, kOdd, 4>(x, first, last, w, sums);
  }
}

// All columns of a tile: sums [2][kMaxTile][kPanelRows], even and odd.
template <WeightFormat F>
inline void float_pieces(const GemmJob& job, const uint8_t* panel, float* sums) {
  constexpr int kPairBytes = F == WeightFormat::kF32 ? 128 : 64;
  alignas(64) float wide[2][kPiece * kPanelRows];
  const ColumnGroups groups(job.n, kFloatColumns);
  const int64_t pairs = (job.k + 1) / 2;
  std::memset(sums, 0, 2 * kMaxTile * kPanelRows * sizeof(float));
  for (int64_t first = 0; first < pairs; first += kPiece) {
    const int64_t last = first + kPiece < pairs ? first + kPiece : pairs;
    for (int64_t pair = first; pair < last; ++pair) {
      if (job.prefetch) prefetch_256<kPairBytes>(panel + pair * kPairBytes);
      GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
        const int64_t at = (pair - first) * kPanelRows + half * kHalf;
        _mm256_store_ps(wide[0] + at, load_weights<F, false>(panel, pair, half));
        _mm256_store_ps(wide[1] + at, load_weights<F, true>(panel, pair, half));
      }
    }
    for (int i = 0; i < groups.count; ++i) {
      const int c = groups.first(i), m = groups.width(i);
      const FloatColumns<F> x(job, c);
      float* at = sums + c * kPanelRows;
      float_group<F, false>(m, x, first, last, wide[0], at);
      float_group<F, true>(m, x, first, last, wide[1], at + kMaxTile * kPanelRows);
    }
  }
  for (int64_t i = 0; i < job.n * kPanelRows; ++i) sums[i] += sums[kMaxTile * kPanelRows + i];
}

template <WeightFormat F>
void float_panels_256(const GemmJob& job, int64_t begin, int64_t end) {
  alignas(64) float sums[2 * kMaxTile * kPanelRows];
  for (int64_t p = begin; p < end; ++p) {
    const uint8_t* panel = job.weights + static_cast<size_t>(p) * job.layout.bytes;
    if (job.n == 1) {
      float_direct<F, 1>(job, panel, sums);
    } else if (job.n == 2) {
      float_direct<F, 2>(job, panel, sums);
    } else {
      float_pieces<F>(job, panel, sums);
    }
    store_panel(job, p, sums);
  }
}

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FLOAT_256_IMPL_H_
