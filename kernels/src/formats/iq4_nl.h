// IQ4_NL: 32 weights, d * value[q].
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_IQ4_NL_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_IQ4_NL_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

// The sixteen values of IQ4_NL and IQ4_XS, from -127 to 113, plus 128.
struct FourBitValues : CodeBits<4, 0, 128> {
  static constexpr int kValueBits = 8;
  static constexpr uint8_t kValues[16] = {1,   24,  45,  63,  79,  93,  106, 118,
                                          129, 141, 153, 166, 181, 197, 217, 241};
  template <class V>
  static GUMBELSPEC_INLINE typename V::Int values(typename V::Int codes) {
    return V::lookup(kValues, codes);
  }
};

template <>
struct FormatTraits<GGML_TYPE_IQ4_NL> : FourBitValues, HalfScale {
  static constexpr char kName[] = "IQ4_NL";
  static constexpr int64_t kColumns = 32;
  struct Block {
    Half d;
    uint8_t q[16];  // byte i: weights i (low) and i + 16 (high)
  };
  static_assert(sizeof(Block) == 18);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    split_nibbles(block.q, parts->codes);
    std::memcpy(parts->scales[0], &block.d, 2);
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    join_nibbles(parts.codes, block->q);
    std::memcpy(&block->d, parts.scales[0], 2);
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_IQ4_NL_H_
