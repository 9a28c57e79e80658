// IQ3_S: 256 weights, four of which are an entry of a grid of 512 with signs; a scale per 32.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_IQ3_S_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_IQ3_S_H_

#include "kernels/src/format_traits.h"
#include "kernels/src/formats/grids.h"

namespace gumbelspec::kernels {

// 1, 3, ... 15 and their negatives, plus 16.
struct OddLevels : CodeBits<4, 0, 16> {
  static constexpr int kValueBits = 5, kShift = 1, kSignBit = 3;
  static constexpr uint8_t kMagnitudes[8] = {1, 3, 5, 7, 9, 11, 13, 15};
  static constexpr uint8_t kValues[16] = {17, 19, 21, 23, 25, 27, 29, 31,
                                          15, 13, 11, 9,  7,  5,  3,  1};
  template <class V>
  static GUMBELSPEC_INLINE typename V::Int values(typename V::Int codes) {
    return V::lookup(kValues, codes);
  }
};

template <>
struct FormatTraits<GGML_TYPE_IQ3_S> : OddLevels, OddScale<1> {
  static constexpr char kName[] = "IQ3_S";
  static constexpr int64_t kColumns = 256;
  struct Block {
    Half d;
    uint8_t q[64];    // entry, lower 8 bits
    uint8_t high[8];  // ninth bits of eight entries
    uint8_t signs[32];
    uint8_t scales[4];  // nibbles
  };
  static_assert(sizeof(Block) == 110);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int i = 0; i < 64; ++i) {
      const int high = (block.high[i / 8] >> (i % 8)) & 1;
      put_entry<OddLevels>(grid_entry(Grid::iq3_s, block.q[i] | (high << 8)),
                           block.signs[i / 2] >> (i % 2 * 4), 4, parts->codes + 4 * i);
    }
    for (int b = 0; b < 8; ++b) {
      parts->scales[b][0] = odd_of((block.scales[b / 2] >> (b % 2 * 4)) & 15);
    }
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    std::memset(block, 0, sizeof(*block));
    for (int i = 0; i < 64; ++i) {
      unsigned signs;
      const uint64_t entry = get_entry<OddLevels>(parts.codes + 4 * i, 4, &signs);
      const int index = grid_index(Grid::iq3_s, entry);
      block->q[i] = static_cast<uint8_t>(index);
      block->high[i / 8] |= static_cast<uint8_t>((index >> 8) << (i % 8));
      block->signs[i / 2] |= static_cast<uint8_t>(signs << (i % 2 * 4));
    }
    for (int b = 0; b < 8; ++b) {
      block->scales[b / 2] |= static_cast<uint8_t>(scale_of(parts.scales[b][0]) << (b % 2 * 4));
    }
    block->d = parts.super[0];
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_IQ3_S_H_
