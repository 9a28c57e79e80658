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

#include "kernels/src/float_256_impl.h"
#include "kernels/src/formats.h"
#include "kernels/src/kernel_set.h"
#include "kernels/src/simd_avx2.h"
#include "kernels/src/unroll.h"
#include "kernels/src/vector_256.h"

namespace gumbelspec::kernels {
namespace {  // compiled once per instruction set

constexpr int kIntColumns = 4;  // of the batch, whose sums are in registers

// Integer sums of kM columns: rows 0-7 and rows 8-15.
template <int kM>
struct Sums {
  __m256i half[2][kM];
};

// Where a dot product takes the codes of a block from: group g of rows 8 * half and on.
template <class Format>
struct PackedCodes {
  const uint8_t* codes;  // of the block
  const uint8_t* high;   // their upper bits

  __m256i load(int g, int half) const {
    constexpr int kLow = Format::kLowBits, kHigh = Format::kHighBits;
    __m256i w = load256(codes + (g & (kLow - 1)) * 64 + half * 32);
    if constexpr (kLow < 8) {
      const __m256i mask = _mm256_set1_epi8((1 << kLow) - 1);
      w = g < kLow ? _mm256_and_si256(w, mask)
                   : _mm256_and_si256(_mm256_srli_epi16(w, g & -kLow), mask);
    }
    if constexpr (kHigh > 0) {
      constexpr int kShare = 8 / kHigh;  // groups that share a vector
      const int at = kHigh * (g & (kShare - 1));
      const __m256i all = load256(high + (kShare == kGroups ? 0 : g / kShare * 64) + half * 32);
      const __m256i bits =
          at < kLow ? _mm256_slli_epi16(all, kLow - at) : _mm256_srli_epi16(all, at - kLow);
      const __m256i mask = _mm256_set1_epi8(((1 << kHigh) - 1) << kLow);
      w = _mm256_or_si256(w, _mm256_and_si256(bits, mask));
    }
    return Format::template values<Avx2>(w);
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

template <bool kSigned, class Format>
inline void unpack_codes(const PackedCodes<Format>& from, uint8_t* to) {
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

// Factors of a block, rows 0-7 and 8-15. m: of the min, or of the second half of the block.
struct BlockScales {
  __m256 d[2], m[2];
  __m256 min_low[2], min_high[2];  // of the halves that have scales and mins, by 32
};

template <class Format>
inline BlockScales load_scales(const uint8_t* panel, const PanelLayout& layout, int64_t b) {
  const uint8_t* at = panel + layout.scales + b * kScalePitch<Format>;
  BlockScales s{};
  GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
    const uint8_t* scales = at + half * kHalf * Format::kScaleBytes;
    const uint8_t* super = super_of<Format>(panel, layout, b) + half * 16;
    s.d[half] = Format::template d<Avx2>(scales, super);
    s.m[half] = Format::template m<Avx2>(scales, super);
    if constexpr (Format::kHalves && Format::kMins) {
      s.min_low[half] = Format::template min_low<Avx2>(scales, super);
      s.min_high[half] = Format::template min_high<Avx2>(scales, super);
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
  __m256 extra_float(size_t field, int c) const {
    return _mm256_set1_ps(static_cast<float>(extra_word(field, c)));
  }
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
template <class Dot, class Format>
inline __m256i start_of(const BlockColumns& x, int c, bool is_second_half = false) {
  if constexpr (Format::kOffset == 0 || Dot::template kSigned<Format>) {
    return _mm256_setzero_si256();
  } else if constexpr (Format::kHalves) {
    const size_t field = is_second_half ? extra::kMinus32High : extra::kMinus32Low;
    const int32_t word = x.extra_word(field, c);
    if constexpr (Format::kOffset > 32) {
      return _mm256_set1_epi32(word * (Format::kOffset / 32));
    } else {
      return _mm256_set1_epi32(word >> kHalvings<32, Format::kOffset>);
    }
  } else {
    return _mm256_set1_epi32(x.word(RecordLayout::kMinus128, c) >> kHalvings<128, Format::kOffset>);
  }
}

// Adds one block to the float sums of kM columns, [kM][kPanelRows].
template <class Dot, class Format, int kM, class Codes>
inline void block_step(const Codes& w, const BlockScales& s, const BlockColumns& x, float* sums) {
  Sums<kM> acc;
  GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
    acc.half[0][c] = acc.half[1][c] = start_of<Dot, Format>(x, c);
  }
  __m256 low[2][kM];
  if constexpr (Format::kHalves) {
    Dot::template run<Format, 0, 4>(acc, w, x.codes);
    GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
      GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
        low[half][c] = _mm256_mul_ps(_mm256_cvtepi32_ps(acc.half[half][c]), s.d[half]);
        acc.half[half][c] = start_of<Dot, Format>(x, c, true);
      }
    }
    Dot::template run<Format, 4, 8>(acc, w, x.codes);
  } else {
    Dot::template run<Format, 0, 8>(acc, w, x.codes);
  }
  GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
    const __m256 scale = x.scale(c);
    GUMBELSPEC_UNROLL for (int half = 0; half < 2; ++half) {
      float* sum = sums + c * kPanelRows + half * kHalf;
      const __m256 t = _mm256_cvtepi32_ps(acc.half[half][c]);
      __m256 y;
      if constexpr (Format::kHalves) {
        __m256 both = _mm256_fmadd_ps(t, s.m[half], low[half][c]);
        if constexpr (Format::kMins) {
          both = _mm256_fmadd_ps(x.extra_float(extra::kMinus32Low, c), s.min_low[half], both);
          both = _mm256_fmadd_ps(x.extra_float(extra::kMinus32High, c), s.min_high[half], both);
        }
        y = _mm256_fmadd_ps(both, scale, _mm256_load_ps(sum));
      } else {
        y = _mm256_fmadd_ps(t, _mm256_mul_ps(s.d[half], scale), _mm256_load_ps(sum));
        if constexpr (Format::kMins) y = _mm256_fnmadd_ps(s.m[half], x.sum(c), y);
      }
      _mm256_store_ps(sum, y);
    }
  }
}

// The same for m columns.
template <class Dot, class Format, class Codes>
inline void block_group(int m, const Codes& w, const BlockScales& s, const BlockColumns& x,
                        float* sums) {
  switch (m) {
    case 1:
      return block_step<Dot, Format, 1>(w, s, x, sums);
    case 2:
      return block_step<Dot, Format, 2>(w, s, x, sums);
    case 3:
      return block_step<Dot, Format, 3>(w, s, x, sums);
    default:
      return block_step<Dot, Format, 4>(w, s, x, sums);
  }
}

template <class Dot, class Format>
void int_panels_256(const GemmJob& job, int64_t begin, int64_t end) {
  constexpr auto kCodes = static_cast<int>(kCodePitch<Format>);
  alignas(64) uint8_t scratch[UnpackedCodes::kBytes];
  alignas(64) float sums[kMaxTile * kPanelRows];
  const PanelLayout layout = job.layout;
  const ColumnGroups groups(job.n, kIntColumns);
  for (int64_t p = begin; p < end; ++p) {
    const uint8_t* panel = job.weights + static_cast<size_t>(p) * layout.bytes;
    std::memset(sums, 0, static_cast<size_t>(job.n) * kPanelRows * sizeof(float));
    for (int64_t b = 0; b < layout.blocks; ++b) {
      if (job.prefetch) prefetch_256<kCodes>(panel + b * kCodes);
      const PackedCodes<Format> packed = {panel + b * kCodes,
                                          panel + layout.high + b * kHighPitch<Format>};
      const BlockScales scales = load_scales<Format>(panel, layout, b);
      if (groups.count == 1) {
        block_group<Dot, Format>(job.n, packed, scales, block_columns(job, b, 0), sums);
        continue;
      }
      unpack_codes<Dot::template kSigned<Format>>(packed, scratch);
      for (int i = 0; i < groups.count; ++i) {
        const int c = groups.first(i);
        block_group<Dot, Format>(groups.width(i), UnpackedCodes{scratch}, scales,
                                 block_columns(job, b, c), sums + c * kPanelRows);
      }
    }
    store_panel(job, p, sums);
  }
}

using Product = void (*)(const GemmJob& job, int64_t begin, int64_t end);

template <class Dot>
struct Products {
  template <class Format>
  struct Of {
    static constexpr Product product() {
      if constexpr (Format::kActivations == ActivationFormat::int8) {
        return int_panels_256<Dot, PanelOf<Format>>;
      } else {
        return float_panels_256<Format>;
      }
    }
    static constexpr Product kEntry = product();
  };
};

template <class Dot>
void gemm_256(const GemmJob& job, int64_t begin, int64_t end) {
  for (int t = 0; t < job.n_tiles; ++t) {
    ByFormat<Product, Products<Dot>::template Of>::kEntries[job.type](job.of_tile(t), begin, end);
  }
}

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_GEMM_256_IMPL_H_
