// IQ1_S: 256 weights, eight of which are an entry of a grid of 2048; a scale and a shift per 32.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_IQ1_S_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_IQ1_S_H_

#include "kernels/src/format_traits.h"
#include "kernels/src/formats/grids.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_IQ1_S> : Ternary, OddScale<8> {
  static constexpr char kName[] = "IQ1_S";
  static constexpr int64_t kColumns = 256;
  struct Block {
    Half d;
    uint8_t q[32];     // entry, lower 8 bits
    uint16_t rest[8];  // 4 times 3 bits of entries, 3 bits of scale, 1 of shift
  };
  static_assert(sizeof(Block) == 50);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int b = 0; b < 8; ++b) {
      const int rest = block.rest[b];
      for (int l = 0; l < 4; ++l) {
        const int index = block.q[4 * b + l] | (((rest >> (3 * l)) & 7) << 8);
        put(grid_entry(Grid::iq1_s, index), rest >> 15 != 0, parts->codes + 32 * b + 8 * l);
      }
      parts->scales[b][0] = odd_of((rest >> 12) & 7);
    }
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    for (int b = 0; b < 8; ++b) {
      int rest = scale_of(parts.scales[b][0]) << 12 | (parts.codes[32 * b] >> 2) << 15;
      for (int l = 0; l < 4; ++l) {
        const int index = grid_index(Grid::iq1_s, get(parts.codes + 32 * b + 8 * l));
        block->q[4 * b + l] = static_cast<uint8_t>(index);
        rest |= (index >> 8) << (3 * l);
      }
      block->rest[b] = static_cast<uint16_t>(rest);
    }
    block->d = parts.super[0];
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_IQ1_S_H_
