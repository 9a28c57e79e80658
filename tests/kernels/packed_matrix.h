// A packed matrix, and its products with a kernel set, for tests.
#ifndef GUMBELSPEC_TESTS_KERNELS_PACKED_MATRIX_H_
#define GUMBELSPEC_TESTS_KERNELS_PACKED_MATRIX_H_

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "ggml.h"
#include "kernels/src/kernel_set.h"
#include "kernels/src/plan.h"
#include "testing/ggml_weights.h"
#include "tests/kernels/kernel_data.h"

namespace gumbelspec::kernels {

// Some types take long, and each is asked for on every set.
inline const std::vector<uint8_t>& quantised(ggml_type type, int64_t k, int64_t rows) {
  static std::map<std::tuple<ggml_type, int64_t, int64_t>, std::vector<uint8_t>> known;
  std::vector<uint8_t>& data = known[{type, k, rows}];
  if (data.empty()) {
    const auto x = noise(static_cast<size_t>(k * rows), 3);
    data.resize(ggml_row_size(type, k) * static_cast<size_t>(rows));
    testing::store_weights(type, x.data(), rows, k, data.data());
  }
  return data;
}

// A packed matrix with the activations' results of one kernel set.
struct Matrix {
  ggml_type type;
  int64_t k, rows;
  std::vector<uint8_t> ggml_form, packed;

  Matrix(ggml_type of_weights, int64_t n_columns, int64_t n_rows)
      : type(of_weights),
        k(n_columns),
        rows(n_rows),
        ggml_form(quantised(of_weights, n_columns, n_rows)),
        packed(packed_bytes(of_weights, n_columns, n_rows)) {
    const size_t row = ggml_row_size(type, k);
    for (int64_t r = 0; r < rows; ++r) {
      pack_row(type, k, r, ggml_form.data() + static_cast<size_t>(r) * row, packed.data());
    }
  }

  // out[places[c]][r], out[c][r] without places; columns of x are k floats each.
  std::vector<float> times(const KernelSet& set, const std::vector<float>& x, int n,
                           const int32_t* places = nullptr) const {
    const Tiles tiles = make_tiles(activation_format(type), k, n);
    std::vector<uint8_t> memory(tiles.bytes());
    std::vector<float> out(static_cast<size_t>(rows * n));
    for (int t = 0; t < tiles.n_tiles; ++t) {
      uint8_t* tile = memory.data() + static_cast<size_t>(tiles.first(t)) * tiles.column_bytes();
      for (int c = 0; c < tiles.width(t); ++c) {
        set.quantize(tiles.format, {x.data() + (tiles.first(t) + c) * k, k, tile, tiles.width(t), c,
                                    0, (k + kBlock - 1) / kBlock});
      }
    }
    GemmJob job{type,       packed.data(), panel_layout(type, k), k, rows, memory.data(), n,
                out.data(), rows};
    job.places = places;
    job.n_tiles = tiles.n_tiles;
    job.column_bytes = tiles.column_bytes();
    set.gemm(job, 0, panel_count(rows));
    return out;
  }
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_TESTS_KERNELS_PACKED_MATRIX_H_
