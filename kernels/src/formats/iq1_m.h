// IQ1_M: 256 weights, eight of which are an entry of the grid of IQ1_S with a shift; a scale
// per 16.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_IQ1_M_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_IQ1_M_H_

#include "kernels/src/format_traits.h"
#include "kernels/src/formats/grids.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_IQ1_M> : Ternary, OddScales<8> {
  static constexpr char kName[] = "IQ1_M";
  static constexpr int64_t kColumns = 256;
  struct Block {
    uint8_t q[32];      // entry, lower 8 bits
    uint8_t high[16];   // per entry 3 bits more and a shift
    uint8_t scales[8];  // four words: 4 times 3 bits, and a quarter of d on top
  };
  static_assert(sizeof(Block) == 56);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    uint16_t words[4];
    std::memcpy(words, block.scales, 8);
    int d = 0;
    for (int w = 0; w < 4; ++w) {
      d |= words[w] >> 12 << (4 * w);
      for (int i = 0; i < 4; ++i) {
        parts->scales[2 * w + i / 2][i % 2] = odd_of((words[w] >> (3 * i)) & 7);
      }
    }
    parts->super[0] = static_cast<Half>(d);
    for (int i = 0; i < 32; ++i) {
      const int high = (block.high[i / 2] >> (i % 2 * 4)) & 15;
      put(grid_entry(Grid::iq1_s, block.q[i] | ((high & 7) << 8)), high >> 3 != 0,
          parts->codes + 8 * i);
    }
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    std::memset(block->high, 0, sizeof(block->high));
    uint16_t words[4];
    for (int w = 0; w < 4; ++w) {
      int word = (parts.super[0] >> (4 * w) & 15) << 12;
      for (int i = 0; i < 4; ++i) {
        word |= scale_of(parts.scales[2 * w + i / 2][i % 2]) << (3 * i);
      }
      words[w] = static_cast<uint16_t>(word);
    }
    std::memcpy(block->scales, words, 8);
    for (int i = 0; i < 32; ++i) {
      const int index = grid_index(Grid::iq1_s, get(parts.codes + 8 * i));
      const int high = (index >> 8) | (parts.codes[8 * i] >> 2 << 3);
      block->q[i] = static_cast<uint8_t>(index);
      block->high[i / 2] |= static_cast<uint8_t>(high << (i % 2 * 4));
    }
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_IQ1_M_H_
