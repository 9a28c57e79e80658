// Matrix products with 256-bit registers: AVX-VNNI and plain AVX2 share everything but the dot
// product itself.
//
// A panel's sixteen rows are two registers. The codes of a block are unpacked once per tile, into
// scratch memory of the first-level cache; then up to four columns at a time keep their integer
// sums of all sixteen rows in registers, so that a broadcast activation is used twice. The float
// sums of a tile live in memory between blocks: one load and one store per 256 multiply-adds.
//
// As in gemm_avx512.cc, what is added to a column's sum does not depend on the tile.
#ifndef GUMBELSPEC_KERNELS_SRC_GEMM_256_IMPL_H_
#define GUMBELSPEC_KERNELS_SRC_GEMM_256_IMPL_H_

#include <immintrin.h>

#include "float_256_impl.h"
#include "kernel_set.h"
#include "unroll.h"
#include "vector_256.h"

namespace gumbelspec::kernels {
namespace {  // compiled once per instruction set

constexpr int kGroups = 8;      // of four columns, in a block
constexpr int kIntColumns = 4;  // of the batch, whose sums are in registers

// Integer sums of M columns: rows 0-7 and rows 8-15.
template <int M>
struct Sums {
  __m256i half[2][M];
};

// Where a dot product takes the codes of a block from: group g of rows 8 * half and on.
template <WeightFormat F>
struct PackedCodes {
  const uint8_t* codes;  // of the block
  const uint8_t* high;   // its fifth and sixth bits

  __m256i load(int g, int half) const {
    if constexpr (F == WeightFormat::kQ8_0) {
      return load256(codes + g * 64 + half * 32);
    } else {
      const __m256i both = load256(codes + (g & 3) * 64 + half * 32);
      const __m256i nibble = _mm256_set1_epi8(15);
      __m256i w = g < 4 ? _mm256_and_si256(both, nibble)
                        : _mm256_and_si256(_mm256_srli_epi16(both, 4), nibble);
      if constexpr (F == WeightFormat::kQ5_K) {
        const __m256i bits = load256(high + half * 32);
        const __m256i h = g < 4 ? _mm256_slli_epi16(bits, 4 - g) : _mm256_srli_epi16(bits, g - 4);
        w = _mm256_or_si256(w, _mm256_and_si256(h, _mm256_set1_epi8(16)));
      }
      if constexpr (F == WeightFormat::kQ6_K) {
        const __m256i bits = load256(high + (g >> 2) * 64 + half * 32);
        const int at = 2 * (g & 3);
        const __m256i h =
            at < 4 ? _mm256_slli_epi16(bits, 4 - at) : _mm256_srli_epi16(bits, at - 4);
        w = _mm256_or_si256(w, _mm256_and_si256(h, _mm256_set1_epi8(48)));
      }
      return w;
    }
  }
  // Codes of eight bits as signed numbers, and their magnitudes (128 for -128).
  __m256i load_signed(int g, int half) const {
    return _mm256_xor_si256(load(g, half), _mm256_set1_epi8(-128));
  }
  __m256i load_magnitude(int g, int half) const { return _mm256_abs_epi8(load_signed(g, half)); }
};

struct UnpackedCodes {
  const uint8_t* at;
  static constexpr size_t kBytes = 2 * kGroups * 64;

  __m256i load(int g, int half) const { return load256(at + g * 64 + half * 32); }
  __m256i load_signed(int g, int half) const { return load(g, half); }
  __m256i load_magnitude(int g, int half) const { return load(kGroups + g, half); }
};

template <bool kSigned, WeightFormat F>
inline void unpack_codes(const PackedCodes<F>& from, uint8_t* to) {
  GUMBELSPEC_UNROLL for (int g = 0; g < kGroups; ++g) {
    GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
      if constexpr (kSigned) {
        store256(to + g * 64 + half * 32, from.load_signed(g, half));
        store256(to + (kGroups + g) * 64 + half * 32, from.load_magnitude(g, half));
      } else {
        store256(to + g * 64 + half * 32, from.load(g, half));
      }
    }
  }
}

// Factors of a block, rows 0-7 and 8-15. Q6_K: `m` are the scales of the second half of the block;
// otherwise the mins.
struct BlockScales {
  __m256 d[2], m[2];
};

template <WeightFormat F>
inline BlockScales load_scales(const uint8_t* panel, const PanelLayout& layout, int64_t b) {
  const uint8_t* at = panel + layout.scales + b * 32;
  BlockScales s{};
  GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
    if constexpr (F == WeightFormat::kQ8_0 || F == WeightFormat::kQ4_0) {
      s.d[half] = load_half8(at + half * 16);
    } else if constexpr (F == WeightFormat::kQ6_K) {
      const __m256 d = load_half8(panel + layout.super + (b >> 3) * 32 + half * 16);
      s.d[half] = _mm256_mul_ps(d, load_i8x8(at + half * kHalf));
      s.m[half] = _mm256_mul_ps(d, load_i8x8(at + 16 + half * kHalf));
    } else {
      const uint8_t* super = panel + layout.super + (b >> 3) * 64 + half * 16;
      s.d[half] = _mm256_mul_ps(load_half8(super), load_u8x8(at + half * kHalf));
      s.m[half] = _mm256_mul_ps(load_half8(super + 32), load_u8x8(at + 16 + half * kHalf));
    }
  }
  return s;
}

// The activations of one block, from the first column of a group on.
struct BlockColumns {
  const uint8_t* codes;  // int8 [..][kBlock]
  const uint8_t* rec;    // fields of the record and of the extras, at the column
  const uint8_t* more;
  size_t n;

  int32_t word(size_t field, int c) const { return word_at(rec + field * n + 4 * c); }
  __m256 scale(int c) const {
    return _mm256_set1_ps(float_at(rec + RecordLayout::kScale * n + 4 * c));
  }
  __m256 sum(int c) const { return _mm256_set1_ps(float_at(more + extra::kSum * n + 4 * c)); }
  int32_t extra_word(size_t field, int c) const { return word_at(more + field * n + 4 * c); }
};

inline BlockColumns block_columns(const GemmJob& job, int64_t b, int column) {
  const auto n = static_cast<size_t>(job.n);
  const uint8_t* rec = job.tile + static_cast<size_t>(b) * RecordLayout::kBytes * n;
  const uint8_t* more = job.tile +
                        static_cast<size_t>(job.layout.blocks) * RecordLayout::kBytes * n +
                        static_cast<size_t>(b) * extra::kBytes * n;
  return {rec + kBlock * column, rec + 4 * column, more + 4 * column, n};
}

// What unsigned codes add too much, as the start of the sums of column c.
template <class Dot, WeightFormat F>
inline __m256i start_of(const BlockColumns& x, int c) {
  if constexpr (F == WeightFormat::kQ8_0 && !Dot::template kSigned<F>) {
    return _mm256_set1_epi32(x.word(RecordLayout::kMinus128, c));
  } else if constexpr (F == WeightFormat::kQ4_0) {
    return _mm256_set1_epi32(x.word(RecordLayout::kMinus128, c) >> 4);
  } else if constexpr (F == WeightFormat::kQ6_K) {
    return _mm256_set1_epi32(x.extra_word(extra::kMinus32Low, c));
  } else {
    return _mm256_setzero_si256();
  }
}

// Adds one block to the float sums of M columns, [M][kPanelRows].
template <class Dot, WeightFormat F, int M, class Codes>
inline void block_step(const Codes& w, const BlockScales& s, const BlockColumns& x, float* sums) {
  constexpr bool kSix = F == WeightFormat::kQ6_K;
  constexpr bool kMins = F == WeightFormat::kQ4_K || F == WeightFormat::kQ5_K;
  Sums<M> acc;
  GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
    acc.half[0][c] = acc.half[1][c] = start_of<Dot, F>(x, c);
  }
  __m256 low[2][M];
  if constexpr (kSix) {
    Dot::template run<F, 0, 4>(acc, w, x.codes);
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
        low[half][c] = _mm256_mul_ps(_mm256_cvtepi32_ps(acc.half[half][c]), s.d[half]);
        acc.half[half][c] = _mm256_set1_epi32(x.extra_word(extra::kMinus32High, c));
      }
    }
    Dot::template run<F, 4, 8>(acc, w, x.codes);
  } else {
    Dot::template run<F, 0, 8>(acc, w, x.codes);
  }
  GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
    const __m256 scale = x.scale(c);
    GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
      float* sum = sums + c * kPanelRows + half * kHalf;
      const __m256 t = _mm256_cvtepi32_ps(acc.half[half][c]);
      __m256 y;
      if constexpr (kSix) {
        y = _mm256_fmadd_ps(_mm256_fmadd_ps(t, s.m[half], low[half][c]), scale,
                            _mm256_load_ps(sum));
      } else {
        y = _mm256_fmadd_ps(t, _mm256_mul_ps(s.d[half], scale), _mm256_load_ps(sum));
      }
      if constexpr (kMins) y = _mm256_fnmadd_ps(s.m[half], x.sum(c), y);
      _mm256_store_ps(sum, y);
    }
  }
}

// The same for m columns.
template <class Dot, WeightFormat F, class Codes>
inline void block_group(int m, const Codes& w, const BlockScales& s, const BlockColumns& x,
                        float* sums) {
  switch (m) {
    case 1:
      return block_step<Dot, F, 1>(w, s, x, sums);
    case 2:
      return block_step<Dot, F, 2>(w, s, x, sums);
    case 3:
      return block_step<Dot, F, 3>(w, s, x, sums);
    default:
      return block_step<Dot, F, 4>(w, s, x, sums);
  }
}

template <class Dot, WeightFormat F>
void int_panels_256(const GemmJob& job, int64_t begin, int64_t end) {
  constexpr int kCodeBytes = F == WeightFormat::kQ8_0 ? 512 : 256;
  constexpr int kHighBytes = F == WeightFormat::kQ5_K ? 64 : 128;
  alignas(64) uint8_t scratch[UnpackedCodes::kBytes];
  alignas(64) float sums[kMaxTile * kPanelRows];
  const PanelLayout layout = job.layout;
  const ColumnGroups groups(job.n, kIntColumns);
  for (int64_t p = begin; p < end; ++p) {
    const uint8_t* panel = job.weights + static_cast<size_t>(p) * layout.bytes;
    std::memset(sums, 0, static_cast<size_t>(job.n) * kPanelRows * sizeof(float));
    for (int64_t b = 0; b < layout.blocks; ++b) {
      if (job.prefetch) prefetch_256<kCodeBytes>(panel + b * kCodeBytes);
      const PackedCodes<F> packed = {panel + b * kCodeBytes, panel + layout.high + b * kHighBytes};
      const BlockScales scales = load_scales<F>(panel, layout, b);
      if (groups.count == 1) {
        block_group<Dot, F>(job.n, packed, scales, block_columns(job, b, 0), sums);
        continue;
      }
      unpack_codes<Dot::template kSigned<F>>(packed, scratch);
      for (int i = 0; i < groups.count; ++i) {
        const int c = groups.first(i);
        block_group<Dot, F>(groups.width(i), UnpackedCodes{scratch}, scales,
                            block_columns(job, b, c), sums + c * kPanelRows);
      }
    }
    store_panel(job, p, sums);
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
