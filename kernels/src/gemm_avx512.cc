// Matrix products for AVX-512 with VNNI (and BF16 where the processor has it).
//
// Why a row's result never depends on the batch: a column of a tile has its own accumulator, and
// what is added to it, and in which order, is the same text for every tile width. Integer sums are
// exact, so their order is free; the float operations are explicit intrinsics, one per block.
#include <immintrin.h>

#include <cstring>

#include "isa_entry.h"
#include "unroll.h"

namespace gumbelspec::kernels::avx512 {
namespace {

using Record = RecordLayout;

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
GUMBELSPEC_INLINE __m512 load_half(const uint8_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
GUMBELSPEC_INLINE __m512 load_u8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
GUMBELSPEC_INLINE __m512 load_i8(const uint8_t* p) {
  return _mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}

// Codes of block b as eight vectors, group g of all sixteen rows each.
template <WeightFormat F>
GUMBELSPEC_INLINE void load_codes(const uint8_t* panel, const PanelLayout& layout, int64_t b,
                                  __m512i (&w)[8]) {
  if constexpr (F == WeightFormat::kQ8_0) {
    GUMBELSPEC_UNROLL for (int g = 0; g < 8; ++g) w[g] = load(panel + b * 512 + g * 64);
  } else {
    const __m512i nibble = _mm512_set1_epi8(15);
    GUMBELSPEC_UNROLL for (int g = 0; g < 4; ++g) {
      const __m512i both = load(panel + b * 256 + g * 64);
      w[g] = _mm512_and_si512(both, nibble);
      w[g + 4] = _mm512_and_si512(_mm512_srli_epi16(both, 4), nibble);
    }
    // 0xf8 is A | (B & C): the upper bits go on top of the nibbles in one operation.
    if constexpr (F == WeightFormat::kQ5_K) {
      const __m512i bit = _mm512_set1_epi8(16);
      const __m512i high = load(panel + layout.high + b * 64);
      GUMBELSPEC_UNROLL for (unsigned g = 0; g < 8; ++g) {
        const __m512i h = g < 4 ? _mm512_slli_epi16(high, 4 - g) : _mm512_srli_epi16(high, g - 4);
        w[g] = _mm512_ternarylogic_epi32(w[g], h, bit, 0xf8);
      }
    }
    if constexpr (F == WeightFormat::kQ6_K) {
      const __m512i bits = _mm512_set1_epi8(48);
      GUMBELSPEC_UNROLL for (unsigned g = 0; g < 8; ++g) {
        const __m512i high = load(panel + layout.high + b * 128 + (g >> 2) * 64);
        const unsigned at = 2 * (g & 3);
        const __m512i h =
            at < 4 ? _mm512_slli_epi16(high, 4 - at) : _mm512_srli_epi16(high, at - 4);
        w[g] = _mm512_ternarylogic_epi32(w[g], h, bits, 0xf8);
      }
    }
  }
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

// acc += the products of four codes of every row with the same four activations. In assembly
// because GCC 12 does not fold the broadcast into the instruction, which doubles the count.
GUMBELSPEC_INLINE void dot_step(__m512i& acc, __m512i w, const uint8_t* codes) {
  asm("vpdpbusd %2%{1to16%}, %1, %0"
      : "+v"(acc)
      : "v"(w), "m"(*reinterpret_cast<const int32_t(*)>(codes)));
}

// Groups kFirst to kLast of M columns. The columns take turns: each waits for its own sum only.
template <int kFirst, int kLast, int M>
GUMBELSPEC_INLINE void dot(__m512i (&acc)[M], const __m512i (&w)[8], const uint8_t* codes) {
  GUMBELSPEC_UNROLL for (int g = kFirst; g < kLast; ++g) {
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) dot_step(acc[c], w[g], codes + 32 * c + 4 * g);
  }
}

// What a block of a panel adds to M columns of a tile of N, from column kColumn on.
struct BlockScales {
  __m512 d, m;  // Q6_K: the scales of the two halves; otherwise scale and min
};

template <WeightFormat F>
GUMBELSPEC_INLINE BlockScales load_scales(const uint8_t* panel, const PanelLayout& layout,
                                          int64_t b) {
  const uint8_t* scales = panel + layout.scales + b * 32;
  if constexpr (F == WeightFormat::kQ8_0 || F == WeightFormat::kQ4_0) {
    return {load_half(scales), _mm512_setzero_ps()};
  } else if constexpr (F == WeightFormat::kQ6_K) {
    const __m512 d = load_half(panel + layout.super + (b >> 3) * 32);
    return {_mm512_mul_ps(d, load_i8(scales)), _mm512_mul_ps(d, load_i8(scales + 16))};
  } else {
    const uint8_t* super = panel + layout.super + (b >> 3) * 64;
    return {_mm512_mul_ps(load_half(super), load_u8(scales)),
            _mm512_mul_ps(load_half(super + 32), load_u8(scales + 16))};
  }
}

template <WeightFormat F, int N, int kColumn, int M>
GUMBELSPEC_INLINE void columns_step(const __m512i (&w)[8], const BlockScales& s, const uint8_t* rec,
                                    const uint8_t* more, __m512 (&sum)[N]) {
  const uint8_t* codes = rec + 32 * kColumn;
  const auto field = [&](size_t at, int c) { return rec + at * N + 4 * (kColumn + c); };
  const auto extra_field = [&](size_t at, int c) { return more + at * N + 4 * (kColumn + c); };
  __m512i acc[M];
  if constexpr (F == WeightFormat::kQ6_K) {
    __m512 t[M];
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      acc[c] = broadcast(extra_field(extra::kMinus32Low, c));
    }
    dot<0, 4, M>(acc, w, codes);
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      t[c] = _mm512_mul_ps(_mm512_cvtepi32_ps(acc[c]), s.d);
      acc[c] = broadcast(extra_field(extra::kMinus32High, c));
    }
    dot<4, 8, M>(acc, w, codes);
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      t[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[c]), s.m, t[c]);
      sum[kColumn + c] =
          _mm512_fmadd_ps(t[c], broadcast_float(field(Record::kScale, c)), sum[kColumn + c]);
    }
    return;
  }
  GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
    if constexpr (F == WeightFormat::kQ8_0) acc[c] = broadcast(field(Record::kMinus128, c));
    if constexpr (F == WeightFormat::kQ4_0) {
      acc[c] = _mm512_srai_epi32(broadcast(field(Record::kMinus128, c)), 4);
    }
    if constexpr (F == WeightFormat::kQ4_K || F == WeightFormat::kQ5_K) {
      acc[c] = _mm512_setzero_si512();
    }
  }
  dot<0, 8, M>(acc, w, codes);
  GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
    __m512& total = sum[kColumn + c];
    const __m512 scale = _mm512_mul_ps(s.d, broadcast_float(field(Record::kScale, c)));
    total = _mm512_fmadd_ps(_mm512_cvtepi32_ps(acc[c]), scale, total);
    if constexpr (F == WeightFormat::kQ4_K || F == WeightFormat::kQ5_K) {
      total = _mm512_fnmadd_ps(s.m, broadcast_float(extra_field(extra::kSum, c)), total);
    }
  }
}

template <WeightFormat F, int N, int kColumn = 0>
GUMBELSPEC_INLINE void all_columns(const __m512i (&w)[8], const BlockScales& s, const uint8_t* rec,
                                   const uint8_t* more, __m512 (&sum)[N]) {
  constexpr int kGroup = 4;
  if constexpr (kColumn < N) {
    constexpr int kM = N - kColumn < kGroup ? N - kColumn : kGroup;
    columns_step<F, N, kColumn, kM>(w, s, rec, more, sum);
    all_columns<F, N, kColumn + kM>(w, s, rec, more, sum);
  }
}

template <WeightFormat F, int N>
GUMBELSPEC_INLINE void block_step(const uint8_t* panel, const PanelLayout& layout, int64_t b,
                                  const uint8_t* tile, __m512 (&sum)[N]) {
  __m512i w[8];
  load_codes<F>(panel, layout, b, w);
  const uint8_t* rec = tile + static_cast<size_t>(b) * Record::kBytes * N;
  const uint8_t* more = tile + static_cast<size_t>(layout.blocks) * Record::kBytes * N +
                        static_cast<size_t>(b) * extra::kBytes * N;
  all_columns<F, N>(w, load_scales<F>(panel, layout, b), rec, more, sum);
}

template <int N>
GUMBELSPEC_INLINE void store(const GemmJob& job, int64_t panel, const __m512 (&sum)[N]) {
  const int64_t row = panel * kPanelRows;
  const int64_t left = job.n_rows - row;
  const auto lanes = static_cast<__mmask16>(left >= kPanelRows ? 0xffff : (1 << left) - 1);
  GUMBELSPEC_UNROLL for (int c = 0; c < N; ++c) {
    _mm512_mask_storeu_ps(job.out + c * job.out_stride + row, lanes, sum[c]);
  }
}

template <WeightFormat F, int N>
void int_panels(const GemmJob& job, int64_t begin, int64_t end) {
  constexpr int kCodeBytes = F == WeightFormat::kQ8_0 ? 512 : 256;
  const PanelLayout layout = job.layout;
  for (int64_t p = begin; p < end; ++p) {
    const uint8_t* panel = job.weights + static_cast<size_t>(p) * layout.bytes;
    __m512 sum[N];
    GUMBELSPEC_UNROLL for (int c = 0; c < N; ++c) sum[c] = _mm512_setzero_ps();
    if (job.prefetch) {
      for (int64_t b = 0; b < layout.blocks; ++b) {
        prefetch<kCodeBytes>(panel + b * kCodeBytes);
        block_step<F, N>(panel, layout, b, job.tile, sum);
      }
    } else {
      for (int64_t b = 0; b < layout.blocks; ++b) {
        block_step<F, N>(panel, layout, b, job.tile, sum);
      }
    }
    store<N>(job, p, sum);
  }
}

// F16 and F32 weights against float activations, two columns of the matrix per step.
template <WeightFormat F, int N>
void float_panels(const GemmJob& job, int64_t begin, int64_t end) {
  constexpr int kStep = F == WeightFormat::kF32 ? 64 : 32;
  for (int64_t p = begin; p < end; ++p) {
    const uint8_t* w = job.weights + static_cast<size_t>(p) * job.layout.bytes;
    __m512 even[N], odd[N];
    GUMBELSPEC_UNROLL for (int c = 0; c < N; ++c) even[c] = odd[c] = _mm512_setzero_ps();
    const uint8_t* x = job.tile;
    for (int64_t k = 0; k < job.k; k += 2, w += 2 * kStep, x += 8 * N) {
      if (job.prefetch) prefetch<2 * kStep>(w);
      const __m512 w0 = F == WeightFormat::kF32 ? _mm512_loadu_ps(w) : load_half(w);
      const __m512 w1 = F == WeightFormat::kF32 ? _mm512_loadu_ps(w + 64) : load_half(w + 32);
      GUMBELSPEC_UNROLL for (int c = 0; c < N; ++c) {
        even[c] = _mm512_fmadd_ps(w0, broadcast_float(x + 4 * c), even[c]);
        odd[c] = _mm512_fmadd_ps(w1, broadcast_float(x + 4 * N + 4 * c), odd[c]);
      }
    }
    GUMBELSPEC_UNROLL for (int c = 0; c < N; ++c) even[c] = _mm512_add_ps(even[c], odd[c]);
    store<N>(job, p, even);
  }
}

// BF16 weights against BF16 activations, as ggml does it, two matrix columns per instruction.
template <int N>
void bf16_panels(const GemmJob& job, int64_t begin, int64_t end) {
  for (int64_t p = begin; p < end; ++p) {
    const uint8_t* w = job.weights + static_cast<size_t>(p) * job.layout.bytes;
    __m512 even[N], odd[N];
    GUMBELSPEC_UNROLL for (int c = 0; c < N; ++c) even[c] = odd[c] = _mm512_setzero_ps();
    const uint8_t* x = job.tile;
    int64_t k = 0;
    for (; k + 2 < job.k; k += 4, w += 128, x += 8 * N) {
      if (job.prefetch) prefetch<128>(w);
      const auto w0 = reinterpret_cast<__m512bh>(load(w));
      const auto w1 = reinterpret_cast<__m512bh>(load(w + 64));
      GUMBELSPEC_UNROLL for (int c = 0; c < N; ++c) {
        even[c] = _mm512_dpbf16_ps(even[c], w0, reinterpret_cast<__m512bh>(broadcast(x + 4 * c)));
        odd[c] =
            _mm512_dpbf16_ps(odd[c], w1, reinterpret_cast<__m512bh>(broadcast(x + 4 * N + 4 * c)));
      }
    }
    if (k < job.k) {
      const auto w0 = reinterpret_cast<__m512bh>(load(w));
      GUMBELSPEC_UNROLL for (int c = 0; c < N; ++c) {
        even[c] = _mm512_dpbf16_ps(even[c], w0, reinterpret_cast<__m512bh>(broadcast(x + 4 * c)));
      }
    }
    GUMBELSPEC_UNROLL for (int c = 0; c < N; ++c) even[c] = _mm512_add_ps(even[c], odd[c]);
    store<N>(job, p, even);
  }
}

template <int N>
void gemm_tile(const GemmJob& job, int64_t begin, int64_t end) {
  switch (job.format) {
    case WeightFormat::kQ8_0:
      return int_panels<WeightFormat::kQ8_0, N>(job, begin, end);
    case WeightFormat::kQ4_0:
      return int_panels<WeightFormat::kQ4_0, N>(job, begin, end);
    case WeightFormat::kQ4_K:
      return int_panels<WeightFormat::kQ4_K, N>(job, begin, end);
    case WeightFormat::kQ5_K:
      return int_panels<WeightFormat::kQ5_K, N>(job, begin, end);
    case WeightFormat::kQ6_K:
      return int_panels<WeightFormat::kQ6_K, N>(job, begin, end);
    case WeightFormat::kF16:
      return float_panels<WeightFormat::kF16, N>(job, begin, end);
    case WeightFormat::kF32:
      return float_panels<WeightFormat::kF32, N>(job, begin, end);
    case WeightFormat::kBF16:
      return bf16_panels<N>(job, begin, end);
  }
}

}  // namespace

void gemm(const GemmJob& job, int64_t begin, int64_t end) {
  switch (job.n) {
    case 1:
      return gemm_tile<1>(job, begin, end);
    case 2:
      return gemm_tile<2>(job, begin, end);
    case 3:
      return gemm_tile<3>(job, begin, end);
    case 4:
      return gemm_tile<4>(job, begin, end);
    case 5:
      return gemm_tile<5>(job, begin, end);
    case 6:
      return gemm_tile<6>(job, begin, end);
    case 7:
      return gemm_tile<7>(job, begin, end);
    case 8:
      return gemm_tile<8>(job, begin, end);
    case 9:
      return gemm_tile<9>(job, begin, end);
    case 10:
      return gemm_tile<10>(job, begin, end);
    case 11:
      return gemm_tile<11>(job, begin, end);
    case 12:
      return gemm_tile<12>(job, begin, end);
    case 13:
      return gemm_tile<13>(job, begin, end);
    case 14:
      return gemm_tile<14>(job, begin, end);
    case 15:
      return gemm_tile<15>(job, begin, end);
    default:
      return gemm_tile<16>(job, begin, end);
  }
}

}  // namespace gumbelspec::kernels::avx512
