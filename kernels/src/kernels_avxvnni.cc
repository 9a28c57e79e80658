#include "kernels/src/attention_impl.h"
#include "kernels/src/gemm_256_impl.h"
#include "kernels/src/instruction_sets.h"
#include "kernels/src/quantize_impl.h"
#include "kernels/src/rows_impl.h"
#include "kernels/src/simd_avx2.h"

namespace gumbelspec::kernels {
namespace {

struct Dot {
  template <class Format>
  static constexpr bool kSigned = false;

  // acc += groups [kFirst, kLast) of the codes times those of each column.
  template <class Format, int kFirst, int kLast, int kM, class Codes>
  static void run(Sums<kM>& acc, const Codes& w, const uint8_t* x) {
    GUMBELSPEC_UNROLL for (int g = kFirst; g < kLast; ++g) {
      const __m256i w0 = w.load(g, 0), w1 = w.load(g, 1);
      GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
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

constexpr KernelSet kAvxVnni = {"avxvnni",         feature::kAvxVnni,    quantize_impl<Avx2>,
                                gemm_256<Dot>,     attention_impl<Avx2>, rms_norm_impl<Avx2>,
                                swiglu_impl<Avx2>, to_half_impl<Avx2>,   rotate_impl};

}  // namespace gumbelspec::kernels
