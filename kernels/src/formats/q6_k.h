// Q6_K: 256 weights, d * scale * (q - 32); a signed scale of eight bits per 16.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_Q6_K_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_Q6_K_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_Q6_K> : CodeBits<4, 2, 32>, TwoScales {
  static constexpr char kName[] = "Q6_K";
  static constexpr int64_t kColumns = 256;
  struct Block {
    uint8_t low[128];
    uint8_t high[64];
    int8_t scales[16];
    Half d;
  };
  static_assert(sizeof(Block) == 210);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int i = 0; i < 256; ++i) {
      const Place at(i);
      parts->codes[i] = static_cast<uint8_t>(((block.low[at.low] >> at.low_shift) & 15) |
                                             (((block.high[at.high] >> at.high_shift) & 3) << 4));
    }
    std::memcpy(parts->scales, block.scales, sizeof(block.scales));
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    std::memset(block->low, 0, sizeof(block->low));
    std::memset(block->high, 0, sizeof(block->high));
    for (int i = 0; i < 256; ++i) {
      const Place at(i);
      block->low[at.low] |= static_cast<uint8_t>((parts.codes[i] & 15) << at.low_shift);
      block->high[at.high] |= static_cast<uint8_t>((parts.codes[i] >> 4) << at.high_shift);
    }
    std::memcpy(block->scales, parts.scales, sizeof(block->scales));
    block->d = parts.super[0];
  }

 private:
  // Where the bits of weight i lie.
  struct Place {
    int low, low_shift, high, high_shift;
    explicit Place(int i) {
      const int half = i / 128, quarter = i % 128 / 32, rest = i % 32;
      low = half * 64 + quarter % 2 * 32 + rest;
      low_shift = quarter / 2 * 4;
      high = half * 32 + rest;
      high_shift = 2 * quarter;
    }
  };
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_Q6_K_H_
