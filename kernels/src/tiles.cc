// Sizes of what the kernels read: tiles of activations, scratch memory of attention.
#include <algorithm>

#include "kernels/src/plan.h"

namespace gumbelspec::kernels {

size_t tile_bytes(ActivationFormat format, int64_t k, int n) {
  const auto columns = static_cast<size_t>(n);
  if (format == ActivationFormat::int8) {
    return static_cast<size_t>((k + kBlock - 1) / kBlock) * (RecordLayout::kBytes + extra::kBytes) *
           columns;
  }
  const auto pairs = static_cast<size_t>((k + 1) / 2);
  return pairs * (format == ActivationFormat::f32 ? 8 : 4) * columns;
}

size_t attention_scratch(int64_t n_cells, int n_q, int64_t head_k, int64_t head_v) {
  const auto pad = [](int64_t n) { return static_cast<size_t>((n + 15) / 16 * 16); };
  const size_t k = pad(head_k), v = pad(head_v), cells = pad(n_cells);
  const auto queries = static_cast<size_t>(n_q);
  const size_t floats = 16 * std::max(k, v) + queries * (k + v + cells + 32);
  return (floats * 4 + queries * (cells / 16) * 2 + 4095) / 4096 * 4096;
}

Tiles make_tiles(ActivationFormat format, int64_t k, int n, int n_slices) {
  // Float products keep two sums per column, so fewer columns fit into the registers.
  const int most = format == ActivationFormat::int8 ? kMaxTile : 12;
  Tiles tiles;
  tiles.format = format;
  tiles.k = k;
  tiles.n = n;
  tiles.n_slices = n_slices;
  tiles.n_tiles = (tiles.columns() + most - 1) / most;
  return tiles;
}

}  // namespace gumbelspec::kernels
