// IQ2_XS and IQ2_S: 256 weights, eight of which are an entry of a grid with signs; a scale per 16.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_IQ2_XS_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_IQ2_XS_H_

#include "kernels/src/format_traits.h"
#include "kernels/src/formats/grids.h"

namespace gumbelspec::kernels {

// Their panels are alike.
struct TwoBitPanel : ThreeLevels, OddScales<8> {
  static constexpr int64_t kColumns = 256;

  template <class Format>
  static void read_scales(const uint8_t* nibbles, Parts<Format>* parts) {
    for (int b = 0; b < 8; ++b) {
      parts->scales[b][0] = odd_of(nibbles[b] & 15);
      parts->scales[b][1] = odd_of(nibbles[b] >> 4);
    }
  }
  template <class Format>
  static void write_scales(const Parts<Format>& parts, uint8_t* nibbles) {
    for (int b = 0; b < 8; ++b) {
      nibbles[b] =
          static_cast<uint8_t>(scale_of(parts.scales[b][0]) | (scale_of(parts.scales[b][1]) << 4));
    }
  }
};

template <>
struct FormatTraits<GGML_TYPE_IQ2_XS> : TwoBitPanel {
  using Panel = TwoBitPanel;
  static constexpr char kName[] = "IQ2_XS";
  struct Block {
    Half d;
    uint16_t q[32];  // entry (9 bits), signs (7)
    uint8_t scales[8];
  };
  static_assert(sizeof(Block) == 74);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int i = 0; i < 32; ++i) {
      put_entry<ThreeLevels>(grid_entry(Grid::iq2_xs, block.q[i] & 511),
                             signs_of_seven(block.q[i] >> 9), 8, parts->codes + 8 * i);
    }
    read_scales(block.scales, parts);
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    for (int i = 0; i < 32; ++i) {
      unsigned signs;
      const uint64_t entry = get_entry<ThreeLevels>(parts.codes + 8 * i, 8, &signs);
      const auto index = static_cast<unsigned>(grid_index(Grid::iq2_xs, entry));
      block->q[i] = static_cast<uint16_t>(index | ((signs & 127) << 9));
    }
    write_scales(parts, block->scales);
    block->d = parts.super[0];
  }
};

template <>
struct FormatTraits<GGML_TYPE_IQ2_S> : TwoBitPanel {
  using Panel = TwoBitPanel;
  static constexpr char kName[] = "IQ2_S";
  struct Block {
    Half d;
    uint8_t q[32];  // entry, lower 8 bits
    uint8_t signs[32];
    uint8_t high[8];  // upper 2 bits of four entries
    uint8_t scales[8];
  };
  static_assert(sizeof(Block) == 82);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int i = 0; i < 32; ++i) {
      const int high = (block.high[i / 4] >> (i % 4 * 2)) & 3;
      put_entry<ThreeLevels>(grid_entry(Grid::iq2_s, block.q[i] | (high << 8)), block.signs[i], 8,
                             parts->codes + 8 * i);
    }
    read_scales(block.scales, parts);
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    std::memset(block->high, 0, sizeof(block->high));
    for (int i = 0; i < 32; ++i) {
      unsigned signs;
      const uint64_t entry = get_entry<ThreeLevels>(parts.codes + 8 * i, 8, &signs);
      const int index = grid_index(Grid::iq2_s, entry);
      block->q[i] = static_cast<uint8_t>(index);
      block->high[i / 4] |= static_cast<uint8_t>((index >> 8) << (i % 4 * 2));
      block->signs[i] = static_cast<uint8_t>(signs);
    }
    write_scales(parts, block->scales);
    block->d = parts.super[0];
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_IQ2_XS_H_
