// Weights by their type: from ggml's own blocks to the panels of format_traits.h, and back.
#ifndef GUMBELSPEC_KERNELS_SRC_WEIGHT_FORMAT_H_
#define GUMBELSPEC_KERNELS_SRC_WEIGHT_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/src/format_traits.h"

namespace gumbelspec::kernels {

inline constexpr size_t kAlign = 64;  // every section of a panel starts on a cache line

// The types that the device takes; all other functions here take these only.
std::vector<ggml_type> weight_types();
bool is_weight_type(ggml_type type);
const char* weight_type_name(ggml_type type);
ActivationFormat activation_format(ggml_type type);

// Byte offsets of the sections of one panel; absent sections have the offset of the next one.
struct PanelLayout {
  int64_t blocks = 0;  // of kBlock columns (quantised types), padded
  size_t high = 0;     // upper bits of the codes, which lie at offset 0
  size_t scales = 0;   // per block
  size_t super = 0;    // per super-block
  size_t bytes = 0;    // size of a panel, a multiple of kAlign
};
PanelLayout panel_layout(ggml_type type, int64_t n_columns);

// Where the super-block of block b of a panel begins.
template <class Format>
GUMBELSPEC_INLINE const uint8_t* super_of(const uint8_t* panel, const PanelLayout& layout,
                                          int64_t b) {
  return panel + layout.super + (b >> kHalvings<kBlocksOfSuper<Format>, 1>)*kSuperPitch<Format>;
}

inline int64_t panel_count(int64_t n_rows) { return (n_rows + kPanelRows - 1) / kPanelRows; }

// Size of the packed form of a matrix; never less than the size of ggml's form.
size_t packed_bytes(ggml_type type, int64_t n_columns, int64_t n_rows);

// Writes row `row` of ggml's form (`src`, one row) into the packed matrix. Rows are independent:
// different rows may be written by different threads. Lossless.
void pack_row(ggml_type type, int64_t n_columns, int64_t row, const void* src, void* packed);

// The inverse of pack_row: one row in ggml's form, bit for bit.
void unpack_row(ggml_type type, int64_t n_columns, int64_t row, const void* packed, void* dst);

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_WEIGHT_FORMAT_H_
