// A panel in registers of 512 bits: its codes, its scales, hints for what comes next.
#ifndef GUMBELSPEC_KERNELS_SRC_PANEL_512_H_
#define GUMBELSPEC_KERNELS_SRC_PANEL_512_H_

#include <immintrin.h>

#include <cstring>

#include "kernels/src/kernel_set.h"
#include "kernels/src/simd_avx512.h"
#include "kernels/src/unroll.h"

namespace gumbelspec::kernels {
namespace {  // compiled once per instruction set

GUMBELSPEC_INLINE __m512i load(const uint8_t* p) { return _mm512_loadu_si512(p); }
GUMBELSPEC_INLINE __m512i broadcast(const void* p) {
  int32_t word;
  std::memcpy(&word, p, 4);
  return _mm512_set1_epi32(word);
}
GUMBELSPEC_INLINE __m512 broadcast_float(const void* p) {
  float word;
  std::memcpy(&word, p, 4);
  return _mm512_set1_ps(word);
}

// Codes of block b as eight vectors, group g of all sixteen rows each.
template <class Format>
GUMBELSPEC_INLINE void load_codes(const uint8_t* panel, const PanelLayout& layout, int64_t b,
                                  __m512i (&w)[8]) {
  constexpr unsigned kLow = Format::kLowBits, kHigh = Format::kHighBits;
  const uint8_t* low = panel + b * kCodePitch<Format>;
  if constexpr (kLow == 8) {
    GUMBELSPEC_UNROLL for (int g = 0; g < 8; ++g) w[g] = load(low + g * 64);
  } else {
    const __m512i mask = _mm512_set1_epi8((1 << kLow) - 1);
    GUMBELSPEC_UNROLL for (unsigned g = 0; g < 8; ++g) {
      const __m512i all = load(low + g % kLow * 64);
      w[g] = _mm512_and_si512(g < kLow ? all : _mm512_srli_epi16(all, g / kLow * kLow), mask);
    }
  }
  // 0xf8 is A | (B & C): the upper bits go on top of the others in one operation.
  if constexpr (kHigh > 0) {
    const uint8_t* high = panel + layout.high + b * kHighPitch<Format>;
    const __m512i mask = _mm512_set1_epi8(((1 << kHigh) - 1) << kLow);
    GUMBELSPEC_UNROLL for (unsigned g = 0; g < 8; ++g) {
      const unsigned at = kHigh * g % 8;
      const __m512i all = load(high + kHigh * g / 8 * 64);
      const __m512i bits =
          at < kLow ? _mm512_slli_epi16(all, kLow - at) : _mm512_srli_epi16(all, at - kLow);
      w[g] = _mm512_ternarylogic_epi32(w[g], bits, mask, 0xf8);
    }
  }
  GUMBELSPEC_UNROLL for (int g = 0; g < 8; ++g) w[g] = Format::template values<Avx512>(w[g]);
}

// Weights come from memory once per pass. A far hint brings them to the second-level cache, where
// many lines can be on their way; a near one from there to the first level, which can wait for 24
// lines only (docs/kernels.md has the measurement). Hints past the end of the matrix do nothing.
template <int kBytes>
GUMBELSPEC_INLINE void prefetch(const uint8_t* at) {
  constexpr int kNear = 1024, kFar = 32768;
  GUMBELSPEC_UNROLL for (int i = 0; i < kBytes; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(at + i + kNear), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(at + i + kFar), _MM_HINT_T2);
  }
}

struct BlockScales {
  __m512 d, m;               // m: of the min, or of the second half of the block
  __m512 min_low, min_high;  // of the halves that have scales and mins, by 32
};

template <class Format>
GUMBELSPEC_INLINE BlockScales load_scales(const uint8_t* panel, const PanelLayout& layout,
                                          int64_t b) {
  const uint8_t* at = panel + layout.scales + b * kScalePitch<Format>;
  const uint8_t* super = super_of<Format>(panel, layout, b);
  BlockScales scales{};
  scales.d = Format::template d<Avx512>(at, super);
  scales.m = Format::template m<Avx512>(at, super);
  if constexpr (Format::kHalves && Format::kMins) {
    scales.min_low = Format::template min_low<Avx512>(at, super);
    scales.min_high = Format::template min_high<Avx512>(at, super);
  }
  return scales;
}

// The lanes of a panel that are rows of the matrix.
GUMBELSPEC_INLINE __mmask16 rows_of(const GemmJob& job, int64_t panel) {
  const int64_t left = job.n_rows - panel * kPanelRows;
  return static_cast<__mmask16>(left >= kPanelRows ? 0xffff : (1 << left) - 1);
}

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_PANEL_512_H_
