// Compiled with AVX2 and FMA; called only where the processor has them.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

struct Wide {
  static constexpr std::size_t kLanes = 8;
  using F = float __attribute__((vector_size(32)));
  using U = std::uint32_t __attribute__((vector_size(32)));
  using I = std::int32_t __attribute__((vector_size(32)));
  using U64 = std::uint64_t __attribute__((vector_size(32)));
  using Half = float __attribute__((vector_size(16)));
  using D = double __attribute__((vector_size(32)));
  using Q = U64;

  static F to_float(I i) { return __builtin_convertvector(i, F); }
  // Only signed words can be converted: by halves, which are exact, and one rounding when added.
  static F word_to_float(U w) {
    const F high = __builtin_convertvector(__builtin_bit_cast(I, w >> 16U), F);
    const F low = __builtin_convertvector(__builtin_bit_cast(I, w & 0xFFFFU), F);
    return high * 65536.0F + low;
  }
  static F fma(F a, F b, F c) {
    return __builtin_bit_cast(
        F, _mm256_fmadd_ps(__builtin_bit_cast(__m256, a), __builtin_bit_cast(__m256, b),
                           __builtin_bit_cast(__m256, c)));
  }
  static bool any_above(F x, F limit) {
    return _mm256_movemask_ps(_mm256_cmp_ps(__builtin_bit_cast(__m256, x),
                                            __builtin_bit_cast(__m256, limit), _CMP_GT_OQ)) != 0;
  }
  static U64 multiply(U64 a, U64 b) {
    return __builtin_bit_cast(
        U64, _mm256_mul_epu32(__builtin_bit_cast(__m256i, a), __builtin_bit_cast(__m256i, b)));
  }
  static U64 lane_numbers() { return U64{0, 1, 2, 3}; }
  static bool any_below(U words, std::uint32_t limit) {
    // AVX2 compares only signed words; nothing is below the limit if no word is its own minimum.
    const __m256i w = __builtin_bit_cast(__m256i, words);
    const __m256i last = _mm256_set1_epi32(static_cast<int>(limit - 1));
    return _mm256_movemask_epi8(_mm256_cmpeq_epi32(_mm256_min_epu32(w, last), w)) != 0;
  }
  static std::size_t list_between(F x, float least, float most, std::uint32_t first, TokenId* out) {
    const __m256 v = __builtin_bit_cast(__m256, x);
    const __m256 is_high = _mm256_cmp_ps(v, _mm256_set1_ps(least), _CMP_GE_OQ);
    const __m256 is_low = _mm256_cmp_ps(v, _mm256_set1_ps(most), _CMP_LE_OQ);
    auto mask = static_cast<unsigned>(_mm256_movemask_ps(_mm256_and_ps(is_high, is_low)));
    std::size_t n = 0;
    for (; mask != 0; mask &= mask - 1) {
      out[n++] = static_cast<TokenId>(first + static_cast<unsigned>(__builtin_ctz(mask)));
    }
    return n;
  }
  static float largest(F x) {
    const auto low = __builtin_shufflevector(x, x, 0, 1, 2, 3);
    const auto high = __builtin_shufflevector(x, x, 4, 5, 6, 7);
    const auto four = high > low ? high : low;
    float result = four[0];
    for (int i = 1; i < 4; ++i) result = four[i] > result ? four[i] : result;
    return result;
  }
  // Block j holds words 0, 1 in a[j] and words 2, 3 in b[j]; in order a[0] b[0] a[1] b[1] ...
  static U first_tokens(U64 a, U64 b) {
    return __builtin_bit_cast(U, __builtin_shufflevector(a, b, 0, 4, 1, 5));
  }
  static U last_tokens(U64 a, U64 b) {
    return __builtin_bit_cast(U, __builtin_shufflevector(a, b, 2, 6, 3, 7));
  }
};

}  // namespace
}  // namespace gumbelspec

#include "src/core/vector_kernels_inc.h"

namespace gumbelspec {
const VectorKernels kAvx2Kernels = kWideKernels;
}  // namespace gumbelspec
