// ggml's quantised blocks, as they lie in a GGUF file. Source: the format's definition in
// ggml/src/ggml-common.h of llama.cpp v0.5.0; only the memory layout is restated here.
#ifndef GUMBELSPEC_KERNELS_SRC_GGML_BLOCKS_H_
#define GUMBELSPEC_KERNELS_SRC_GGML_BLOCKS_H_

#include <cstdint>

namespace gumbelspec::kernels {

using Half = uint16_t;  // bits of an IEEE binary16

struct BlockQ8_0 {  // 32 weights: d * q
  Half d;
  int8_t q[32];
};
struct BlockQ4_0 {  // 32 weights: d * (q - 8); byte i holds weights i (low) and i + 16 (high)
  Half d;
  uint8_t q[16];
};
struct BlockQ4_K {  // 256 weights: d * sc * q - dmin * m per 32
  Half d, dmin;
  uint8_t scales[12];
  uint8_t q[128];
};
struct BlockQ5_K {
  Half d, dmin;
  uint8_t scales[12];
  uint8_t high[32];
  uint8_t q[128];
};
struct BlockQ6_K {  // 256 weights: d * sc * (q - 32), sc per 16
  uint8_t low[128];
  uint8_t high[64];
  int8_t scales[16];
  Half d;
};
static_assert(sizeof(BlockQ8_0) == 34 && sizeof(BlockQ4_0) == 18);
static_assert(sizeof(BlockQ4_K) == 144 && sizeof(BlockQ5_K) == 176 && sizeof(BlockQ6_K) == 210);

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_GGML_BLOCKS_H_
