// Q1_0: 128 weights, d or -d. Q2_0: 64 weights, d * (q - 1).
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_Q1_0_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_Q1_0_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

// Their panels have two bits a weight.
template <>
struct FormatTraits<GGML_TYPE_Q1_0> : CodeBits<2, 0, 1>, SuperScale {
  static constexpr char kName[] = "Q1_0";
  static constexpr int64_t kColumns = 128;
  struct Block {
    Half d;
    uint8_t q[16];  // a bit for each weight: whether it is d
  };
  static_assert(sizeof(Block) == 18);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int i = 0; i < 128; ++i) {
      parts->codes[i] = static_cast<uint8_t>((block.q[i / 8] >> (i % 8) & 1) << 1);
    }
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    std::memset(block->q, 0, sizeof(block->q));
    for (int i = 0; i < 128; ++i) {
      block->q[i / 8] |= static_cast<uint8_t>((parts.codes[i] >> 1) << (i % 8));
    }
    block->d = parts.super[0];
  }
};

template <>
struct FormatTraits<GGML_TYPE_Q2_0> : CodeBits<2, 0, 1>, SuperScale {
  static constexpr char kName[] = "Q2_0";
  static constexpr int64_t kColumns = 64;
  struct Block {
    Half d;
    uint8_t q[16];
  };
  static_assert(sizeof(Block) == 18);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int i = 0; i < 64; ++i) parts->codes[i] = block.q[i / 4] >> (i % 4 * 2) & 3;
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    std::memset(block->q, 0, sizeof(block->q));
    for (int i = 0; i < 64; ++i) {
      block->q[i / 4] |= static_cast<uint8_t>(parts.codes[i] << (i % 4 * 2));
    }
    block->d = parts.super[0];
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_Q1_0_H_
