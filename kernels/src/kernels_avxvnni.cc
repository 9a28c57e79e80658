#include "attention_impl.h"
#include "gemm_256_impl.h"
#include "isa_entry.h"
#include "quantize_impl.h"
#include "rows_impl.h"
#include "simd_avx2.h"

namespace gumbelspec::kernels::avxvnni {
namespace {

struct Dot {
  template <WeightFormat F>
  static constexpr bool kSigned = false;

  // acc += groups [kFirst, kLast) of the codes times those of each column.
  template <WeightFormat F, int kFirst, int kLast, int M, class Codes>
  static void run(Sums<M>& acc, const Codes& w, const uint8_t* x) {
    GUMBELSPEC_UNROLL for (int g = kFirst; g < kLast; ++g) {
      const __m256i w0 = w.load(g, 0), w1 = w.load(g, 1);
      GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
        const __m256i v = _mm256_set1_epi32(word_at(x + kBlock * c + 4 * g));
        acc.half[0][c] = product(acc.half[0][c], w0, v);
        acc.half[1][c] = product(acc.half[1][c], w1, v);
      }
    }
  }

 private:
  static __m256i product(__m256i sum, __m256i w, __m256i x) {
#if defined(GUMBELSPEC_EVEX_ENCODING)  // the same instruction as AVX-512 encodes it: for tests
    return _mm256_dpbusd_epi32(sum, w, x);
#else
    return _mm256_dpbusd_avx_epi32(sum, w, x);
#endif
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

}  // namespace gumbelspec::kernels::avxvnni
