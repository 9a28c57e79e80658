#include "attention_impl.h"
#include "gemm_256_impl.h"
#include "isa_entry.h"
#include "quantize_impl.h"
#include "rows_impl.h"
#include "simd_avx2.h"

namespace gumbelspec::kernels::avx2 {
namespace {

// VPMADDUBSW adds two products of bytes to 16 bits, saturating. Unsigned codes of 4, 5 and 6 bits
// leave room for 8, 4 and 2 such sums of activations up to 127 in magnitude before they are
// widened. Codes of 8 bits do not: there the magnitude of the code is multiplied with the
// activation that has taken the code's sign, 2 * 128 * 127 at most, and each result is widened at
// once. So nothing ever saturates, and the integers are exact.
struct Dot {
  template <WeightFormat F>
  static constexpr bool kSigned = F == WeightFormat::kQ8_0;

  // acc += groups [kFirst, kLast) of the codes times those of each column.
  template <WeightFormat F, int kFirst, int kLast, int M, class Codes>
  static void run(Sums<M>& acc, const Codes& w, const uint8_t* x) {
    if constexpr (kSigned<F>) {
      run_signed<kFirst, kLast>(acc, w, x);
    } else {
      constexpr int kRoom = F == WeightFormat::kQ6_K ? 2 : F == WeightFormat::kQ5_K ? 4 : 8;
      GUMBELSPEC_UNROLL for (int g = kFirst; g < kLast; g += kRoom) {
        if constexpr (kRoom == 2) {
          run_pair(acc, w, x, g);
        } else {
          run_room<kRoom>(acc, w, x, g);
        }
      }
    }
  }

 private:
  static __m256i broadcast(const uint8_t* x, int c, int g) {
    return _mm256_set1_epi32(word_at(x + kBlock * c + 4 * g));
  }
  static __m256i widen(__m256i words) { return _mm256_madd_epi16(words, _mm256_set1_epi16(1)); }
  static void add(__m256i& sum, __m256i more) {
    sum = _mm256_add_epi32(sum, more);
    pin(sum);
  }

  template <int kFirst, int kLast, int M, class Codes>
  static void run_signed(Sums<M>& acc, const Codes& w, const uint8_t* x) {
    GUMBELSPEC_UNROLL for (int g = kFirst; g < kLast; ++g) {
      const __m256i w0 = w.load_signed(g, 0), w1 = w.load_signed(g, 1);
      const __m256i m0 = w.load_magnitude(g, 0), m1 = w.load_magnitude(g, 1);
      GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
        const __m256i v = broadcast(x, c, g);
        add(acc.half[0][c], widen(_mm256_maddubs_epi16(m0, _mm256_sign_epi8(v, w0))));
        add(acc.half[1][c], widen(_mm256_maddubs_epi16(m1, _mm256_sign_epi8(v, w1))));
      }
    }
  }

  // Two groups: their sum never waits in a register.
  template <int M, class Codes>
  static void run_pair(Sums<M>& acc, const Codes& w, const uint8_t* x, int g) {
    const __m256i w00 = w.load(g, 0), w01 = w.load(g, 1);
    const __m256i w10 = w.load(g + 1, 0), w11 = w.load(g + 1, 1);
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      const __m256i v0 = broadcast(x, c, g), v1 = broadcast(x, c, g + 1);
      add(acc.half[0][c],
          widen(_mm256_add_epi16(_mm256_maddubs_epi16(w00, v0), _mm256_maddubs_epi16(w10, v1))));
      add(acc.half[1][c],
          widen(_mm256_add_epi16(_mm256_maddubs_epi16(w01, v0), _mm256_maddubs_epi16(w11, v1))));
    }
  }

  template <int kRoom, int M, class Codes>
  static void run_room(Sums<M>& acc, const Codes& w, const uint8_t* x, int first) {
    __m256i words[2][M];
    GUMBELSPEC_UNROLL for (int g = first; g < first + kRoom; ++g) {
      const __m256i w0 = w.load(g, 0), w1 = w.load(g, 1);
      GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
        const __m256i v = broadcast(x, c, g);
        const __m256i p0 = _mm256_maddubs_epi16(w0, v), p1 = _mm256_maddubs_epi16(w1, v);
        words[0][c] = g == first ? p0 : _mm256_add_epi16(words[0][c], p0);
        words[1][c] = g == first ? p1 : _mm256_add_epi16(words[1][c], p1);
        pin(words[0][c]);
        pin(words[1][c]);
      }
    }
    GUMBELSPEC_UNROLL for (int c = 0; c < M; ++c) {
      acc.half[0][c] = _mm256_add_epi32(acc.half[0][c], widen(words[0][c]));
      acc.half[1][c] = _mm256_add_epi32(acc.half[1][c], widen(words[1][c]));
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
