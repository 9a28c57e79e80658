// A graph turned into steps that a team of threads runs side by side.
#ifndef GUMBELSPEC_KERNELS_SRC_PLAN_H_
#define GUMBELSPEC_KERNELS_SRC_PLAN_H_

#include <cstdint>
#include <vector>

#include "ggml.h"
#include "kernels/src/kernel_set.h"

namespace gumbelspec::kernels {

// Activations of a product, in tiles of up to a register's worth of columns. Columns of different
// slices meet different matrices and never share a tile.
struct Tiles {
  ActivationFormat format{};
  int64_t k = 0;
  int n = 0;          // columns in all
  int n_slices = 1;   // of n / n_slices columns each
  int n_tiles = 0;    // of a slice
  size_t offset = 0;  // of the first tile in the activation memory

  int columns() const { return n / n_slices; }  // of a slice
  // Columns [first, first + width) of the slice belong to its tile t.
  int first(int t) const { return TileWidths{columns(), n_tiles}.first(t); }
  int width(int t) const { return TileWidths{columns(), n_tiles}.width(t); }
  int tile_of(int column) const {
    int t = 0;
    while (t + 1 < n_tiles && first(t + 1) <= column) ++t;
    return t;
  }
  // Bytes of one column; tiles follow each other without gaps.
  size_t column_bytes() const { return tile_bytes(format, k, 1); }
  size_t bytes() const { return column_bytes() * static_cast<size_t>(n); }
};
// n columns in n_slices equal slices.
Tiles make_tiles(ActivationFormat format, int64_t k, int n, int n_slices = 1);

// One operation on rows: what it reads of a row and writes of a row never leaves that row.
struct RowOp {
  enum class Kind : uint8_t { rms_norm, add, mul, swiglu, quantize };
  Kind kind;
  const ggml_tensor* node;  // quantize: the tensor to quantise
  Tiles tiles;              // quantize
};

struct Step {
  // Of a product with experts: route sorts its columns, gather quantises them in that order.
  enum class Kind : uint8_t {
    rows,
    product,
    route,
    gather,
    expert_product,
    attention,
    angles,
    rotate,
    set_rows,
    get_rows
  };
  Kind kind;
  bool barrier = false;  // all earlier steps must be finished
  int n_tasks = 1;
  // Threads draw tasks from queues of neighbouring tasks, each from one of its own first: weights
  // then stream in one direction, and a thread that is done helps the others.
  int n_queues = 1, first_queue = 0;
  const ggml_tensor* node = nullptr;
  int first_op = 0, n_ops = 0;  // rows: range of Plan::row_ops
  // rows, gather: pieces of a row; rotate: head groups; product: tasks of a slice
  int parts = 1;
  Tiles tiles;        // products, gather: of an expert product all columns, tiled expert by expert
  int64_t chunk = 1;  // product: panels per task; attention: queries per task
  size_t table = 0;   // angles, rotate: floats into the angle memory
  size_t route = 0;   // route, gather, expert_product: integers into the route memory
};

struct Plan {
  std::vector<Step> steps;
  std::vector<RowOp> row_ops;
  int n_queues = 0;
  size_t activation_bytes = 0;
  size_t angle_floats = 0;
  size_t route_ints = 0;
  size_t attention_bytes = 0;  // scratch per thread
};

// Turns nodes [0, n) into steps. Every node must be one the device supports, and is_computed.
void build_plan(const std::vector<const ggml_tensor*>& nodes, int n_threads, Plan* plan);

// Which operations the device takes; the tensors' buffers say whether weights are packed.
bool supports_product(const ggml_tensor* op);  // with experts, too
bool supports_attention(const ggml_tensor* op);
bool supports_elementwise(const ggml_tensor* op);
inline bool is_view(const ggml_tensor* t) {
  return t->op == GGML_OP_NONE || t->op == GGML_OP_VIEW || t->op == GGML_OP_RESHAPE ||
         t->op == GGML_OP_PERMUTE || t->op == GGML_OP_TRANSPOSE;
}
// Whether there is anything to do. A graph also holds alternatives that this pass does not take:
// their inputs are not set, and only the flag tells them apart.
inline bool is_computed(const ggml_tensor* t) {
  return !is_view(t) && (t->flags & GGML_TENSOR_FLAG_COMPUTE) != 0 && ggml_nelements(t) > 0;
}

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_PLAN_H_
