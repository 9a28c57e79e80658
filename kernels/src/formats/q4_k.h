// Q4_K: 256 weights, d * scale * q - dmin * min; scale and min of six bits per 32.
#ifndef GUMBELSPEC_KERNELS_SRC_FORMATS_Q4_K_H_
#define GUMBELSPEC_KERNELS_SRC_FORMATS_Q4_K_H_

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

// What Q4_K and Q5_K have in common.
namespace k_quants {

// The scale and min of sub-block j in 12 packed bytes: the first four pairs lie in the low six bits
// of bytes 0-3 and 4-7, the others in the nibbles of bytes 8-11 with their upper two bits on top of
// the first eight bytes.
inline void get_scale_min(const uint8_t* packed, int j, uint8_t* pair) {
  if (j < 4) {
    pair[0] = packed[j] & 63;
    pair[1] = packed[j + 4] & 63;
    return;
  }
  pair[0] = static_cast<uint8_t>((packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4));
  pair[1] = static_cast<uint8_t>((packed[j + 4] >> 4) | ((packed[j] >> 6) << 4));
}
inline void put_scale_min(uint8_t* packed, int j, const uint8_t* pair) {
  if (j < 4) {
    packed[j] = static_cast<uint8_t>((packed[j] & 0xc0) | pair[0]);
    packed[j + 4] = static_cast<uint8_t>((packed[j + 4] & 0xc0) | pair[1]);
    return;
  }
  packed[j + 4] = static_cast<uint8_t>((pair[0] & 15) | (pair[1] << 4));
  packed[j - 4] = static_cast<uint8_t>((packed[j - 4] & 63) | ((pair[0] >> 4) << 6));
  packed[j] = static_cast<uint8_t>((packed[j] & 63) | ((pair[1] >> 4) << 6));
}

// Low four bits and scales of a block of either type.
template <class Block, class Format>
void read_low(const Block& block, Parts<Format>* parts) {
  for (int i = 0; i < 256; ++i) {
    const uint8_t byte = block.q[i / 64 * 32 + i % 32];
    parts->codes[i] = i % 64 < 32 ? byte & 15 : byte >> 4;
  }
  for (int j = 0; j < 8; ++j) get_scale_min(block.scales, j, parts->scales[j]);
  parts->super[0] = block.d;
  parts->super[1] = block.dmin;
}
template <class Format, class Block>
void write_low(const Parts<Format>& parts, Block* block) {
  for (int i = 0; i < 128; ++i) {
    const int low = i / 32 * 64 + i % 32;
    block->q[i] = static_cast<uint8_t>((parts.codes[low] & 15) | (parts.codes[low + 32] << 4));
  }
  for (int j = 0; j < 8; ++j) put_scale_min(block->scales, j, parts.scales[j]);
  block->d = parts.super[0];
  block->dmin = parts.super[1];
}

}  // namespace k_quants

template <>
struct FormatTraits<GGML_TYPE_Q4_K> : CodeBits<4, 0, 0>, ScaleAndMin {
  static constexpr char kName[] = "Q4_K";
  static constexpr int64_t kColumns = 256;
  struct Block {
    Half d, dmin;
    uint8_t scales[12];
    uint8_t q[128];
  };
  static_assert(sizeof(Block) == 144);

  static void read(const Block& block, Parts<FormatTraits>* parts) {
    k_quants::read_low(block, parts);
  }
  static void write(const Parts<FormatTraits>& parts, Block* block) {
    k_quants::write_low(parts, block);
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_FORMATS_Q4_K_H_
