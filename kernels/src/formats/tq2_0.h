// TQ1_0 and TQ2_0: 256 weights, d * (q - 1) with q of 0, 1 or 2.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_TQ2_0_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_TQ2_0_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

// Their panels are alike, two bits a weight.
struct TernaryPanel : CodeBits<2, 0, 1>, SuperScale {
  static constexpr int64_t kColumns = 256;
};

template <>
struct FormatTraits<GGML_TYPE_TQ2_0> : TernaryPanel {
  using Panel = TernaryPanel;
  static constexpr char kName[] = "TQ2_0";
  struct Block {
    uint8_t q[64];  // pairs of bits, see two_bits
    Half d;
  };
  static_assert(sizeof(Block) == 66);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    two_bits::read(block.q, parts->codes);
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    two_bits::write(parts.codes, block->q);
    block->d = parts.super[0];
  }
};

template <>
struct FormatTraits<GGML_TYPE_TQ1_0> : TernaryPanel {
  using Panel = TernaryPanel;
  static constexpr char kName[] = "TQ1_0";
  struct Block {
    uint8_t q[52];  // five digits to the base of 3, four in the last four bytes
    Half d;
  };
  static_assert(sizeof(Block) == 54);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    for (int i = 0; i < 52; ++i) {
      auto digits = block.q[i];  // a fraction of 256, the first digit on top
      for (int n = 0; n < digits_of(i); ++n) {
        parts->codes[column_of(i, n)] = static_cast<uint8_t>(digits * 3 >> 8);
        digits = static_cast<uint8_t>(digits * 3);
      }
    }
    parts->super[0] = block.d;
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    for (int i = 0; i < 52; ++i) {
      int number = 0;
      for (int n = 0; n < 5; ++n) {
        number = 3 * number + (n < digits_of(i) ? parts.codes[column_of(i, n)] : 0);
      }
      block->q[i] = static_cast<uint8_t>((number * 256 + 242) / 243);
    }
    block->d = parts.super[0];
  }

 private:
  static int digits_of(int byte) { return byte < 48 ? 5 : 4; }
  // The column of digit n.
  static int column_of(int byte, int n) {
    if (byte < 32) return 32 * n + byte;
    return byte < 48 ? 160 + 16 * n + byte - 32 : 240 + 4 * n + byte - 48;
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_TQ2_0_H_
