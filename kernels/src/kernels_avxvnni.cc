#include "gemm_256_impl.h"
#include "isa_entry.h"
#include "quantize_impl.h"
#include "rows_impl.h"
#include "simd_avx2.h"

namespace gumbelspec::kernels::avxvnni {
namespace {

struct Dot {
  static constexpr int kCodeBytes = 32;
  static __m256i prepare(__m256i w) { return w; }
  static __m256i add(__m256i acc, __m256i w, const uint8_t* codes) {
    const __m256i x = _mm256_set1_epi32(word_at(codes));
#if defined(GUMBELSPEC_EVEX_ENCODING)  // the same instruction as AVX-512 encodes it: for tests
    return _mm256_dpbusd_epi32(acc, w, x);
#else
    return _mm256_dpbusd_avx_epi32(acc, w, x);
#endif
  }
};

}  // namespace

void gemm(const GemmJob& job, int64_t begin, int64_t end) { gemm_256<Dot>(job, begin, end); }
void quantize(ActivationFormat format, const QuantizeJob& job) {
  quantize_impl<Avx2, 32>(format, job);
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

}  // namespace gumbelspec::kernels::avxvnni
