// Weights of any type of ggml's for tests.
#ifndef GUMBELSPEC_TESTING_GGML_WEIGHTS_H_
#define GUMBELSPEC_TESTING_GGML_WEIGHTS_H_

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <vector>

#include "ggml.h"

namespace gumbelspec::testing {

// The types whose values stand in a grid that ggml has to search for neighbours before it can
// quantise: up to five seconds in each process. Any bits of theirs are weights.
[[nodiscard]] inline bool has_searched_grid(ggml_type type) {
  return type == GGML_TYPE_IQ1_S || type == GGML_TYPE_IQ1_M || type == GGML_TYPE_IQ2_XXS ||
         type == GGML_TYPE_IQ2_XS || type == GGML_TYPE_IQ2_S;
}

// Writes the scale of a block of such a type: of IQ1_M in the upper four bits of four numbers of 16
// bits, at its end; of the others at its beginning.
inline void set_scale_of_block(ggml_type type, float scale, std::uint8_t* block) {
  const ggml_fp16_t half = ggml_fp32_to_fp16(scale);
  if (type != GGML_TYPE_IQ1_M) {
    std::memcpy(block, &half, sizeof half);
    return;
  }
  std::uint8_t* const scales = block + ggml_type_size(type) - 8;
  for (std::size_t i = 0; i < 4; ++i) {
    std::uint8_t& upper = scales[2 * i + 1];
    upper = static_cast<std::uint8_t>((upper & 0x0FU) | (half >> (4 * i) & 0xFU) << 4);
  }
}

// Weights that are about as large as those given, root mean square of all. Shape: [rows][columns],
// columns a multiple of the type's block. Random bits where quantising would take long, else what
// ggml makes of the values (columns of equal worth).
inline void store_weights(ggml_type type, const float* values, std::int64_t n_rows,
                          std::int64_t n_columns, void* stored) {
  if (!has_searched_grid(type)) {
    const std::vector<float> importance(static_cast<std::size_t>(n_columns), 1.0F);
    ggml_quantize_chunk(type, values, stored, 0, n_rows, n_columns, importance.data());
    return;
  }
  const auto n = static_cast<std::size_t>(n_rows * n_columns);
  const std::size_t n_bytes = ggml_row_size(type, n_columns) * static_cast<std::size_t>(n_rows);
  std::vector<float> read(n);
  double size = 0.0, size_at_one = 0.0;
  for (std::size_t i = 0; i < n; ++i) size += static_cast<double>(values[i]) * values[i];
  // Other values give other bits, equal ones the same.
  std::uint32_t seed = 0;
  std::memcpy(&seed, values, sizeof seed);
  std::mt19937 random(seed);
  auto* const bytes = static_cast<std::uint8_t*>(stored);
  for (std::size_t i = 0; i < n_bytes; ++i) bytes[i] = static_cast<std::uint8_t>(random());
  const auto set_scales = [&](float scale) {
    for (std::size_t at = 0; at < n_bytes; at += ggml_type_size(type)) {
      set_scale_of_block(type, scale, bytes + at);
    }
  };
  set_scales(1.0F);
  ggml_get_type_traits(type)->to_float(stored, read.data(), static_cast<std::int64_t>(n));
  for (const float x : read) size_at_one += static_cast<double>(x) * x;
  set_scales(static_cast<float>(std::sqrt(size / size_at_one)));
}

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_GGML_WEIGHTS_H_
