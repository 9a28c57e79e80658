// Products of F16, BF16 and F32 weights with 256-bit registers.
//
// A piece of the matrix' columns is summed up from zero, in one chain per output, and then added to
// the sum of the pieces before it: chains stay short, so sums are more exact than with one chain,
// or two, and up to four columns of the batch have all sixteen rows in registers. When there are
// more, the piece is widened to floats only once, into scratch memory.
#ifndef GUMBELSPEC_KERNELS_SRC_FLOAT_256_IMPL_H_
#define GUMBELSPEC_KERNELS_SRC_FLOAT_256_IMPL_H_

#include <immintrin.h>

#include "kernels/src/formats.h"
#include "kernels/src/kernel_set.h"
#include "kernels/src/simd_avx2.h"
#include "kernels/src/unroll.h"
#include "kernels/src/vector_256.h"

namespace gumbelspec::kernels {
namespace {  // compiled once per instruction set

constexpr int64_t kPiece = 32;    // pairs of matrix columns that are summed up at a time
constexpr int kFloatColumns = 4;  // of the batch, whose sums are in registers

// Bits of a BF16 pair as two floats.
inline __m256 even_of(__m256i both) { return _mm256_castsi256_ps(_mm256_slli_epi32(both, 16)); }
inline __m256 odd_of(__m256i both) {
  return _mm256_castsi256_ps(
      _mm256_and_si256(both, _mm256_set1_epi32(static_cast<int>(0xffff0000))));
}

// Where a product takes its weights from: rows 8 * half and on of the pair-th pair of matrix
// columns; kOdd: which of the two.
template <class Format>
struct PackedWeights {
  const uint8_t* panel;

  template <bool kOdd>
  __m256 load(int64_t pair, int half) const {
    if constexpr (Format::kPairs) {
      const __m256i both = load256(panel + pair * 64 + half * 32);
      return kOdd ? odd_of(both) : even_of(both);
    } else {
      const int64_t column = 2 * pair + (kOdd ? 1 : 0);
      return Format::template load<Avx2>(panel + (column * kPanelRows + half * kHalf) *
                                                     Format::kElementBytes);
    }
  }
};
struct WideWeights {  // a piece, as floats
  const float* at;
  int64_t first;  // pair

  template <bool kOdd>
  __m256 load(int64_t pair, int half) const {
    return _mm256_load_ps(at + (2 * (pair - first) + (kOdd ? 1 : 0)) * kPanelRows + half * kHalf);
  }
};

// The activations of a tile of n columns, from `column` on.
template <class Format>
struct FloatColumns {
  const uint8_t* at;
  int64_t n;
  FloatColumns(const GemmJob& job, int column) : at(job.tile + 4 * column), n(job.n) {}
  struct Pair {
    __m256 even, odd;
  };
  Pair load(int64_t pair, int c) const {
    if constexpr (Format::kPairs) {
      const __m256i both = _mm256_set1_epi32(word_at(at + pair * n * 4 + 4 * c));
      return {even_of(both), odd_of(both)};
    } else {
      const uint8_t* from = at + pair * n * 8 + 4 * c;
      return {_mm256_set1_ps(float_at(from)), _mm256_set1_ps(float_at(from + 4 * n))};
    }
  }
};

// Adds a piece, pairs [first, last), to the sums of kM columns of the batch, [kM][kPanelRows].
template <class Format, int kM, class Weights>
inline void float_step(const Weights& w, const FloatColumns<Format>& x, int64_t first, int64_t last,
                       float* sums) {
  __m256 acc[2][kM];
  GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) acc[0][c] = acc[1][c] = _mm256_setzero_ps();
  for (int64_t pair = first; pair < last; ++pair) {
    const __m256 even[2] = {w.template load<false>(pair, 0), w.template load<false>(pair, 1)};
    const __m256 odd[2] = {w.template load<true>(pair, 0), w.template load<true>(pair, 1)};
    GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
      const auto value = x.load(pair, c);
      GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
        acc[half][c] = _mm256_fmadd_ps(even[half], value.even, acc[half][c]);
        acc[half][c] = _mm256_fmadd_ps(odd[half], value.odd, acc[half][c]);
      }
    }
  }
  GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
    GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
      float* sum = sums + c * kPanelRows + half * kHalf;
      _mm256_store_ps(sum, _mm256_add_ps(_mm256_load_ps(sum), acc[half][c]));
    }
  }
}

// The same for m columns, from `column` on.
template <class Format, class Weights>
inline void float_group(const Weights& w, const GemmJob& job, int64_t first, int column, int m,
                        float* sums) {
  const FloatColumns<Format> x(job, column);
  const int64_t pairs = (job.k + 1) / 2;
  const int64_t last = first + kPiece < pairs ? first + kPiece : pairs;
  float* at = sums + column * kPanelRows;
  switch (m) {
    case 1:
      return float_step<Format, 1>(w, x, first, last, at);
    case 2:
      return float_step<Format, 2>(w, x, first, last, at);
    case 3:
      return float_step<Format, 3>(w, x, first, last, at);
    default:
      return float_step<Format, 4>(w, x, first, last, at);
  }
}

template <class Format>
inline void widen_piece(const PackedWeights<Format>& from, int64_t first, int64_t last, float* to) {
  for (int64_t pair = first; pair < last; ++pair, to += 2 * kPanelRows) {
    GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
      _mm256_store_ps(to + half * kHalf, from.template load<false>(pair, half));
      _mm256_store_ps(to + kPanelRows + half * kHalf, from.template load<true>(pair, half));
    }
  }
}

template <class Format>
void float_panels_256(const GemmJob& job, int64_t begin, int64_t end) {
  constexpr auto kPairBytes = static_cast<int>(2 * kPanelRows * Format::kElementBytes);
  alignas(64) float wide[2 * kPiece * kPanelRows];
  alignas(64) float sums[kMaxTile * kPanelRows];
  const ColumnGroups groups(job.n, kFloatColumns);
  const int64_t pairs = (job.k + 1) / 2;
  // Worth it from the second use on; F32 is wide as it is.
  const bool widen = groups.count > 1 && Format::kElementBytes < 4;
  for (int64_t p = begin; p < end; ++p) {
    const PackedWeights<Format> packed = {job.weights + static_cast<size_t>(p) * job.layout.bytes};
    std::memset(sums, 0, static_cast<size_t>(job.n) * kPanelRows * sizeof(float));
    for (int64_t first = 0; first < pairs; first += kPiece) {
      if (job.prefetch) prefetch_256<kPiece * kPairBytes>(packed.panel + first * kPairBytes);
      if (widen) {
        widen_piece(packed, first, first + kPiece < pairs ? first + kPiece : pairs, wide);
      }
      for (int i = 0; i < groups.count; ++i) {
        if (widen) {
          float_group<Format>(WideWeights{wide, first}, job, first, groups.first(i),
                              groups.width(i), sums);
        } else {
          float_group<Format>(packed, job, first, groups.first(i), groups.width(i), sums);
        }
      }
    }
    store_panel(job, p, sums);
  }
}

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FLOAT_256_IMPL_H_
