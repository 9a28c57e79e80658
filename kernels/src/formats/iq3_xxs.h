// IQ3_XXS: 256 weights, four of which are an entry of a grid of 256 with signs; a scale per 32.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_IQ3_XXS_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_IQ3_XXS_H_

#include "kernels/src/format_traits.h"
#include "kernels/src/formats/grids.h"

namespace gumbelspec::kernels {

// Half of the values 4, 12, 20, 28, 36, 44, 52, 62 and of their negatives, plus 32.
struct EightLevels : CodeBits<4, 0, 32> {
  static constexpr int kValueBits = 6, kShift = 3, kSignBit = 3;
  static constexpr uint8_t kMagnitudes[8] = {4, 12, 20, 28, 36, 44, 52, 62};
  static constexpr uint8_t kValues[16] = {34, 38, 42, 46, 50, 54, 58, 63,
                                          30, 26, 22, 18, 14, 10, 6,  1};
  template <class V>
  static GUMBELSPEC_INLINE typename V::Int values(typename V::Int codes) {
    return V::lookup(kValues, codes);
  }
};

template <>
struct FormatTraits<GGML_TYPE_IQ3_XXS> : EightLevels, OddScale<2> {
  static constexpr char kName[] = "IQ3_XXS";
  static constexpr int64_t kColumns = 256;
  struct Block {
    Half d;
    uint8_t q[64];     // entries
    uint8_t rest[32];  // per 32 weights 4 times 7 bits of signs, 4 bits of scale
  };
  static_assert(sizeof(Block) == 98);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int b = 0; b < 8; ++b) {
      uint32_t rest;
      std::memcpy(&rest, block.rest + 4 * b, 4);
      for (int l = 0; l < 8; ++l) {
        const unsigned signs = signs_of_seven((rest >> (l / 2 * 7)) & 127) >> (l % 2 * 4);
        put_entry<EightLevels>(grid_entry(Grid::iq3_xxs, block.q[8 * b + l]), signs, 4,
                               parts->codes + 32 * b + 4 * l);
      }
      parts->scales[b][0] = odd_of(static_cast<int>(rest >> 28));
    }
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    for (int b = 0; b < 8; ++b) {
      uint32_t rest = static_cast<uint32_t>(scale_of(parts.scales[b][0])) << 28;
      for (int l = 0; l < 8; ++l) {
        unsigned signs;
        const uint64_t entry = get_entry<EightLevels>(parts.codes + 32 * b + 4 * l, 4, &signs);
        block->q[8 * b + l] = static_cast<uint8_t>(grid_index(Grid::iq3_xxs, entry));
        // The eighth sign follows from the other seven.
        rest |= (l % 2 == 0 ? signs : (signs & 7) << 4) << (l / 2 * 7);
      }
      std::memcpy(block->rest + 4 * b, &rest, 4);
    }
    block->d = parts.super[0];
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_IQ3_XXS_H_
