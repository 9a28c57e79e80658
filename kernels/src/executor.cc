#include "kernels/src/executor.h"

#if defined(_OPENMP)
#include <omp.h>
#endif

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <new>
#include <thread>

#include "kernels/src/elements.h"

namespace gumbelspec::kernels {
namespace {

// A short wait that leaves the core to others when it gets long.
class Backoff {
 public:
  void pause() {
    if (++rounds_ < kSpins) {
#if defined(__x86_64__) || defined(__i386__)
      __builtin_ia32_pause();
#endif
    } else {
      std::this_thread::yield();
    }
  }

 private:
  static constexpr int kSpins = 4000;  // some 50 us
  int rounds_ = 0;
};

}  // namespace

Workspace::~Workspace() { ::operator delete (data_, std::align_val_t{kAlign}); }

uint8_t* Workspace::reserve(size_t size) {
  if (size > size_) {
    ::operator delete (data_, std::align_val_t{kAlign});
    data_ = nullptr;
    size_ = 0;
    data_ = static_cast<uint8_t*>(::operator new (size, std::align_val_t{kAlign}));
    size_ = size;
  }
  return data_;
}

void Executor::run(const std::vector<const ggml_tensor*>& nodes) {
  build_plan(nodes, n_threads_, &plan_);
  if (plan_.steps.empty()) return;
  activations_.reserve(plan_.activation_bytes);
  angles_.reserve(plan_.angle_floats * sizeof(float));
  routes_.reserve(plan_.route_ints * sizeof(int32_t));
  attention_.reserve(plan_.attention_bytes * static_cast<size_t>(n_threads_));
  const auto clear = [](std::unique_ptr<Counter[]>& counters, size_t* have, size_t need) {
    if (*have < need) {
      *have = need + need / 4;
      counters = std::make_unique<Counter[]>(*have);
    }
    for (size_t i = 0; i < need; ++i) counters[i].value.store(0, std::memory_order_relaxed);
  };
  clear(drawn_, &n_drawn_, static_cast<size_t>(plan_.n_queues));
  clear(finished_, &n_finished_, plan_.steps.size());
#if defined(_OPENMP)
  if (n_threads_ > 1) {
    // The same team that ggml's CPU backend uses: one pool, so the two never compete.
#pragma omp parallel num_threads(n_threads_)
    work(omp_get_thread_num());
    return;
  }
#endif
  work(0);
}

void Executor::wait_for(size_t first, size_t last) {
  for (size_t i = first; i < last; ++i) {
    Backoff backoff;
    while (finished_[i].value.load(std::memory_order_acquire) < plan_.steps[i].n_tasks) {
      backoff.pause();
    }
  }
}

// What is waited for is that the *tasks* of the earlier steps are finished, not that all threads
// have come by: on a busy machine a thread that lost its core holds nobody up unless it lost it
// in the middle of a task.
void Executor::work(int thread) {
  size_t since = 0;  // steps before this one are known to be finished
  for (size_t i = 0; i < plan_.steps.size(); ++i) {
    const Step& step = plan_.steps[i];
    if (step.barrier) {
      wait_for(since, i);
      since = i;
    }
    int done = 0;
    for (int q = 0; q < step.n_queues; ++q) {
      done += run_queue(step, (thread + q) % step.n_queues, thread);
    }
    if (done > 0) finished_[i].value.fetch_add(done, std::memory_order_release);
  }
}

// Whoever is free takes the next task: who computes what never changes a result.
int Executor::run_queue(const Step& step, int queue, int thread) {
  const int64_t n = step.n_tasks;
  const auto first = static_cast<int>(n * queue / step.n_queues);
  const auto last = static_cast<int>(n * (queue + 1) / step.n_queues);
  std::atomic<int>& drawn =
      drawn_[static_cast<size_t>(step.first_queue) + static_cast<size_t>(queue)].value;
  int done = 0;
  for (;; ++done) {
    const int task = first + drawn.fetch_add(1, std::memory_order_relaxed);
    if (task >= last) return done;
    run_task(step, task, thread);
  }
}

void Executor::run_task(const Step& step, int task, int thread) {
  switch (step.kind) {
    case Step::Kind::rows:
      return run_rows(step, task);
    case Step::Kind::product:
      return run_product(step, task);
    case Step::Kind::route:
      return route_of(step).build(step.node->src[2]);
    case Step::Kind::gather:
      return run_gather(step, task);
    case Step::Kind::expert_product:
      return run_expert_product(step, task);
    case Step::Kind::attention:
      return run_attention(step, task, thread);
    case Step::Kind::angles:
      return run_angles(step, task);
    case Step::Kind::rotate:
      return run_rotate(step, task);
    case Step::Kind::set_rows:
      return run_set_rows(step, task);
    case Step::Kind::get_rows:
      return run_get_rows(step, task);
  }
}

void Executor::run_rows(const Step& step, int task) {
  const int64_t row = task / step.parts, part = task % step.parts;
  const RowOp* ops = plan_.row_ops.data() + step.first_op;
  const int64_t n = ops[0].node->ne[0];
  const int64_t piece = ((n + step.parts - 1) / step.parts + kBlock - 1) / kBlock * kBlock;
  const int64_t begin = std::min(n, part * piece), end = std::min(n, begin + piece);
  if (begin == end) return;
  for (int i = 0; i < step.n_ops; ++i) {
    if (ops[i].kind == RowOp::Kind::quantize) {
      quantize_row(ops[i], row, begin, end);
    } else {
      run_row_op(ops[i], row, begin, end);
    }
  }
}

namespace {

template <class Fn>
void combine(const float* a, const float* b, float* y, int64_t begin, int64_t end, Fn fn) {
  for (int64_t i = begin; i < end; ++i) y[i] = fn(a[i], b[i]);
}

template <class Fn>
void combine_with(const float* a, float b, float* y, int64_t begin, int64_t end, Fn fn) {
  for (int64_t i = begin; i < end; ++i) y[i] = fn(a[i], b);
}

}  // namespace

void Executor::run_row_op(const RowOp& op, int64_t row, int64_t begin, int64_t end) {
  const ggml_tensor* t = op.node;
  const auto* a = row_of<const float>(t->src[0], row);
  auto* y = row_of<float>(t, row);
  if (op.kind == RowOp::Kind::rms_norm) {
    return kernels_.rms_norm(a, nullptr, y, t->ne[0], float_param(t, 0));
  }
  const auto* b = repeated_row<const float>(t->src[1], t, row);
  const bool is_number = t->src[1]->ne[0] == 1;
  switch (op.kind) {
    case RowOp::Kind::add:
      if (is_number) return combine_with(a, *b, y, begin, end, std::plus<>());
      return combine(a, b, y, begin, end, std::plus<>());
    case RowOp::Kind::mul:
      if (is_number) return combine_with(a, *b, y, begin, end, std::multiplies<>());
      return combine(a, b, y, begin, end, std::multiplies<>());
    default:
      kernels_.swiglu(a + begin, b + begin, y + begin, end - begin);
  }
}

void Executor::quantize_row(const RowOp& op, int64_t row, int64_t begin, int64_t end) {
  const Tiles& tiles = op.tiles;
  const auto column = static_cast<int>(row % tiles.columns());
  const int t = tiles.tile_of(column);
  QuantizeJob job{};
  job.x = row_of<const float>(op.node, row);
  job.k = tiles.k;
  job.tile = activations_.data() + tiles.offset +
             static_cast<size_t>(row - column + tiles.first(t)) * tiles.column_bytes();
  job.n = tiles.width(t);
  job.column = column - tiles.first(t);
  job.begin = begin / kBlock;
  job.end = (end + kBlock - 1) / kBlock;
  kernels_.quantize(tiles.format, job);
}

namespace {

// The matrix of a stack that slice s of the activations is multiplied with.
int64_t matrix_of_slice(const ggml_tensor* product, int64_t s) {
  const ggml_tensor *w = product->src[0], *x = product->src[1];
  const int64_t i2 = s % x->ne[2] / (x->ne[2] / w->ne[2]);
  const int64_t i3 = s / x->ne[2] / (x->ne[3] / w->ne[3]);
  return i3 * w->ne[2] + i2;
}

}  // namespace

void Executor::run_product(const Step& step, int task) {
  const ggml_tensor* w = step.node->src[0];
  const int slice = task / step.parts;
  GemmJob job{};
  job.type = w->type;
  job.weights = bytes_of(w);
  if (step.tiles.n_slices > 1) {
    job.weights += static_cast<size_t>(matrix_of_slice(step.node, slice)) *
                   packed_bytes(job.type, w->ne[0], w->ne[1]);
  }
  job.layout = panel_layout(job.type, w->ne[0]);
  job.k = w->ne[0];
  job.n_rows = w->ne[1];
  job.out_stride = step.node->ne[0];  // contiguous
  const int64_t begin = task % step.parts * step.chunk;
  const int64_t end = std::min(begin + step.chunk, panel_count(job.n_rows));
  const int first = slice * step.tiles.columns();
  job.tile = activations_.data() + step.tiles.offset +
             static_cast<size_t>(first) * step.tiles.column_bytes();
  job.n = step.tiles.columns();
  job.n_tiles = step.tiles.n_tiles;
  job.column_bytes = step.tiles.column_bytes();
  job.out = static_cast<float*>(step.node->data) + first * job.out_stride;
  kernels_.gemm(job, begin, end);
}

namespace {

constexpr int kMostQueries = 64;

// What differs between the queries of a task.
struct Queries {
  const float* q[kMostQueries];
  const uint16_t* mask[kMostQueries];
  float* out[kMostQueries];
  float slope[kMostQueries], sink[kMostQueries];
};

// Factor of the mask for head h of n (attention with linear biases, Press et al. 2022).
float mask_slope(float max_bias, uint32_t h, uint32_t n) {
  if (max_bias <= 0.0F) return 1.0F;
  const uint32_t power = 1u << static_cast<uint32_t>(std::floor(std::log2(n)));
  const float step = -max_bias / static_cast<float>(power);
  return h < power ? std::pow(std::pow(2.0F, step), static_cast<float>(h + 1))
                   : std::pow(std::pow(2.0F, step / 2), static_cast<float>(2 * (h - power) + 1));
}

// Query i of the task is head `head * group + i % group` of token i / group: heads of one token
// follow each other, they share a row of the mask.
void find_queries(const ggml_tensor* t, int64_t head, int64_t stream, int64_t first, int n,
                  Queries* queries) {
  const ggml_tensor *q = t->src[0], *mask = t->src[3], *sinks = t->src[4];
  const int64_t group = q->ne[2] / t->src[1]->ne[2];
  for (int i = 0; i < n; ++i) {
    const int64_t token = (first + i) / group, h = head * group + (first + i) % group;
    queries->q[i] = reinterpret_cast<const float*>(element(q, token, h, stream));
    queries->mask[i] = mask ? reinterpret_cast<const uint16_t*>(
                                  element(mask, token, h % mask->ne[2], stream % mask->ne[3]))
                            : nullptr;
    queries->out[i] = reinterpret_cast<float*>(element(t, h, token, stream));
    queries->slope[i] =
        mask_slope(float_param(t, 1), static_cast<uint32_t>(h), static_cast<uint32_t>(q->ne[2]));
    queries->sink[i] = sinks ? static_cast<const float*>(sinks->data)[h] : 0.0F;
  }
}

}  // namespace

void Executor::run_attention(const Step& step, int task, int thread) {
  const ggml_tensor* t = step.node;
  const ggml_tensor *q = t->src[0], *k = t->src[1], *v = t->src[2];
  const int64_t per_head = q->ne[1] * (q->ne[2] / k->ne[2]);
  const int64_t pieces = (per_head + step.chunk - 1) / step.chunk;
  const int64_t head = task / pieces % k->ne[2], stream = task / pieces / k->ne[2];
  const int64_t first = task % pieces * step.chunk;
  const int64_t kv_stream = stream / (q->ne[3] / k->ne[3]);
  Queries queries;
  AttentionJob job{};
  job.n_q = static_cast<int>(std::min(step.chunk, per_head - first));
  find_queries(t, head, stream, first, job.n_q, &queries);
  job.q = queries.q;
  job.mask = queries.mask;
  job.out = queries.out;
  job.slope = queries.slope;
  job.sink = t->src[4] ? queries.sink : nullptr;
  job.k = element(k, 0, head, kv_stream);
  job.v = element(v, 0, head, kv_stream);
  job.k_stride = k->nb[1];
  job.v_stride = v->nb[1];
  job.k_type = k->type;
  job.v_type = v->type;
  job.n_cells = k->ne[1];
  job.head_k = q->ne[0];
  job.head_v = v->ne[0];
  job.softcap = float_param(t, 2);
  job.scale = job.softcap != 0.0F ? float_param(t, 0) / job.softcap : float_param(t, 0);
  job.scratch = attention_.data() + static_cast<size_t>(thread) * plan_.attention_bytes;
  kernels_.attention(job);
}

}  // namespace gumbelspec::kernels
