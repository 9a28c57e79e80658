// Q4_1: 32 weights, d * q + m.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_Q4_1_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_Q4_1_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_Q4_1> : CodeBits<4, 0, 0>, HalfScaleAndMin {
  static constexpr char kName[] = "Q4_1";
  static constexpr int64_t kColumns = 32;
  struct Block {
    Half scales[2];  // d, m
    uint8_t q[16];   // byte i: weights i (low) and i + 16 (high)
  };
  static_assert(sizeof(Block) == 20);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    split_nibbles(block.q, parts->codes);
    std::memcpy(parts->scales[0], block.scales, 4);
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    join_nibbles(parts.codes, block->q);
    std::memcpy(block->scales, parts.scales[0], 4);
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_Q4_1_H_
