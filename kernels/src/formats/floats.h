// F16, F32 and BF16.
//
// FormatTraits of floats has
//   kElementBytes
//   kPairs            the elements of two columns are neighbours: a panel has pairs of columns, of
//                     16 rows each; otherwise column follows column
//   load              as many neighbours as a vector has lanes, as floats (not of pairs)
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_FLOATS_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_FLOATS_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_F16> {
  static constexpr char kName[] = "F16";
  static constexpr ActivationFormat kActivations = ActivationFormat::f32;
  static constexpr int64_t kElementBytes = 2;
  static constexpr bool kPairs = false;
  template <class V>
  static GUMBELSPEC_INLINE typename V::Float load(const uint8_t* at) {
    return V::load_half(at);
  }
};

template <>
struct FormatTraits<GGML_TYPE_F32> {
  static constexpr char kName[] = "F32";
  static constexpr ActivationFormat kActivations = ActivationFormat::f32;
  static constexpr int64_t kElementBytes = 4;
  static constexpr bool kPairs = false;
  template <class V>
  static GUMBELSPEC_INLINE typename V::Float load(const uint8_t* at) {
    return V::load(reinterpret_cast<const float*>(at));
  }
};

template <>
struct FormatTraits<GGML_TYPE_BF16> {
  static constexpr char kName[] = "BF16";
  static constexpr ActivationFormat kActivations = ActivationFormat::bf16;
  static constexpr int64_t kElementBytes = 2;
  static constexpr bool kPairs = true;
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_FLOATS_H_
