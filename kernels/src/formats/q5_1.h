// Q5_1: 32 weights, d * q + m.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_Q5_1_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_Q5_1_H_

#include "kernels/src/format_traits.h"
#include "kernels/src/formats/q5_0.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_Q5_1> : CodeBits<4, 1, 0>, HalfScaleAndMin {
  static constexpr char kName[] = "Q5_1";
  static constexpr int64_t kColumns = 32;
  struct Block {
    Half scales[2];  // d, m
    uint8_t high[4];
    uint8_t q[16];
  };
  static_assert(sizeof(Block) == 24);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    five_bits::read(block.q, block.high, parts->codes);
    std::memcpy(parts->scales[0], block.scales, 4);
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    five_bits::write(parts.codes, block->q, block->high);
    std::memcpy(block->scales, parts.scales[0], 4);
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_Q5_1_H_
