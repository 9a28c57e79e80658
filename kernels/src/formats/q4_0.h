// Q4_0: 32 weights, d * (q - 8).
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_Q4_0_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_Q4_0_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_Q4_0> : CodeBits<4, 0, 8>, HalfScale {
  static constexpr char kName[] = "Q4_0";
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

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_Q4_0_H_
