// Compiled with AVX-512 F, DQ, BW and VL; called only where the processor has them.
#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

struct Wide {
  static constexpr std::size_t kLanes = 16;
  using F = float __attribute__((vector_size(64)));
  using U = std::uint32_t __attribute__((vector_size(64)));
  using I = std::int32_t __attribute__((vector_size(64)));
  using U64 = std::uint64_t __attribute__((vector_size(64)));
  using Half = float __attribute__((vector_size(32)));
  using D = double __attribute__((vector_size(64)));
  using Q = U64;

  static F to_float(I i) { return __builtin_convertvector(i, F); }
  static F word_to_float(U w) {
    return __builtin_bit_cast(F, _mm512_maskz_cvtepu32_ps(0xFFFF, __builtin_bit_cast(__m512i, w)));
  }
  static F fma(F a, F b, F c) {
    return __builtin_bit_cast(
        F, _mm512_fmadd_ps(__builtin_bit_cast(__m512, a), __builtin_bit_cast(__m512, b),
                           __builtin_bit_cast(__m512, c)));
  }
  static bool any_above(F x, F limit) {
    return _mm512_cmp_ps_mask(__builtin_bit_cast(__m512, x), __builtin_bit_cast(__m512, limit),
                              _CMP_GT_OQ) != 0;
  }
  static U64 multiply(U64 a, U64 b) {
    // With a mask of ones: the same instruction, without g++ 12's false "may be uninitialized".
    return __builtin_bit_cast(U64, _mm512_maskz_mul_epu32(0xFF, __builtin_bit_cast(__m512i, a),
                                                          __builtin_bit_cast(__m512i, b)));
  }
  static U64 lane_numbers() { return U64{0, 1, 2, 3, 4, 5, 6, 7}; }
  static bool any_below(U words, std::uint32_t limit) {
    return _mm512_cmplt_epu32_mask(__builtin_bit_cast(__m512i, words),
                                   _mm512_set1_epi32(static_cast<int>(limit))) != 0;
  }
  static std::size_t list_between(F x, float least, float most, std::uint32_t first, TokenId* out) {
    const __m512 v = __builtin_bit_cast(__m512, x);
    const __mmask16 is_high = _mm512_cmp_ps_mask(v, _mm512_set1_ps(least), _CMP_GE_OQ);
    const __mmask16 mask = _mm512_mask_cmp_ps_mask(is_high, v, _mm512_set1_ps(most), _CMP_LE_OQ);
    if (mask == 0) return 0;
    constexpr U kNumbers = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    const U numbers = kNumbers + first;
    const __m512i listed = _mm512_maskz_compress_epi32(mask, __builtin_bit_cast(__m512i, numbers));
    __builtin_memcpy(out, &listed, sizeof listed);
    return static_cast<std::size_t>(__builtin_popcount(mask));
  }
  static float largest(F x) {
    const auto low = __builtin_shufflevector(x, x, 0, 1, 2, 3, 4, 5, 6, 7);
    const auto high = __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15);
    const auto eight = high > low ? high : low;
    const auto first = __builtin_shufflevector(eight, eight, 0, 1, 2, 3);
    const auto last = __builtin_shufflevector(eight, eight, 4, 5, 6, 7);
    const auto four = last > first ? last : first;
    float result = four[0];
    for (int i = 1; i < 4; ++i) result = four[i] > result ? four[i] : result;
    return result;
  }
  // Block j holds words 0, 1 in a[j] and words 2, 3 in b[j]; in order a[0] b[0] a[1] b[1] ...
  static U first_tokens(U64 a, U64 b) {
    return __builtin_bit_cast(U, __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11));
  }
  static U last_tokens(U64 a, U64 b) {
    return __builtin_bit_cast(U, __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15));
  }
};

}  // namespace
}  // namespace gumbelspec

#include "src/core/vector_kernels_inc.h"

namespace gumbelspec {
const VectorKernels kAvx512Kernels = kWideKernels;
}  // namespace gumbelspec
