// MXFP4: 32 weights of four bits (E2M1), times a power of two.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_MXFP4_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_MXFP4_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_MXFP4> : CodeBits<4, 0, 16>, PowerOfTwo {
  static constexpr char kName[] = "MXFP4";
  static constexpr int64_t kColumns = 32;
  // Twice the weights 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives, plus 16.
  static constexpr int kValueBits = 5;
  static constexpr uint8_t kValues[16] = {16, 17, 18, 19, 20, 22, 24, 28,
                                          16, 15, 14, 13, 12, 10, 8,  4};
  struct Block {
    uint8_t exponent;
    uint8_t q[16];  // byte i: weights i (low) and i + 16 (high)
  };
  static_assert(sizeof(Block) == 17);

  template <class V>
  static GUMBELSPEC_INLINE typename V::Int values(typename V::Int codes) {
    return V::lookup(kValues, codes);
  }
  static void read(const Block& block, Parts<FormatTraits>* parts) {
    split_nibbles(block.q, parts->codes);
    parts->scales[0][0] = block.exponent;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    join_nibbles(parts.codes, block->q);
    block->exponent = parts.scales[0][0];
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_MXFP4_H_
