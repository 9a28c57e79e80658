// Q5_0: 32 weights, d * (q - 16).
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_Q5_0_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_Q5_0_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

// What Q5_0 and Q5_1 have in common: the fifth bit of weight i is bit i of `high`.
namespace five_bits {

inline void read(const uint8_t* low, const uint8_t* high, uint8_t* codes) {
  split_nibbles(low, codes);
  for (int i = 0; i < 32; ++i) {
    codes[i] = static_cast<uint8_t>(codes[i] | ((high[i / 8] >> (i % 8) & 1) << 4));
  }
}
inline void write(const uint8_t* codes, uint8_t* low, uint8_t* high) {
  join_nibbles(codes, low);
  std::memset(high, 0, 4);
  for (int i = 0; i < 32; ++i) high[i / 8] |= static_cast<uint8_t>((codes[i] >> 4) << (i % 8));
}

}  // namespace five_bits

template <>
struct FormatTraits<GGML_TYPE_Q5_0> : CodeBits<4, 1, 16>, HalfScale {
  static constexpr char kName[] = "Q5_0";
  static constexpr int64_t kColumns = 32;
  struct Block {
    Half d;
    uint8_t high[4];
    uint8_t q[16];
  };
  static_assert(sizeof(Block) == 22);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    five_bits::read(block.q, block.high, parts->codes);
    std::memcpy(parts->scales[0], &block.d, 2);
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    five_bits::write(parts.codes, block->q, block->high);
    std::memcpy(&block->d, parts.scales[0], 2);
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_Q5_0_H_
