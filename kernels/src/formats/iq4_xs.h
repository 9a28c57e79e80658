// IQ4_XS: 256 weights, d * (scale - 32) * value[q]; a scale of six bits per 32.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_IQ4_XS_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_IQ4_XS_H_

#include "kernels/src/format_traits.h"
#include "kernels/src/formats/iq4_nl.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_IQ4_XS> : FourBitValues, SignedScale {
  static constexpr char kName[] = "IQ4_XS";
  static constexpr int64_t kColumns = 256;
  struct Block {
    Half d;
    uint16_t scales_high;   // pairs of bits
    uint8_t scales_low[4];  // nibbles
    uint8_t q[128];         // 16 bytes per 32 weights, see split_nibbles
  };
  static_assert(sizeof(Block) == 136);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int j = 0; j < 8; ++j) {
      split_nibbles(block.q + 16 * j, parts->codes + 32 * j);
      const int low = (block.scales_low[j / 2] >> (j % 2 * 4)) & 15;
      const int high = (block.scales_high >> (2 * j)) & 3;
      parts->scales[j][0] = static_cast<uint8_t>((low | (high << 4)) - 32);
    }
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    std::memset(block, 0, sizeof(*block));
    for (int j = 0; j < 8; ++j) {
      join_nibbles(parts.codes + 32 * j, block->q + 16 * j);
      const int scale = (parts.scales[j][0] + 32) & 63;
      block->scales_low[j / 2] |= static_cast<uint8_t>((scale & 15) << (j % 2 * 4));
      block->scales_high = static_cast<uint16_t>(block->scales_high | ((scale >> 4) << (2 * j)));
    }
    block->d = parts.super[0];
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_IQ4_XS_H_
