// What the kernels know of a weight type: how it lies in a file, how a row of it is taken apart for
// a panel, and how its scales come out of there. Each type has a file in formats/; formats.h lists
// them.
//
// A *panel* holds kPanelRows rows of a weight matrix. Inside it the columns run in blocks of
// kBlock; a block stores, for each *group* of four columns, the four codes of row 0, then of
// row 1, ... row 15. One 64-byte vector therefore holds one group of all sixteen rows, which is
// exactly the operand that a four-way dot-product instruction wants, and the sixteen results of a
// block stay in one register, one lane per row.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMAT_TRAITS_H_
#define GUMBELSPEC_KERNELS_SRC_FORMAT_TRAITS_H_

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "ggml.h"
#include "kernels/src/unroll.h"

namespace gumbelspec::kernels {

inline constexpr int64_t kPanelRows = 16;
inline constexpr int64_t kBlock = 32;  // columns that share one entry of the scales
inline constexpr int kGroups = 8;      // of four columns, in a block

using Half = uint16_t;  // bits of an IEEE binary16

// What the activations must be turned into before a product.
enum class ActivationFormat : uint8_t { int8, bf16, f32 };

// Specialised for the types that the device takes.
//
// Of a quantised type it derives from CodeBits and one of the scales below, and has
//   kName             as `gumbelspec info` prints it
//   Block             as it lies in a GGUF file
//   kColumns          weights of a Block, a multiple of kBlock
//   read, write       between a Block and its Parts, lossless
//   Panel             if another type has panels like these: codes, scales and kColumns of both, so
//                     that they share their products
// Of floats: see formats/floats.h.
template <ggml_type kType>
struct FormatTraits {};

// What the products know of a type.
template <class Format>
struct PanelOfFormat {
  using Type = Format;
};
template <class Format>
requires requires { typename Format::Panel; }
struct PanelOfFormat<Format> {
  using Type = typename Format::Panel;
};
template <class Format>
using PanelOf = typename PanelOfFormat<Format>::Type;

// A Block taken apart.
template <class Format>
struct Parts {
  uint8_t codes[Format::kColumns];  // unsigned, in column order
  // For each kBlock columns kScaleFields fields of kScaleBytes bytes.
  static constexpr int kScales = Format::kScaleFields * Format::kScaleBytes;
  uint8_t scales[Format::kColumns / kBlock][kScales > 0 ? kScales : 1];
  Half super[Format::kSuperFields > 0 ? Format::kSuperFields : 1];
};

// Sixteen bytes that hold weight i in their low and weight i + 16 in their high nibbles.
inline void split_nibbles(const uint8_t* bytes, uint8_t* codes) {
  for (int i = 0; i < 16; ++i) {
    codes[i] = bytes[i] & 15;
    codes[i + 16] = bytes[i] >> 4;
  }
}
inline void join_nibbles(const uint8_t* codes, uint8_t* bytes) {
  for (int i = 0; i < 16; ++i) {
    bytes[i] = static_cast<uint8_t>((codes[i] & 15) | (codes[i + 16] << 4));
  }
}

// The lowest two bits of 256 codes in 64 bytes: byte 32 * h + i has weights 128 * h + i + 0, 32, 64
// and 96, from its lowest bits up.
namespace two_bits {

inline void read(const uint8_t* bytes, uint8_t* codes) {
  for (int i = 0; i < 256; ++i) {
    codes[i] = (bytes[i / 128 * 32 + i % 32] >> (i % 128 / 32 * 2)) & 3;
  }
}
inline void write(const uint8_t* codes, uint8_t* bytes) {
  std::memset(bytes, 0, 64);
  for (int i = 0; i < 256; ++i) {
    bytes[i / 128 * 32 + i % 32] |= static_cast<uint8_t>((codes[i] & 3) << (i % 128 / 32 * 2));
  }
}

}  // namespace two_bits

// Codes of kLow bits (2, 4 or 8) with kHigh more (0, 1 or 2) on top, which lie apart. A weight is a
// multiple of code - kZero.
template <int kLow, int kHigh, int kZero>
struct CodeBits {
  static_assert(kLow == 2 || kLow == 4 || kLow == 8);
  static_assert(kHigh >= 0 && kHigh <= 2 && kLow + kHigh <= 8);
  static constexpr ActivationFormat kActivations = ActivationFormat::int8;
  static constexpr int kLowBits = kLow, kHighBits = kHigh, kOffset = kZero;
  // What is multiplied: the codes themselves. A type whose codes are places in a table hides these
  // two with its values', up to 8 bits that are not negative; its kZero is what was added to them.
  static constexpr int kValueBits = kLow + kHigh;
  template <class V>
  static GUMBELSPEC_INLINE typename V::Int values(typename V::Int codes) {
    return codes;
  }
};

// The scales of a block, with
//   kMins             a min is subtracted: weight = d * code - m
//   kHalves           the two halves of a block have a scale each, d and m; with kMins, which are
//                     then min_low and min_high, each divided by 32
//   kScaleFields      values per row and block, of kScaleBytes bytes; field f of row r lies at
//                     (f * kPanelRows + r) * kScaleBytes
//   kSuperFields      halves per row and super-block, in the same order
//   d, m              of as many rows as a vector has lanes; `scales` and `super` are where the
//                     first of these rows has its first field
//
// A half: weight = d * (code - kOffset).
struct HalfScale {
  static constexpr bool kMins = false, kHalves = false;
  static constexpr int kScaleFields = 1, kScaleBytes = 2, kSuperFields = 0;
  template <class V>
  static GUMBELSPEC_INLINE auto d(const uint8_t* scales, const uint8_t* /*super*/) {
    return V::load_half(scales);
  }
  template <class V>
  static GUMBELSPEC_INLINE auto m(const uint8_t* /*scales*/, const uint8_t* /*super*/) {
    return V::zero();
  }
};

// Two halves: weight = d * code + m, so the min is -m.
struct HalfScaleAndMin {
  static constexpr bool kMins = true, kHalves = false;
  static constexpr int kScaleFields = 2, kScaleBytes = 2, kSuperFields = 0;
  template <class V>
  static GUMBELSPEC_INLINE auto d(const uint8_t* scales, const uint8_t* /*super*/) {
    return V::load_half(scales);
  }
  template <class V>
  static GUMBELSPEC_INLINE auto m(const uint8_t* scales, const uint8_t* /*super*/) {
    return V::sub(V::zero(), V::load_half(scales + 32));
  }
};

// A power of two: byte e stands for 2^(e - 128).
struct PowerOfTwo {
  static constexpr bool kMins = false, kHalves = false;
  static constexpr int kScaleFields = 1, kScaleBytes = 1, kSuperFields = 0;
  template <class V>
  static GUMBELSPEC_INLINE auto d(const uint8_t* scales, const uint8_t* /*super*/) {
    return V::load_power(scales);
  }
  template <class V>
  static GUMBELSPEC_INLINE auto m(const uint8_t* /*scales*/, const uint8_t* /*super*/) {
    return V::zero();
  }
};

// Half d alone: weight = d * (code - kOffset).
struct SuperScale {
  static constexpr bool kMins = false, kHalves = false;
  static constexpr int kScaleFields = 0, kScaleBytes = 1, kSuperFields = 1;
  template <class V>
  static GUMBELSPEC_INLINE auto d(const uint8_t* /*scales*/, const uint8_t* super) {
    return V::load_half(super);
  }
  template <class V>
  static GUMBELSPEC_INLINE auto m(const uint8_t* /*scales*/, const uint8_t* /*super*/) {
    return V::zero();
  }
};

// A signed byte, half d: weight = d * scale * (code - kOffset).
struct SignedScale {
  static constexpr bool kMins = false, kHalves = false;
  static constexpr int kScaleFields = 1, kScaleBytes = 1, kSuperFields = 1;
  template <class V>
  static GUMBELSPEC_INLINE auto d(const uint8_t* scales, const uint8_t* super) {
    return V::mul(V::load_half(super), V::load_i8(scales));
  }
  template <class V>
  static GUMBELSPEC_INLINE auto m(const uint8_t* /*scales*/, const uint8_t* /*super*/) {
    return V::zero();
  }
};

// A byte for the scale and one for the min, half d and dmin:
// weight = d * scale * code - dmin * min.
struct ScaleAndMin {
  static constexpr bool kMins = true, kHalves = false;
  static constexpr int kScaleFields = 2, kScaleBytes = 1, kSuperFields = 2;
  template <class V>
  static GUMBELSPEC_INLINE auto d(const uint8_t* scales, const uint8_t* super) {
    return V::mul(V::load_half(super), V::load_u8(scales));
  }
  template <class V>
  static GUMBELSPEC_INLINE auto m(const uint8_t* scales, const uint8_t* super) {
    return V::mul(V::load_half(super + 32), V::load_u8(scales + 16));
  }
};

// A signed byte for each half of the block, half d: weight = d * scale * (code - kOffset).
struct TwoScales {
  static constexpr bool kMins = false, kHalves = true;
  static constexpr int kScaleFields = 2, kScaleBytes = 1, kSuperFields = 1;
  template <class V>
  static GUMBELSPEC_INLINE auto d(const uint8_t* scales, const uint8_t* super) {
    return V::mul(V::load_half(super), V::load_i8(scales));
  }
  template <class V>
  static GUMBELSPEC_INLINE auto m(const uint8_t* scales, const uint8_t* super) {
    return V::mul(V::load_half(super), V::load_i8(scales + 16));
  }
};

// For each half of the block a byte with a scale (low) and a min (high), half d and dmin:
// weight = d * scale * code - dmin * min.
struct TwoScalesAndMins {
  static constexpr bool kMins = true, kHalves = true;
  static constexpr int kScaleFields = 2, kScaleBytes = 1, kSuperFields = 2;
  template <class V>
  static GUMBELSPEC_INLINE auto d(const uint8_t* scales, const uint8_t* super) {
    return V::mul(V::load_half(super), V::load_low_nibbles(scales));
  }
  template <class V>
  static GUMBELSPEC_INLINE auto m(const uint8_t* scales, const uint8_t* super) {
    return V::mul(V::load_half(super), V::load_low_nibbles(scales + 16));
  }
  template <class V>
  static GUMBELSPEC_INLINE auto min_low(const uint8_t* scales, const uint8_t* super) {
    return V::mul(thirty_second<V>(super), V::load_high_nibbles(scales));
  }
  template <class V>
  static GUMBELSPEC_INLINE auto min_high(const uint8_t* scales, const uint8_t* super) {
    return V::mul(thirty_second<V>(super), V::load_high_nibbles(scales + 16));
  }

 private:
  template <class V>
  static GUMBELSPEC_INLINE auto thirty_second(const uint8_t* super) {
    return V::mul(V::load_half(super + 32), V::set1(1.0F / 32.0F));
  }
};

// Bytes from block to block in the sections of a panel: the codes, their upper bits, the scales,
// and from super-block to super-block.
template <class Format>
inline constexpr int64_t kCodePitch = 64 * Format::kLowBits;
template <class Format>
inline constexpr int64_t kHighPitch = 64 * Format::kHighBits;
template <class Format>
inline constexpr int64_t kScalePitch = kPanelRows* Format::kScaleFields* Format::kScaleBytes;
template <class Format>
inline constexpr int64_t kSuperPitch = kPanelRows * 2 * Format::kSuperFields;

// How often kFrom has to be halved to become kTo.
template <int64_t kFrom, int64_t kTo>
inline constexpr int kHalvings = 1 + kHalvings<kFrom / 2, kTo>;
template <int64_t kEqual>
inline constexpr int kHalvings<kEqual, kEqual> = 0;

template <class Format>  // blocks of a super-block
inline constexpr int64_t kBlocksOfSuper = Format::kColumns / kBlock;

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMAT_TRAITS_H_
