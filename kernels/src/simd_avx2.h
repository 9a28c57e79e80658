// Eight lanes of AVX2, as the shared templates want them.
#ifndef GUMBELSPEC_KERNELS_SRC_SIMD_AVX2_H_
#define GUMBELSPEC_KERNELS_SRC_SIMD_AVX2_H_

#include <immintrin.h>

#include <cstdint>

namespace gumbelspec::kernels {
namespace {  // compiled once per instruction set

struct Avx2 {
  using Float = __m256;
  using Int = __m256i;
  static constexpr int kLanes = 8;

  static Float zero() { return _mm256_setzero_ps(); }
  static Float set1(float x) { return _mm256_set1_ps(x); }
  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Float x) { _mm256_storeu_ps(p, x); }
  static Float load_half(const void* p) {
    return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
  static void store_half(uint16_t* p, Float x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
  }
  static Float load_bf16(const void* p) {
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
  }
  static Float load_i8(const void* p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepi8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))));
  }
  static Float load_u8(const void* p) {
    return _mm256_cvtepi32_ps(
        _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p))));
  }
  static Float load_low_nibbles(const void* p) {
    return to_float(_mm256_and_si256(widened(p), _mm256_set1_epi32(15)));
  }
  static Float load_high_nibbles(const void* p) {
    return to_float(_mm256_srli_epi32(widened(p), 4));
  }
  // Byte e is 2^(e - 128): from 2 on the exponent of a normal number is e - 1.
  static Float load_power(const void* p) {
    const Int e = widened(p), one = _mm256_set1_epi32(1);
    const Int normal = _mm256_slli_epi32(_mm256_sub_epi32(e, one), 23);
    const Int small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), _mm256_min_epi32(e, one));
    return _mm256_castsi256_ps(_mm256_max_epi32(normal, small));
  }
  // table[c] for every byte c < 16 of the codes.
  static Int lookup(const uint8_t (&table)[16], Int codes) {
    const __m128i once = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(once), codes);
  }
  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm256_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm256_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float abs(Float a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0F), a); }
  // Sum and maximum over the lanes, in a fixed order.
  static float sum(Float a) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static float top(Float a) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }

  static Int zero_int() { return _mm256_setzero_si256(); }
  static Int load_int(const int32_t* p) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  }
  static void store_int(int32_t* p, Int x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), x);
  }
  static Int add_int(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int round(Float a) { return _mm256_cvtps_epi32(a); }  // to nearest, ties to even
  static Float to_float(Int a) { return _mm256_cvtepi32_ps(a); }
  // 2^n for integers n in [-126, 127].
  static Float exp2_int(Int n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
  }
  static int32_t sum_int(Int a) {
    __m128i s = _mm_add_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1)));
  }
  // Lanes that fit into a byte, as bytes.
  static void store_narrow(uint8_t* p, Int a) {
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
  }
  // Sum of the lanes, exact.
  static int64_t sum_wide(Int a) {
    const __m256i low = _mm256_cvtepi32_epi64(_mm256_castsi256_si128(a));
    const __m256i high = _mm256_cvtepi32_epi64(_mm256_extracti128_si256(a, 1));
    alignas(32) int64_t part[4];
    _mm256_store_si256(reinterpret_cast<__m256i*>(part), _mm256_add_epi64(low, high));
    return part[0] + part[1] + part[2] + part[3];
  }
  // Lanes whose bit is clear become `other`.
  static Float select(uint32_t bits, Float a, Float other) {
    const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<int>(bits)), lane);
    return _mm256_blendv_ps(other, a, _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lane)));
  }
  // Bit per half (sixteen of them) that is not minus infinity.
  static uint32_t finite_bits(const uint16_t* p) {
    const __m256i same = _mm256_cmpeq_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
                                            _mm256_set1_epi16(static_cast<int16_t>(0xfc00)));
    const __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(same), _mm256_extracti128_si256(same, 1));
    return static_cast<uint32_t>(~_mm_movemask_epi8(bytes)) & 0xffff;
  }
  // Lane i of the result is the sum of the lanes of a[i].
  static Float sum_each(const Float (&a)[8]) {
    const Float u = _mm256_hadd_ps(_mm256_hadd_ps(a[0], a[1]), _mm256_hadd_ps(a[2], a[3]));
    const Float v = _mm256_hadd_ps(_mm256_hadd_ps(a[4], a[5]), _mm256_hadd_ps(a[6], a[7]));
    return add(_mm256_permute2f128_ps(u, v, 0x20), _mm256_permute2f128_ps(u, v, 0x31));
  }

 private:
  static Int widened(const void* p) {
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64(static_cast<const __m128i*>(p)));
  }
};

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_SIMD_AVX2_H_
