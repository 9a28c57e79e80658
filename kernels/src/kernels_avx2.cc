#include "kernels/src/attention_impl.h"
#include "kernels/src/gemm_256_impl.h"
#include "kernels/src/instruction_sets.h"
#include "kernels/src/quantize_impl.h"
#include "kernels/src/rows_impl.h"
#include "kernels/src/simd_avx2.h"

namespace gumbelspec::kernels {
namespace {

// VPMADDUBSW adds two products of bytes to 16 bits, saturating. Unsigned codes of 4, 5 and 6 bits
// leave room for 8, 4 and 2 such sums of activations up to 127 in magnitude before they are
// widened. Codes of 8 bits do not: there the magnitude of the code is multiplied with the
// activation that has taken the code's sign, 2 * 128 * 127 at most, and each result is widened at
// once. So nothing ever saturates, and the integers are exact.
struct Dot {
  template <class Format>
  static constexpr bool kSigned = Format::kValueBits == 8;

  // acc += groups [kFirst, kLast) of the codes times those of each column.
  template <class Format, int kFirst, int kLast, int kM, class Codes>
  static void run(Sums<kM>& acc, const Codes& w, const uint8_t* x) {
    if constexpr (kSigned<Format>) {
      run_signed<kFirst, kLast>(acc, w, x);
    } else {
      constexpr int kFits = 1 << (7 - Format::kValueBits);
      constexpr int kRoom = kFits < kLast - kFirst ? kFits : kLast - kFirst;
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

  template <int kFirst, int kLast, int kM, class Codes>
  static void run_signed(Sums<kM>& acc, const Codes& w, const uint8_t* x) {
    GUMBELSPEC_UNROLL for (int g = kFirst; g < kLast; ++g) {
      const __m256i w0 = w.load_signed(g, 0), w1 = w.load_signed(g, 1);
      const __m256i m0 = w.load_magnitude(g, 0), m1 = w.load_magnitude(g, 1);
      GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
        const __m256i v = broadcast(x, c, g);
        add(acc.half[0][c], widen(_mm256_maddubs_epi16(m0, _mm256_sign_epi8(v, w0))));
        add(acc.half[1][c], widen(_mm256_maddubs_epi16(m1, _mm256_sign_epi8(v, w1))));
      }
    }
  }

  // Two groups: their sum never waits in a register.
  template <int kM, class Codes>
  static void run_pair(Sums<kM>& acc, const Codes& w, const uint8_t* x, int g) {
    const __m256i w00 = w.load(g, 0), w01 = w.load(g, 1);
    const __m256i w10 = w.load(g + 1, 0), w11 = w.load(g + 1, 1);
    GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
      const __m256i v0 = broadcast(x, c, g), v1 = broadcast(x, c, g + 1);
      add(acc.half[0][c],
          widen(_mm256_add_epi16(_mm256_maddubs_epi16(w00, v0), _mm256_maddubs_epi16(w10, v1))));
      add(acc.half[1][c],
          widen(_mm256_add_epi16(_mm256_maddubs_epi16(w01, v0), _mm256_maddubs_epi16(w11, v1))));
    }
  }

  template <int kRoom, int kM, class Codes>
  static void run_room(Sums<kM>& acc, const Codes& w, const uint8_t* x, int first) {
    __m256i words[2][kM];
    GUMBELSPEC_UNROLL for (int g = first; g < first + kRoom; ++g) {
      const __m256i w0 = w.load(g, 0), w1 = w.load(g, 1);
      GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
        const __m256i v = broadcast(x, c, g);
        const __m256i p0 = _mm256_maddubs_epi16(w0, v), p1 = _mm256_maddubs_epi16(w1, v);
        words[0][c] = g == first ? p0 : _mm256_add_epi16(words[0][c], p0);
        words[1][c] = g == first ? p1 : _mm256_add_epi16(words[1][c], p1);
        pin(words[0][c]);
        pin(words[1][c]);
      }
    }
    GUMBELSPEC_UNROLL for (int c = 0; c < kM; ++c) {
      acc.half[0][c] = _mm256_add_epi32(acc.half[0][c], widen(words[0][c]));
      acc.half[1][c] = _mm256_add_epi32(acc.half[1][c], widen(words[1][c]));
    }
  }
};

}  // namespace

constexpr KernelSet kAvx2 = {"avx2",
                             feature::kAvx2,
                             quantize_impl<Avx2>,
                             gemm_256<Dot>,
                             attention_impl<Avx2>,
                             rms_norm_impl<Avx2>,
                             swiglu_impl<Avx2>,
                             to_half_impl<Avx2>,
                             rotate_impl};

}  // namespace gumbelspec::kernels
