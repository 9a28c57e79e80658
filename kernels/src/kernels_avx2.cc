#include "gemm_256_impl.h"
#include "isa_entry.h"
#include "quantize_impl.h"
#include "rows_impl.h"
#include "simd_avx2.h"

namespace gumbelspec::kernels::avx2 {
namespace {

// Bytes widened to 16 bits, so that nothing saturates: even and odd columns apart.
struct Dot {
  static constexpr int kCodeBytes = 64;
  struct Weights {
    __m256i even, odd;
  };
  static Weights prepare(__m256i w) {
    return {_mm256_and_si256(w, _mm256_set1_epi16(255)), _mm256_srli_epi16(w, 8)};
  }
  static __m256i add(__m256i acc, const Weights& w, const uint8_t* codes) {
    const __m256i even = _mm256_madd_epi16(w.even, _mm256_set1_epi32(word_at(codes)));
    const __m256i odd = _mm256_madd_epi16(w.odd, _mm256_set1_epi32(word_at(codes + 4)));
    return _mm256_add_epi32(_mm256_add_epi32(acc, even), odd);
  }
};

}  // namespace

void gemm(const GemmJob& job, int64_t begin, int64_t end) { gemm_256<Dot>(job, begin, end); }
void quantize(ActivationFormat format, const QuantizeJob& job) {
  quantize_impl<Avx2, 64>(format, job);
}
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
