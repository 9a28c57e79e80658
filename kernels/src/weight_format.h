// How weights lie in memory: ggml's own blocks on the way in, row-interleaved panels inside.
//
// A *panel* holds kPanelRows rows of a weight matrix. Inside it the columns run in blocks of
// kBlock; a block stores, for each *group* of four columns, the four codes of row 0, then of
// row 1, ... row 15. One 64-byte vector therefore holds one group of all sixteen rows, which is
// exactly the operand that a four-way dot-product instruction wants, and the sixteen results of a
// block stay in one register, one lane per row.
#ifndef GUMBELSPEC_KERNELS_SRC_WEIGHT_FORMAT_H_
#define GUMBELSPEC_KERNELS_SRC_WEIGHT_FORMAT_H_

#include <cstddef>
#include <cstdint>
#include <optional>

#include "ggml.h"

namespace gumbelspec::kernels {

inline constexpr int64_t kPanelRows = 16;
inline constexpr int64_t kBlock = 32;        // columns that share one scale
inline constexpr int64_t kSuperBlock = 256;  // columns of a K-quant super-block
inline constexpr size_t kAlign = 64;         // every section of a panel starts on a cache line

enum class WeightFormat : uint8_t { kQ8_0, kQ4_0, kQ4_K, kQ5_K, kQ6_K, kF16, kBF16, kF32 };
inline constexpr int kWeightFormats = 8;

// What the activations must be turned into before a product with weights of a format.
enum class ActivationFormat : uint8_t { kInt8, kBF16, kF32 };

// Returns the format for a ggml type, nothing when the device does not take that type.
std::optional<WeightFormat> weight_format(ggml_type type);
ActivationFormat activation_format(WeightFormat format);
const char* weight_format_name(WeightFormat format);

// Byte offsets of the sections of one panel; absent sections have the offset of the next one.
struct PanelLayout {
  int64_t blocks = 0;  // of kBlock columns (quantised formats), padded
  size_t high = 0;     // fifth and sixth bits (codes lie at offset 0)
  size_t scales = 0;   // per block: 16 half scales, or 16 + 16 8-bit scales / mins
  size_t super = 0;    // per super-block: 16 half d, 16 half dmin
  size_t bytes = 0;    // size of a panel, a multiple of kAlign
};
PanelLayout panel_layout(WeightFormat format, int64_t n_columns);

inline int64_t panel_count(int64_t n_rows) { return (n_rows + kPanelRows - 1) / kPanelRows; }

// Size of the packed form of a matrix; never less than the size of ggml's form.
size_t packed_bytes(WeightFormat format, int64_t n_columns, int64_t n_rows);

// Writes row `row` of ggml's form (`src`, one row) into the packed matrix. Rows are independent:
// different rows may be written by different threads. Lossless.
void pack_row(WeightFormat format, int64_t n_columns, int64_t row, const void* src, void* packed);

// The inverse of pack_row: one row in ggml's form, bit for bit.
void unpack_row(WeightFormat format, int64_t n_columns, int64_t row, const void* packed, void* dst);

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_WEIGHT_FORMAT_H_
