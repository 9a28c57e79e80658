// Q8_0: 32 weights, d * q.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_Q8_0_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_Q8_0_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_Q8_0> : CodeBits<8, 0, 128>, HalfScale {
  static constexpr char kName[] = "Q8_0";
  static constexpr int64_t kColumns = 32;
  struct Block {
    Half d;
    int8_t q[32];
  };
  static_assert(sizeof(Block) == 34);

  // The dot product wants one unsigned operand: weights are stored plus 128.
  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int i = 0; i < 32; ++i) parts->codes[i] = static_cast<uint8_t>(block.q[i] ^ 0x80);
    std::memcpy(parts->scales[0], &block.d, 2);
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    for (int i = 0; i < 32; ++i) block->q[i] = static_cast<int8_t>(parts.codes[i] ^ 0x80);
    std::memcpy(&block->d, parts.scales[0], 2);
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_Q8_0_H_
