// What the IQ types of one, two and three bits have in common: groups of weights are entries of a
// codebook. Panels hold the weights themselves, so they are wider than a file: 3.1 to 3.6 bits for
// the types of one and two, 4.3 for those of three.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_GRIDS_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_GRIDS_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

enum class Grid : uint8_t { iq1_s, iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s };

// An entry of a codebook as ggml has it: 8 bytes, or 4 of the types of three bits.
uint64_t grid_entry(Grid grid, int index);
// The inverse. Returns: 0 for what is no entry.
int grid_index(Grid grid, uint64_t entry);

// Seven bits with a parity on top, as eight signs.
inline unsigned signs_of_seven(unsigned bits) {
  return bits | (static_cast<unsigned>(__builtin_parity(bits)) << 7);
}

// Codes that are a level and a sign on top of it. A byte b of an entry has the level b >> kShift.
template <class Levels>
void put_entry(uint64_t entry, unsigned signs, int n, uint8_t* codes) {
  for (int j = 0; j < n; ++j) {
    const auto level = static_cast<uint8_t>((entry >> (8 * j)) & 255) >> Levels::kShift;
    codes[j] = static_cast<uint8_t>(level | (((signs >> j) & 1) << Levels::kSignBit));
  }
}
template <class Levels>
uint64_t get_entry(const uint8_t* codes, int n, unsigned* signs) {
  uint64_t entry = 0;
  *signs = 0;
  for (int j = 0; j < n; ++j) {
    const int level = codes[j] & ((1 << Levels::kSignBit) - 1);
    entry |= static_cast<uint64_t>(Levels::kMagnitudes[level]) << (8 * j);
    *signs |= static_cast<unsigned>(codes[j] >> Levels::kSignBit) << j;
  }
  return entry;
}

// The types of two bits: 8, 25, 43 and their negatives, plus 64.
struct ThreeLevels : CodeBits<2, 1, 64> {
  static constexpr int kValueBits = 7, kShift = 4, kSignBit = 2;
  static constexpr uint8_t kMagnitudes[4] = {8, 25, 43, 0};
  static constexpr uint8_t kValues[16] = {72, 89, 107, 64, 56, 39, 21, 64};
  template <class V>
  static GUMBELSPEC_INLINE typename V::Int values(typename V::Int codes) {
    return V::lookup(kValues, codes);
  }
};

// The types of one bit: eight times -1, 0 or 1, plus or minus one, plus 16.
struct Ternary : CodeBits<2, 1, 16> {
  static constexpr int kValueBits = 5;
  static constexpr uint8_t kValues[16] = {9, 17, 25, 16, 7, 15, 23, 16};
  template <class V>
  static GUMBELSPEC_INLINE typename V::Int values(typename V::Int codes) {
    return V::lookup(kValues, codes);
  }
  static void put(uint64_t entry, bool is_lower, uint8_t* codes) {
    for (int j = 0; j < 8; ++j) {
      const int level = static_cast<int8_t>((entry >> (8 * j)) & 255) + 1;
      codes[j] = static_cast<uint8_t>(level | (is_lower ? 4 : 0));
    }
  }
  static uint64_t get(const uint8_t* codes) {
    uint64_t entry = 0;
    for (int j = 0; j < 8; ++j) {
      entry |= static_cast<uint64_t>(static_cast<uint8_t>((codes[j] & 3) - 1)) << (8 * j);
    }
    return entry;
  }
};

// A byte 2 * s + 1 for the scale s of a block, or of each half of it, half d; all by kDivisor.
template <int kDivisor>
struct OddScale : SignedScale {
  template <class V>
  static GUMBELSPEC_INLINE auto d(const uint8_t* scales, const uint8_t* super) {
    return V::mul(SignedScale::d<V>(scales, super), V::set1(1.0F / kDivisor));
  }
};
template <int kDivisor>
struct OddScales : TwoScales {
  template <class V>
  static GUMBELSPEC_INLINE auto d(const uint8_t* scales, const uint8_t* super) {
    return V::mul(TwoScales::d<V>(scales, super), V::set1(1.0F / kDivisor));
  }
  template <class V>
  static GUMBELSPEC_INLINE auto m(const uint8_t* scales, const uint8_t* super) {
    return V::mul(TwoScales::m<V>(scales, super), V::set1(1.0F / kDivisor));
  }
};
inline uint8_t odd_of(int scale) { return static_cast<uint8_t>(2 * scale + 1); }
inline int scale_of(uint8_t odd) { return odd >> 1; }

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_GRIDS_H_
