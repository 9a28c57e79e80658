// Single operations and small graphs by our executor and by ggml's CPU backend, on the same memory.
#ifndef GUMBELSPEC_TESTS_KERNELS_OPERATIONS_H_
#define GUMBELSPEC_TESTS_KERNELS_OPERATIONS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "ggml-backend-impl.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "kernels/src/buffer.h"
#include "kernels/src/executor.h"
#include "kernels/src/plan.h"
#include "testing/ggml_weights.h"

namespace gumbelspec::kernels {

struct FreeContext {
  void operator()(ggml_context* c) const { ggml_free(c); }
};
struct FreeBuffer {
  void operator()(ggml_backend_buffer* b) const { ggml_backend_buffer_free(b); }
};

inline bool is_taken(const ggml_tensor* op) {
  return is_view(op) || supports_product(op) || supports_attention(op) || supports_elementwise(op);
}

// Tensors in memory of their own, filled with noise.
class Sandbox {
 public:
  explicit Sandbox(size_t size = size_t{8} << 20)
      : memory_(size), context_(ggml_init({size, memory_.data(), false})) {
    ggml_cpu_init();
  }
  ggml_context* ctx() const { return context_.get(); }
  operator ggml_context*() const { return context_.get(); }

  ggml_tensor* floats(int64_t a, int64_t b = 1, int64_t c = 1, int64_t d = 1, float size = 1.0f) {
    ggml_tensor* t = ggml_new_tensor_4d(ctx(), GGML_TYPE_F32, a, b, c, d);
    fill(t, size);
    return t;
  }
  ggml_tensor* values(ggml_type type, int64_t a, int64_t b = 1, int64_t c = 1, int64_t d = 1) {
    ggml_tensor* t = ggml_new_tensor_4d(ctx(), type, a, b, c, d);
    fill(t, 1.0f);
    return t;
  }
  ggml_tensor* ints(const std::vector<int32_t>& x) {
    ggml_tensor* t = ggml_new_tensor_1d(ctx(), GGML_TYPE_I32, static_cast<int64_t>(x.size()));
    std::memcpy(t->data, x.data(), ggml_nbytes(t));
    return t;
  }
  ggml_tensor* positions(int64_t n) {
    std::vector<int32_t> x;
    for (int64_t i = 0; i < n; ++i) x.push_back(static_cast<int32_t>(7 * i * i + i % 3));
    return ints(x);
  }
  // Half of the cells hidden, at random; the visible ones get a small bias.
  ggml_tensor* mask(int64_t cells, int64_t rows, int64_t heads = 1, int64_t streams = 1) {
    ggml_tensor* t = ggml_new_tensor_4d(ctx(), GGML_TYPE_F16, cells, rows, heads, streams);
    auto* at = static_cast<ggml_fp16_t*>(t->data);
    for (int64_t i = 0; i < ggml_nelements(t); ++i) {
      const bool hidden = i % cells != 0 && random_() % 2 == 0;
      at[i] = ggml_fp32_to_fp16(hidden ? -INFINITY : -0.25f * static_cast<float>(random_() % 8));
    }
    return t;
  }
  // The matrix in packed memory, with the values of `plain`.
  ggml_tensor* packed(const ggml_tensor* plain) {
    ggml_backend_buffer_type_t type = packed_buffer_type();
    buffers_.emplace_back(
        ggml_backend_buft_alloc_buffer(type, ggml_backend_buft_get_alloc_size(type, plain)));
    ggml_tensor* t = ggml_dup_tensor(ctx(), plain);
    t->data = ggml_backend_buffer_get_base(buffers_.back().get());
    t->buffer = buffers_.back().get();
    ggml_backend_tensor_set(t, plain->data, 0, ggml_nbytes(plain));
    return t;
  }
  uint32_t random() { return static_cast<uint32_t>(random_()); }

  ggml_cgraph* graph(const std::vector<ggml_tensor*>& results) {
    ggml_cgraph* graph = ggml_new_graph(ctx());
    for (ggml_tensor* t : results) ggml_build_forward_expand(graph, t);
    return graph;
  }
  std::vector<uint8_t> memory() const {
    const auto* begin = memory_.data();
    return {begin, begin + ggml_used_mem(context_.get())};
  }
  void restore(const std::vector<uint8_t>& memory) {
    std::memcpy(memory_.data(), memory.data(), memory.size());
  }
  size_t offset(const ggml_tensor* t) const {
    return static_cast<size_t>(static_cast<const uint8_t*>(t->data) - memory_.data());
  }

 private:
  void fill(ggml_tensor* t, float size) {
    std::normal_distribution<float> normal;
    std::vector<float> x(static_cast<size_t>(ggml_nelements(t)));
    for (float& v : x) v = size * normal(random_);
    if (t->type == GGML_TYPE_F32) {
      std::memcpy(t->data, x.data(), ggml_nbytes(t));
    } else {
      testing::store_weights(t->type, x.data(), ggml_nrows(t), t->ne[0], t->data);
    }
  }

  std::vector<uint8_t> memory_;
  std::unique_ptr<ggml_context, FreeContext> context_;
  std::vector<std::unique_ptr<ggml_backend_buffer, FreeBuffer>> buffers_;
  std::mt19937 random_{11};
};

// Squared error over the square of what it should be.
inline double error_of(const std::vector<float>& got, const std::vector<float>& want) {
  double error = 0.0, size = 1e-30;
  for (size_t i = 0; i < got.size(); ++i) {
    const double d = static_cast<double>(got[i]) - static_cast<double>(want[i]);
    error += d * d;
    size += static_cast<double>(want[i]) * static_cast<double>(want[i]);
  }
  return error / size;
}

// The elements of a tensor in a copy of the sandbox's memory.
inline std::vector<float> elements(const ggml_tensor* t, const uint8_t* at) {
  std::vector<float> x;
  for (int64_t i = 0; i < ggml_nelements(t); ++i) {
    const int64_t i0 = i % t->ne[0], i1 = i / t->ne[0] % t->ne[1];
    const int64_t i2 = i / t->ne[0] / t->ne[1] % t->ne[2];
    const int64_t i3 = i / t->ne[0] / t->ne[1] / t->ne[2];
    const uint8_t* e = at + static_cast<size_t>(i0) * t->nb[0] +
                       static_cast<size_t>(i1) * t->nb[1] + static_cast<size_t>(i2) * t->nb[2] +
                       static_cast<size_t>(i3) * t->nb[3];
    float f = 0.0f;
    if (t->type == GGML_TYPE_F16) {
      ggml_fp16_t half;
      std::memcpy(&half, e, sizeof(half));
      f = ggml_fp16_to_fp32(half);
    } else {
      std::memcpy(&f, e, sizeof(f));
    }
    x.push_back(f);
  }
  return x;
}

inline void compute_by_ggml(ggml_cgraph* graph) {
  ggml_cplan plan = ggml_graph_plan(graph, 1, nullptr);
  std::vector<uint8_t> work(plan.work_size + 64);
  plan.work_data = work.data();
  plan.use_ref = true;
  ASSERT_EQ(ggml_graph_compute(graph, &plan), GGML_STATUS_SUCCESS);
}

inline void compute_by_us(const KernelSet& set, int n_threads, ggml_cgraph* graph) {
  Executor executor(&set);
  executor.set_threads(n_threads);
  std::vector<const ggml_tensor*> nodes;
  for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
    const ggml_tensor* node = ggml_graph_node(graph, i);
    if (!is_computed(node)) continue;
    ASSERT_TRUE(is_taken(node)) << ggml_op_name(node->op);
    nodes.push_back(node);
  }
  executor.run(nodes);
}

// Both compute the graph from the same state. `swaps`: matrices that ggml reads plain and we
// packed. Expects: the same elements in every node up to `tolerance` (error_of), and the same bytes
// everywhere else, so nothing is written that is not a result.
using Swaps = std::vector<std::pair<ggml_tensor*, ggml_tensor*>>;
inline void expect_same(Sandbox& box, const KernelSet& set,
                        const std::vector<ggml_tensor*>& results, double tolerance,
                        const Swaps& swaps = {}) {
  ggml_cgraph* graph = box.graph(results);
  const auto swap = [&](bool to_packed) {
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
      for (ggml_tensor*& src : ggml_graph_node(graph, i)->src) {
        for (const auto& [plain, packed] : swaps) {
          if (src == (to_packed ? plain : packed)) src = to_packed ? packed : plain;
        }
      }
    }
  };
  const std::vector<uint8_t> before = box.memory();
  compute_by_ggml(graph);
  std::vector<uint8_t> want = box.memory();
  for (const int n_threads : {1, 3}) {
    box.restore(before);
    swap(true);
    compute_by_us(set, n_threads, graph);
    swap(false);
    std::vector<uint8_t> got = box.memory();
    std::vector<uint8_t> rest = want;
    for (int i = 0; i < ggml_graph_n_nodes(graph); ++i) {
      const ggml_tensor* t = ggml_graph_node(graph, i);
      if (!is_computed(t)) continue;
      const size_t at = box.offset(t);
      EXPECT_LE(error_of(elements(t, got.data() + at), elements(t, want.data() + at)), tolerance)
          << ggml_op_name(t->op) << ", node " << i << ", " << n_threads << " threads";
      for (int64_t j = 0; j < ggml_nelements(t); ++j) {
        const int64_t i1 = j / t->ne[0] % t->ne[1], i2 = j / t->ne[0] / t->ne[1] % t->ne[2];
        const size_t element = at + static_cast<size_t>(j % t->ne[0]) * t->nb[0] +
                               static_cast<size_t>(i1) * t->nb[1] +
                               static_cast<size_t>(i2) * t->nb[2] +
                               static_cast<size_t>(j / t->ne[0] / t->ne[1] / t->ne[2]) * t->nb[3];
        std::copy_n(got.begin() + static_cast<std::ptrdiff_t>(element), ggml_type_size(t->type),
                    rest.begin() + static_cast<std::ptrdiff_t>(element));
      }
    }
    EXPECT_EQ(got == rest, true) << "something else was written";
  }
  box.restore(before);
}

// Columns [first, first + n) of the rows of `wide`.
inline ggml_tensor* columns(Sandbox& box, ggml_tensor* wide, int64_t first, int64_t n) {
  return ggml_view_4d(box, wide, n, wide->ne[1], wide->ne[2], wide->ne[3], wide->nb[1], wide->nb[2],
                      wide->nb[3], static_cast<size_t>(first) * ggml_type_size(wide->type));
}

// The heads of queries that share their rows with keys and values, as models with fused
// projections have them: for several tokens the rows are not evenly spaced.
inline ggml_tensor* fused_heads(Sandbox& box, int64_t n, int64_t heads, int64_t tokens) {
  ggml_tensor* wide = box.floats(n * (heads + 2), tokens);
  return ggml_view_3d(box, wide, n, heads, tokens, static_cast<size_t>(n) * 4, wide->nb[1], 0);
}

inline ggml_tensor* swap_rows(Sandbox& box, ggml_tensor* t) {
  return ggml_permute(box, t, 0, 2, 1, 3);
}

// Forms that are taken.
inline ggml_tensor* product(Sandbox& box, ggml_type type) {
  return ggml_mul_mat(box, box.packed(box.values(type, 256, 21)), box.floats(256, 3));
}

inline ggml_tensor* rotation(Sandbox& box, float share = 0.0f) {
  return ggml_rope_ext(box, box.floats(64, 2, 5), box.positions(5), nullptr, 32, 0, 512, 1e4f, 1.0f,
                       share, 1.0f, 32.0f, 1.0f);
}

inline ggml_tensor* attention(Sandbox& box, ggml_type type = GGML_TYPE_F16) {
  return ggml_flash_attn_ext(box, box.floats(64, 5, 4), box.values(type, 64, 9, 2),
                             box.values(type, 64, 9, 2), box.mask(9, 5), 0.1f, 0.0f, 0.0f);
}

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_TESTS_KERNELS_OPERATIONS_H_
