// What an instruction set has to provide. One table per set; the device picks one at run time.
#ifndef GUMBELSPEC_KERNELS_SRC_KERNEL_SET_H_
#define GUMBELSPEC_KERNELS_SRC_KERNEL_SET_H_

#include <cstddef>
#include <cstdint>

#include "kernels/src/unroll.h"
#include "kernels/src/weight_format.h"

namespace gumbelspec::kernels {

// Columns (tokens) that are computed together, their sums held in registers.
inline constexpr int kMaxTile = 16;

// Columns in tiles of nearly the same width, the wider ones first: tile t has columns
// [first, first + width).
struct TileWidths {
  int columns = 0, n_tiles = 0;

  GUMBELSPEC_INLINE int first(int t) const {
    const int more = columns % n_tiles;
    return t * (columns / n_tiles) + (t < more ? t : more);
  }
  GUMBELSPEC_INLINE int width(int t) const {
    return columns / n_tiles + (t < columns % n_tiles ? 1 : 0);
  }
};

// Activations of a tile of n columns, quantised per kBlock: one record per block, the fields one
// after the other, n values each; field f starts at f * n. What few formats need lies in a second
// run of records behind the first, out of the way of the caches. The corrections are what a product
// with unsigned codes has too much: codes are stored plus kOffset, 128 at most, or 32 where the
// halves of a block have a scale each.
struct RecordLayout {
  static constexpr size_t kScale = 32;     // float [n]; the codes, int8 [n][32], are at 0
  static constexpr size_t kMinus128 = 36;  // int32 [n]: -128 * sum of the codes
  static constexpr size_t kBytes = 40;     // per column
};
namespace extra {
inline constexpr size_t kSum = 0;          // float [n]: scale * sum of the codes
inline constexpr size_t kMinus32Low = 4;   // int32 [n]: -32 * sum of codes 0-15
inline constexpr size_t kMinus32High = 8;  // int32 [n]: -32 * sum of codes 16-31
inline constexpr size_t kBytes = 12;
}  // namespace extra

// Bytes of a tile of n columns of `k` activations each.
size_t tile_bytes(ActivationFormat format, int64_t k, int n);

struct QuantizeJob {
  const float* x;  // one column, k values
  int64_t k;
  uint8_t* tile;
  int n;               // columns of the tile
  int column;          // which of them
  int64_t begin, end;  // blocks of kBlock to do
};

struct GemmJob {
  ggml_type type;          // of the weights
  const uint8_t* weights;  // packed matrix
  PanelLayout layout;
  int64_t k;  // columns of the weight matrix
  int64_t n_rows;
  const uint8_t* tile;  // the first of n_tiles, which follow each other without gaps
  int n;                // columns of all tiles, each of which has up to kMaxTile
  float* out;           // element (row r, column c) at out[c * out_stride + r]
  int64_t out_stride;
  // [n] which column of `out` column c is; null: the same.
  const int32_t* places = nullptr;
  int n_tiles = 1;
  size_t column_bytes = 0;  // of a tile, where there are several
  bool prefetch = true;     // the panels come from memory rather than from the cache

  float* column(int c) const { return out + (places == nullptr ? c : places[c]) * out_stride; }
  // The same panels times tile t alone. The first tile brings them to the cache.
  GUMBELSPEC_INLINE GemmJob of_tile(int t) const {
    const TileWidths widths{n, n_tiles};
    const int first = widths.first(t);
    GemmJob job = *this;
    job.tile = tile + static_cast<size_t>(first) * column_bytes;
    job.n = widths.width(t);
    job.n_tiles = 1;
    job.prefetch = prefetch && t == 0;
    if (places != nullptr) {
      job.places = places + first;
    } else {
      job.out = out + first * out_stride;
    }
    return job;
  }
};

// Attention of some query rows that share one key/value head, over all cells.
struct AttentionJob {
  const float* const* q;        // [n_q] query vectors, head_k floats
  const uint16_t* const* mask;  // [n_q] half per cell, or null: all visible
  float* const* out;            // [n_q] head_v floats
  const float* slope;           // [n_q] factor of the mask (ALiBi), 1 if none
  const float* sink;            // [n_q] extra logit, or null
  int n_q;
  const uint8_t* k;  // cell j at k + j * k_stride
  const uint8_t* v;
  size_t k_stride, v_stride;
  ggml_type k_type, v_type;
  int64_t n_cells;
  int64_t head_k, head_v;
  float scale, softcap;
  uint8_t* scratch;  // attention_scratch bytes, 64-byte aligned
};

struct KernelSet {
  const char* name;  // as Options::isa has it; several sets may share one
  uint32_t needs;    // of the processor: bits, see instruction_sets.h
  void (*quantize)(ActivationFormat format, const QuantizeJob& job);
  // Computes panels [begin, end) times all tiles. An output is the same bits for every n and
  // column.
  void (*gemm)(const GemmJob& job, int64_t begin, int64_t end);
  // An output is the same bits for every order of the cells, every number of hidden cells among
  // them and every n_q.
  void (*attention)(const AttentionJob& job);
  void (*rms_norm)(const float* x, const float* weight, float* y, int64_t n, float eps);
  void (*swiglu)(const float* gate, const float* up, float* y, int64_t n);
  void (*to_half)(const float* x, uint16_t* y, int64_t n);
  // Turns pairs of x by the angles in `table` ([pairs] cosines, then [pairs] sines). Pair i is
  // elements 2i, 2i+1, or i, i+pairs when `halves`.
  void (*rotate)(const float* x, float* y, const float* table, int64_t pairs, bool halves);
};

size_t attention_scratch(int64_t n_cells, int n_q, int64_t head_k, int64_t head_v);

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_KERNEL_SET_H_
