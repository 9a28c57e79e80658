// IQ2_XXS: 256 weights, eight of which are an entry of a grid of 256 with signs; a scale per 32.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_IQ2_XXS_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_IQ2_XXS_H_

#include "kernels/src/format_traits.h"
#include "kernels/src/formats/grids.h"

namespace gumbelspec::kernels {

template <>
struct FormatTraits<GGML_TYPE_IQ2_XXS> : ThreeLevels, OddScale<8> {
  static constexpr char kName[] = "IQ2_XXS";
  static constexpr int64_t kColumns = 256;
  struct Block {
    Half d;
    uint8_t q[64];  // per 32 weights 4 entries, 4 times 7 bits of signs, 4 bits of scale
  };
  static_assert(sizeof(Block) == 66);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int b = 0; b < 8; ++b) {
      uint32_t rest;
      std::memcpy(&rest, block.q + 8 * b + 4, 4);
      for (int l = 0; l < 4; ++l) {
        put_entry<ThreeLevels>(grid_entry(Grid::iq2_xxs, block.q[8 * b + l]),
                               signs_of_seven((rest >> (7 * l)) & 127), 8,
                               parts->codes + 32 * b + 8 * l);
      }
      parts->scales[b][0] = odd_of(static_cast<int>(rest >> 28));
    }
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    for (int b = 0; b < 8; ++b) {
      uint32_t rest = static_cast<uint32_t>(scale_of(parts.scales[b][0])) << 28;
      for (int l = 0; l < 4; ++l) {
        unsigned signs;
        const uint64_t entry = get_entry<ThreeLevels>(parts.codes + 32 * b + 8 * l, 8, &signs);
        block->q[8 * b + l] = static_cast<uint8_t>(grid_index(Grid::iq2_xxs, entry));
        rest |= (signs & 127) << (7 * l);
      }
      std::memcpy(block->q + 8 * b + 4, &rest, 4);
    }
    block->d = parts.super[0];
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_IQ2_XXS_H_
