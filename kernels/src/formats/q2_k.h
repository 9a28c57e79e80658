// Q2_K: 256 weights, d * scale * q - dmin * min; scale and min of four bits per 16.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_Q2_K_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_Q2_K_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_Q2_K> : CodeBits<2, 0, 0>, TwoScalesAndMins {
  static constexpr char kName[] = "Q2_K";
  static constexpr int64_t kColumns = 256;
  struct Block {
    uint8_t scales[16];  // scale (low) and min (high)
    uint8_t q[64];       // pairs of bits, see two_bits
    Half super[2];       // d, dmin
  };
  static_assert(sizeof(Block) == 84);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    two_bits::read(block.q, parts->codes);
    std::memcpy(parts->scales, block.scales, sizeof(block.scales));
    std::memcpy(parts->super, block.super, sizeof(block.super));
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    two_bits::write(parts.codes, block->q);
    std::memcpy(block->scales, parts.scales, sizeof(block->scales));
    std::memcpy(block->super, parts.super, sizeof(block->super));
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_Q2_K_H_
