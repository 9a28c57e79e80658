// Matrix products for AVX-512 with VNNI (and BF16 where the processor has it).
//
// Why a row's result never depends on the batch: a column of a tile has its own accumulator, and
// what is added to it, and in which order, is the same text for every tile width. Integer sums are
// exact, so their order is free; the float operations are explicit intrinsics, one per block.
#include "kernels/src/gemm_avx512.h"

#include <immintrin.h>

#include <utility>

#include "kernels/src/formats.h"
#include "kernels/src/panel_512.h"
#include "kernels/src/simd_avx512.h"
#include "kernels/src/unroll.h"

namespace gumbelspec::kernels {
namespace {

using Record = RecordLayout;

// acc += the products of four codes of every row with the same four activations. In assembly
// because GCC 12 does not fold the broadcast into the instruction, which doubles the count.
GUMBELSPEC_INLINE void dot_step(__m512i& acc, __m512i w, const uint8_t* codes) {
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(acc)
      : "v"(w), "m"(*reinterpret_cast<const int32_t(*)>(codes)));
}

// Groups kFirst to kLast of kM columns. The columns take turns: each waits for its own sum only.
template <int kFirst, int kLast, int kM>
GUMBELSPEC_INLINE void dot(__m512i (&acc)[kM], const __m512i (&w)[8], const uint8_t* codes) {
  GUMBELSPEC_UNROLL for (int g = kFirst; g < kLast; ++g) {
    GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) dot_step(acc[c], w[g], codes + 32 * c + 4 * g);
  }
}

// Where the sums of a block start: what codes stored plus kWant have too much, from the field for
// codes stored plus kHave.
template <int kHave, int kWant>
GUMBELSPEC_INLINE __m512i start_of(const uint8_t* field) {
  if constexpr (kWant == 0) {
    return _mm512_setzero_si512();
  } else if constexpr (kWant == kHave) {
    return broadcast(field);
  } else if constexpr (kWant > kHave) {
    return _mm512_slli_epi32(broadcast(field), kHalvings<kWant, kHave>);
  } else {
    return _mm512_srai_epi32(broadcast(field), kHalvings<kHave, kWant>);
  }
}

// What a block of a panel adds to kM columns of a tile of kN, from column kColumn on.
template <class Format, int kN, int kColumn, int kM>
GUMBELSPEC_INLINE void columns_step(const __m512i (&w)[8], const BlockScales& s, const uint8_t* rec,
                                    const uint8_t* more, __m512 (&sum)[kN]) {
  const uint8_t* codes = rec + 32 * kColumn;
  const auto field = [&](size_t at, int c) { return rec + at * kN + 4 * (kColumn + c); };
  const auto extra_field = [&](size_t at, int c) { return more + at * kN + 4 * (kColumn + c); };
  __m512i acc[kM];
  if constexpr (Format::kHalves) {
    __m512 t[kM];
    GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
      acc[c] = start_of<32, Format::kOffset>(extra_field(extra::kMinus32Low, c));
    }
    dot<0, 4, kM>(acc, w, codes);
    GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
      t[c] = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[c]), s.d);
      acc[c] = start_of<32, Format::kOffset>(extra_field(extra::kMinus32High, c));
    }
    dot<4, 8, kM>(acc, w, codes);
    GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
      t[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[c]), s.m, t[c]);
      if constexpr (Format::kMins) {
        const __m512i low = broadcast(extra_field(extra::kMinus32Low, c));
        const __m512i high = broadcast(extra_field(extra::kMinus32High, c));
        t[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(low), s.min_low, t[c]);
        t[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(high), s.min_high, t[c]);
      }
      sum[kColumn + c] =
          _mm512_fmadd_ps(t[c], broadcast_float(field(Record::kScale, c)), sum[kColumn + c]);
    }
    return;
  }
  GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
    acc[c] = start_of<128, Format::kOffset>(field(Record::kMinus128, c));
  }
  dot<0, 8, kM>(acc, w, codes);
  GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
    __m512& total = sum[kColumn + c];
    const __m512 scale = _mm512_mul_ps(s.d, broadcast_float(field(Record::kScale, c)));
    total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[c]), scale, total);
    if constexpr (Format::kMins) {
      total = _mm512_fnmadd_ps(s.m, broadcast_float(extra_field(extra::kSum, c)), total);
    }
  }
}

template <class Format, int kN, int kColumn = 0>
GUMBELSPEC_INLINE void all_columns(const __m512i (&w)[8], const BlockScales& s, const uint8_t* rec,
                                   const uint8_t* more, __m512 (&sum)[kN]) {
  constexpr int kGroup = 4;
  if constexpr (kColumn < kN) {
    constexpr int kM = kN - kColumn < kGroup ? kN - kColumn : kGroup;
    columns_step<Format, kN, kColumn, kM>(w, s, rec, more, sum);
    all_columns<Format, kN, kColumn + kM>(w, s, rec, more, sum);
  }
}

template <class Format, int kN>
GUMBELSPEC_INLINE void block_step(const uint8_t* panel, const PanelLayout& layout, int64_t b,
                                  const uint8_t* tile, __m512 (&sum)[kN]) {
  __m512i w[8];
  load_codes<Format>(panel, layout, b, w);
  const uint8_t* rec = tile + static_cast<size_t>(b) * Record::kBytes * kN;
  const uint8_t* more = tile + static_cast<size_t>(layout.blocks) * Record::kBytes * kN +
                        static_cast<size_t>(b) * extra::kBytes * kN;
  const BlockScales scales = load_scales<Format>(panel, layout, b);
  all_columns<Format, kN>(w, scales, rec, more, sum);
}

template <int kN>
GUMBELSPEC_INLINE void store(const GemmJob& job, int64_t panel, const __m512 (&sum)[kN]) {
  const __mmask16 lanes = rows_of(job, panel);
  GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) {
    _mm512_mask_storeu_ps(job.column(c) + panel * kPanelRows, lanes, sum[c]);
  }
}

template <class Format, int kN>
void int_panels(const GemmJob& job, int64_t begin, int64_t end) {
  constexpr auto kCodes = static_cast<int>(kCodePitch<Format>);
  const PanelLayout layout = job.layout;
  for (int64_t p = begin; p < end; ++p) {
    const uint8_t* panel = job.weights + static_cast<size_t>(p) * layout.bytes;
    __m512 sum[kN];
    GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) sum[c] = _mm512_setzero_ps();
    if (job.prefetch) {
      for (int64_t b = 0; b < layout.blocks; ++b) {
        prefetch<kCodes>(panel + b * kCodes);
        block_step<Format, kN>(panel, layout, b, job.tile, sum);
      }
    } else {
      for (int64_t b = 0; b < layout.blocks; ++b) {
        block_step<Format, kN>(panel, layout, b, job.tile, sum);
      }
    }
    store<kN>(job, p, sum);
  }
}

// F16 and F32 weights against float activations, two columns of the matrix per step.
template <class Format, int kN>
void float_panels(const GemmJob& job, int64_t begin, int64_t end) {
  constexpr auto kStep = static_cast<int>(kPanelRows * Format::kElementBytes);
  for (int64_t p = begin; p < end; ++p) {
    const uint8_t* w = job.weights + static_cast<size_t>(p) * job.layout.bytes;
    __m512 even[kN], odd[kN];
    GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) even[c] = odd[c] = _mm512_setzero_ps();
    const uint8_t* x = job.tile;
    for (int64_t k = 0; k < job.k; k += 2, w += 2 * kStep, x += 8 * kN) {
      if (job.prefetch) prefetch<2 * kStep>(w);
      const __m512 w0 = Format::template load<Avx512>(w);
      const __m512 w1 = Format::template load<Avx512>(w + kStep);
      GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) {
        even[c] = _mm512_fmadd_ps(w0, broadcast_float(x + 4 * c), even[c]);
        odd[c] = _mm512_fmadd_ps(w1, broadcast_float(x + 4 * kN + 4 * c), odd[c]);
      }
    }
    GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) even[c] = _mm512_add_ps(even[c], odd[c]);
    store<kN>(job, p, even);
  }
}

// BF16 weights against BF16 activations, as ggml does it, two matrix columns per instruction.
template <int kN>
void bf16_panels(const GemmJob& job, int64_t begin, int64_t end) {
  for (int64_t p = begin; p < end; ++p) {
    const uint8_t* w = job.weights + static_cast<size_t>(p) * job.layout.bytes;
    __m512 even[kN], odd[kN];
    GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) even[c] = odd[c] = _mm512_setzero_ps();
    const uint8_t* x = job.tile;
    int64_t k = 0;
    for (; k + 2 < job.k; k += 4, w += 128, x += 8 * kN) {
      if (job.prefetch) prefetch<128>(w);
      const auto w0 = reinterpret_cast<__m512bh>(load(w));
      const auto w1 = reinterpret_cast<__m512bh>(load(w + 64));
      GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) {
        even[c] = _mm512_dpbf16_ps(even[c], w0, reinterpret_cast<__m512bh>(broadcast(x + 4 * c)));
        odd[c] =
            _mm512_dpbf16_ps(odd[c], w1, reinterpret_cast<__m512bh>(broadcast(x + 4 * kN + 4 * c)));
      }
    }
    if (k < job.k) {
      const auto w0 = reinterpret_cast<__m512bh>(load(w));
      GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) {
        even[c] = _mm512_dpbf16_ps(even[c], w0, reinterpret_cast<__m512bh>(broadcast(x + 4 * c)));
      }
    }
    GUMBELSPEC_UNROLL for (int c = 0; c < kN; ++c) even[c] = _mm512_add_ps(even[c], odd[c]);
    store<kN>(job, p, even);
  }
}

using Product = void (*)(const GemmJob& job, int64_t begin, int64_t end);

template <int kN>
struct Tile {
  template <class Format>
  struct Of {
    static constexpr Product product() {
      if constexpr (Format::kActivations == ActivationFormat::int8) {
        return int_panels<PanelOf<Format>, kN>;
      } else if constexpr (Format::kActivations == ActivationFormat::bf16) {
        return bf16_panels<kN>;
      } else {
        return float_panels<Format, kN>;
      }
    }
    static constexpr Product kEntry = product();
  };
};

// By the width of a tile, less one, and the type of the weights.
template <class Widths>
struct Products;
template <int... kWidths>
struct Products<std::integer_sequence<int, kWidths...>> {
  static constexpr const Product* kOf[] = {
      ByFormat<Product, Tile<kWidths + 1>::template Of>::kEntries...};
};

}  // namespace

void gemm_avx512(const GemmJob& job, int64_t begin, int64_t end) {
  for (int t = 0; t < job.n_tiles; ++t) {
    const GemmJob of_tile = job.of_tile(t);
    Products<std::make_integer_sequence<int, kMaxTile>>::kOf[of_tile.n - 1][job.type](of_tile,
                                                                                      begin, end);
  }
}

}  // namespace gumbelspec::kernels
