// Q5_K: as Q4_K, with a fifth bit apart.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_Q5_K_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_Q5_K_H_

#include "kernels/src/formats/q4_k.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_Q5_K> : CodeBits<4, 1, 0>, ScaleAndMin {
  static constexpr char kName[] = "Q5_K";
  static constexpr int64_t kColumns = 256;
  struct Block {
    Half d, dmin;
    uint8_t scales[12];
    uint8_t high[32];  // bit j of byte i: of weight 32 * j + i
    uint8_t q[128];
  };
  static_assert(sizeof(Block) == 176);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    k_quants::read_low(block, parts);
    for (int i = 0; i < 256; ++i) {
      parts->codes[i] |= static_cast<uint8_t>(((block.high[i % 32] >> (i / 32)) & 1) << 4);
    }
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    k_quants::write_low(parts, block);
    std::memset(block->high, 0, sizeof(block->high));
    for (int i = 0; i < 256; ++i) {
      block->high[i % 32] |= static_cast<uint8_t>((parts.codes[i] >> 4) << (i / 32));
    }
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_Q5_K_H_
