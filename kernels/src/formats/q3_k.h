// Q3_K: 256 weights, d * (scale - 32) * (q - 4); a scale of six bits per 16.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_Q3_K_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_Q3_K_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_Q3_K> : CodeBits<2, 1, 4>, TwoScales {
  static constexpr char kName[] = "Q3_K";
  static constexpr int64_t kColumns = 256;
  struct Block {
    uint8_t high[32];    // bit j of byte i: of weight 32 * j + i
    uint8_t q[64];       // pairs of bits, see two_bits
    uint8_t scales[12];  // scale j: four bits in byte j % 8, two in byte 8 + j % 4
    Half d;
  };
  static_assert(sizeof(Block) == 110);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    two_bits::read(block.q, parts->codes);
    for (int i = 0; i < 256; ++i) {
      const int high = (block.high[i % 32] >> (i / 32)) & 1;
      parts->codes[i] = static_cast<uint8_t>(parts->codes[i] | (high << 2));
    }
    for (int j = 0; j < 16; ++j) {
      const int low = (block.scales[j % 8] >> (j / 8 * 4)) & 15;
      const int high = (block.scales[8 + j % 4] >> (j / 4 * 2)) & 3;
      parts->scales[j / 2][j % 2] = static_cast<uint8_t>((low | (high << 4)) - 32);
    }
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    std::memset(block, 0, sizeof(*block));
    two_bits::write(parts.codes, block->q);
    for (int i = 0; i < 256; ++i) {
      block->high[i % 32] |= static_cast<uint8_t>((parts.codes[i] >> 2) << (i / 32));
    }
    for (int j = 0; j < 16; ++j) {
      const int scale = (parts.scales[j / 2][j % 2] + 32) & 63;
      block->scales[j % 8] |= static_cast<uint8_t>((scale & 15) << (j / 8 * 4));
      block->scales[8 + j % 4] |= static_cast<uint8_t>((scale >> 4) << (j / 4 * 2));
    }
    block->d = parts.super[0];
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_Q3_K_H_
