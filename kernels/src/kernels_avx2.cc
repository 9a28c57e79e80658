#include "attention_impl.h"
#include "gemm_256_impl.h"
#include "isa_entry.h"
#include "quantize_impl.h"
#include "rows_impl.h"
#include "simd_avx2.h"

namespace gumbelspec::kernels::avx2 {
namespace {

// VPMADDUBSW adds two products of bytes to 16 bits, saturating. Codes of 4, 5 and 6 bits leave room
// for 8, 4 and 2 such sums of activations up to 127 in magnitude; codes of 8 bits are taken as two
// times 4 bits. So nothing ever saturates, and the integers are exact.
struct Dot {
  // acc[c] += groups [kFirst, kLast) of the codes times those of column c.
  template <WeightFormat F, int kFirst, int kLast, int M, class Load, class Codes>
  static void run(__m256i (&acc)[M], const Load& load, const Codes& codes) {
    constexpr bool kWide = F == WeightFormat::kQ8_0;
    constexpr int kRoom = F == WeightFormat::kQ6_K ? 2 : F == WeightFormat::kQ5_K ? 4 : 8;
    constexpr int kStep = kRoom < kLast - kFirst ? kRoom : kLast - kFirst;
    const __m256i nibble = _mm256_set1_epi8(15);
    GUMBELSPEC_UNROLL for (int first = kFirst; first < kLast; first += kStep) {
      __m256i low[M], high[M];
      GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) low[c] = high[c] = _mm256_setzero_si256();
      GUMBELSPEC_UNROLL for (int g = first; g < first + kStep; ++g) {
        const __m256i w = load(g);
        const __m256i w0 = kWide ? _mm256_and_si256(w, nibble) : w;
        const __m256i w1 = _mm256_and_si256(_mm256_srli_epi16(w, 4), nibble);
        GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
          const __m256i x = _mm256_set1_epi32(word_at(codes(c, g)));
          low[c] = _mm256_add_epi16(low[c], _mm256_maddubs_epi16(w0, x));
          if constexpr (kWide) high[c] = _mm256_add_epi16(high[c], _mm256_maddubs_epi16(w1, x));
        }
      }
      GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
        acc[c] = _mm256_add_epi32(acc[c], _mm256_madd_epi16(low[c], _mm256_set1_epi16(1)));
        if constexpr (kWide) {
          acc[c] = _mm256_add_epi32(acc[c], _mm256_madd_epi16(high[c], _mm256_set1_epi16(16)));
        }
      }
    }
  }
};

}  // namespace

void gemm(const GemmJob& job, int64_t begin, int64_t end) { gemm_256<Dot>(job, begin, end); }
void quantize(ActivationFormat format, const QuantizeJob& job) { quantize_impl<Avx2>(format, job); }
void attention(const AttentionJob& job) { attention_impl<Avx2>(job); }
void rms_norm(const float* x, const float* weight, float* y, int64_t n, float eps) {
  rms_norm_impl<Avx2>(x, weight, y, n, eps);
}
void swiglu(const float* gate, const float* up, float* y, int64_t n) {
  swiglu_impl<Avx2>(gate, up, y, n);
}

void to_half(const float* x, uint16_t* y, int64_t n) { to_half_impl<Avx2>(x, y, n); }
void rotate(const float* x, float* y, const float* table, int64_t pairs, bool halves) {
  rotate_impl(x, y, table, pairs, halves);
}

}  // namespace gumbelspec::kernels::avx2
