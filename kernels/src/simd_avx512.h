// Sixteen lanes of AVX-512, as the shared templates want them.
#ifndef GUMBELSPEC_KERNELS_SRC_SIMD_AVX512_H_
#define GUMBELSPEC_KERNELS_SRC_SIMD_AVX512_H_

#include <immintrin.h>

#include <cstdint>

namespace gumbelspec::kernels {
namespace {  // compiled once per instruction set

struct Avx512 {
  using Float = __m512;
  using Int = __m512i;
  static constexpr int kLanes = 16;

  static Float zero() { return _mm512_setzero_ps(); }
  static Float set1(float x) { return _mm512_set1_ps(x); }
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float x) { _mm512_storeu_ps(p, x); }
  static Float load_half(const void* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
  }
  static void store_half(uint16_t* p, Float x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p),
                        _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
  }
  static Float load_bf16(const void* p) {
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
  }
  static Float load_i8(const void* p) {
    return _mm512_cvtepi32_ps(
        _mm512_cvtepi8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
  }
  static Float load_u8(const void* p) {
    return _mm512_cvtepi32_ps(
        _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p))));
  }
  static Float load_low_nibbles(const void* p) {
    return to_float(_mm512_and_si512(widened(p), _mm512_set1_epi32(15)));
  }
  static Float load_high_nibbles(const void* p) {
    return to_float(_mm512_srli_epi32(widened(p), 4));
  }
  // Byte e is 2^(e - 128): from 2 on the exponent of a normal number is e - 1.
  static Float load_power(const void* p) {
    const Int e = widened(p), one = _mm512_set1_epi32(1);
    const Int normal = _mm512_slli_epi32(_mm512_sub_epi32(e, one), 23);
    const Int small = _mm512_sllv_epi32(_mm512_set1_epi32(0x00200000), _mm512_min_epi32(e, one));
    return _mm512_castsi512_ps(_mm512_max_epi32(normal, small));
  }
  // table[c] for every byte c < 16 of the codes.
  static Int lookup(const uint8_t (&table)[16], Int codes) {
    const __m128i once = _mm_loadu_si128(reinterpret_cast<const __m128i*>(table));
    return _mm512_shuffle_epi8(_mm512_broadcast_i32x4(once), codes);
  }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float sub(Float a, Float b) { return _mm512_sub_ps(a, b); }
  static Float mul(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float div(Float a, Float b) { return _mm512_div_ps(a, b); }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float abs(Float a) { return _mm512_abs_ps(a); }
  // Sum and maximum over the lanes, in a fixed order.
  static float sum(Float a) { return _mm512_reduce_add_ps(a); }
  static float top(Float a) { return _mm512_reduce_max_ps(a); }

  static Int zero_int() { return _mm512_setzero_si512(); }
  static Int load_int(const int32_t* p) { return _mm512_loadu_si512(p); }
  static void store_int(int32_t* p, Int x) { _mm512_storeu_si512(p, x); }
  static Int add_int(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int round(Float a) { return _mm512_cvtps_epi32(a); }  // to nearest, ties to even
  static Float to_float(Int a) { return _mm512_cvtepi32_ps(a); }
  // 2^n for integers n in [-126, 127].
  static Float exp2_int(Int n) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_add_epi32(n, _mm512_set1_epi32(127)), 23));
  }
  static int32_t sum_int(Int a) { return _mm512_reduce_add_epi32(a); }
  // Lanes that fit into a byte, as bytes.
  static void store_narrow(uint8_t* p, Int a) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(a));
  }
  // Sum of the lanes, exact.
  static int64_t sum_wide(Int a) {
    const __m512i low = _mm512_cvtepi32_epi64(_mm512_castsi512_si256(a));
    const __m512i high = _mm512_cvtepi32_epi64(_mm512_extracti64x4_epi64(a, 1));
    return _mm512_reduce_add_epi64(_mm512_add_epi64(low, high));
  }
  // Lanes whose bit is clear become `other`.
  static Float select(uint32_t bits, Float a, Float other) {
    return _mm512_mask_blend_ps(static_cast<__mmask16>(bits), other, a);
  }
  // Bit per half that is not minus infinity.
  static uint32_t finite_bits(const uint16_t* p) {
    return _mm256_cmpneq_epi16_mask(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)),
                                    _mm256_set1_epi16(static_cast<int16_t>(0xfc00)));
  }
  // Lane i of the result is the sum of the lanes of a[i].
  static Float sum_each(const Float (&a)[16]) {
    Float t[8], u[4], v[2];
    for (int i = 0; i < 8; ++i) {
      t[i] = add(_mm512_shuffle_f32x4(a[i], a[i + 8], 0x44),
                 _mm512_shuffle_f32x4(a[i], a[i + 8], 0xee));
    }
    for (int i = 0; i < 4; ++i) {
      u[i] = add(_mm512_shuffle_f32x4(t[i], t[i + 4], 0x88),
                 _mm512_shuffle_f32x4(t[i], t[i + 4], 0xdd));
    }
    for (int i = 0; i < 2; ++i) {
      v[i] = add(_mm512_unpacklo_ps(u[i], u[i + 2]), _mm512_unpackhi_ps(u[i], u[i + 2]));
    }
    const Float w = add(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    return _mm512_shuffle_f32x4(w, w, 0xd8);
  }

 private:
  static Int widened(const void* p) {
    return _mm512_cvtepu8_epi32(_mm_loadu_si128(static_cast<const __m128i*>(p)));
  }
};

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_SIMD_AVX512_H_
