#include "kernels/src/plan.h"

#include <algorithm>

#include "kernels/src/buffer.h"
#include "kernels/src/elements.h"
#include "kernels/src/hazards.h"
#include "kernels/src/made.h"
#include "kernels/src/route.h"

namespace gumbelspec::kernels {
namespace {

constexpr int64_t kScoreBytes = 256 << 10;  // scores a thread keeps at a time: half of a small L2

// What no tensor is has addresses that no tensor has: activations and angles low ones, routes
// these.
constexpr uintptr_t kRouteAddresses = uintptr_t{1} << 62;

bool is_row_op(const ggml_tensor* t) {
  return t->op == GGML_OP_RMS_NORM || t->op == GGML_OP_ADD || t->op == GGML_OP_MUL ||
         t->op == GGML_OP_GLU;
}

RowOp::Kind row_kind(const ggml_tensor* t) {
  switch (t->op) {
    case GGML_OP_RMS_NORM:
      return RowOp::Kind::rms_norm;
    case GGML_OP_ADD:
      return RowOp::Kind::add;
    case GGML_OP_MUL:
      return RowOp::Kind::mul;
    default:
      return RowOp::Kind::swiglu;
  }
}

class Builder {
 public:
  Builder(const std::vector<const ggml_tensor*>& nodes, int n_threads, Plan* plan)
      : nodes_(nodes), n_threads_(n_threads), plan_(*plan) {
    plan_.steps.clear();
    plan_.row_ops.clear();
    plan_.n_queues = 0;
    plan_.activation_bytes = plan_.angle_floats = plan_.route_ints = plan_.attention_bytes = 0;
  }

  void run() {
    measure_slots();
    for (size_t i = 0; i < nodes_.size();) i = add(i);
  }

 private:
  // With experts: of all columns; which of them share a tile shows when the ids are there.
  static Tiles tiles_of(const ggml_tensor* product) {
    const ggml_tensor *w = product->src[0], *x = product->src[1];
    if (product->op == GGML_OP_MUL_MAT_ID) {
      return make_tiles(activation_format(w->type), w->ne[0], n_pairs(product));
    }
    const bool stacked = w->ne[2] != 1 || w->ne[3] != 1;
    return make_tiles(activation_format(w->type), w->ne[0], static_cast<int>(ggml_nrows(x)),
                      stacked ? static_cast<int>(x->ne[2] * x->ne[3]) : 1);
  }

  static int n_pairs(const ggml_tensor* product) {
    return static_cast<int>(ggml_nelements(product->src[2]));
  }

  void measure_slots() {
    size_t bytes = 0;
    for (const ggml_tensor* t : nodes_) {
      if (t->op != GGML_OP_MUL_MAT && t->op != GGML_OP_MUL_MAT_ID) continue;
      bytes = std::max(bytes, (tiles_of(t).bytes() + 4095) / 4096 * 4096);
    }
    plan_.activation_bytes = activations_.set_slot_bytes(bytes);
  }

  size_t add(size_t i) {
    const ggml_tensor* t = nodes_[i];
    if (is_row_op(t)) return add_rows(i);
    switch (t->op) {
      case GGML_OP_MUL_MAT:
        add_product(t);
        break;
      case GGML_OP_MUL_MAT_ID:
        add_expert_product(t);
        break;
      case GGML_OP_FLASH_ATTN_EXT:
        add_attention(t);
        break;
      case GGML_OP_ROPE:
        add_rotation(t);
        break;
      case GGML_OP_SET_ROWS:
        add_plain(t, Step::Kind::set_rows, ggml_nrows(t->src[0]));
        break;
      default:
        add_plain(t, Step::Kind::get_rows, t->ne[1]);
        break;
    }
    return i + 1;
  }

  Step& push(Step step) {
    step.barrier = hazards_.commit();
    const bool reads_weights =
        step.kind == Step::Kind::product || step.kind == Step::Kind::expert_product;
    step.n_queues = reads_weights ? std::min(n_threads_, step.n_tasks) : 1;
    step.first_queue = plan_.n_queues;
    plan_.n_queues += step.n_queues;
    plan_.steps.push_back(step);
    return plan_.steps.back();
  }

  void note(const ggml_tensor* t) {
    for (const ggml_tensor* src : t->src) {
      if (src && src->data && !is_packed(src)) hazards_.read(range_of(src));
    }
    write(range_of(t));
  }

  // What was made of memory that changes is not what a later operation would make of it.
  void write(const Range& r) {
    activations_.forget(r);
    angles_.forget(r);
    routes_.forget(r);
    hazards_.write(r);
  }

  Range slot_range(const Tiles& tiles) const {
    // Slots are numbered from an address no tensor has.
    return {tiles.offset + 1, tiles.offset + 1 + tiles.bytes()};
  }

  void add_plain(const ggml_tensor* t, Step::Kind kind, int64_t n_tasks) {
    Step step{};
    step.kind = kind;
    step.node = t;
    step.n_tasks = static_cast<int>(n_tasks);
    note(t);
    push(step);
  }

  // Can `t` run in the same tasks as the operations before it? Only if each memory range either is
  // the same row by row or not shared at all.
  bool fits_group(size_t first_op, const ggml_tensor* t) const {
    for (size_t j = first_op; j < plan_.row_ops.size(); ++j) {
      const ggml_tensor* other = plan_.row_ops[j].node;
      if (ggml_nrows(other) != ggml_nrows(t) || other->ne[0] != t->ne[0]) return false;
      if (!aligned(t, other)) return false;  // write after write
      for (const ggml_tensor* src : other->src) {
        if (src && !aligned(t, src)) return false;  // write after read
      }
      for (const ggml_tensor* src : t->src) {
        if (src && !aligned(other, src)) return false;  // read after write
      }
    }
    return true;
  }

  static bool aligned(const ggml_tensor* a, const ggml_tensor* b) {
    if (!range_of(a).overlaps(range_of(b))) return true;
    if (a->data != b->data || a->ne[0] != b->ne[0] || ggml_nrows(a) != ggml_nrows(b)) return false;
    if (evenly_spaced(a) && evenly_spaced(b)) return a->nb[1] == b->nb[1];
    return ggml_are_same_shape(a, b) && std::equal(a->nb, a->nb + GGML_MAX_DIMS, b->nb);
  }

  size_t add_rows(size_t i) {
    Step step{};
    step.kind = Step::Kind::rows;
    const size_t first_op = plan_.row_ops.size();
    step.first_op = static_cast<int>(first_op);
    const ggml_tensor* head = nodes_[i];
    bool whole_rows = false;
    for (; i < nodes_.size(); ++i) {
      const ggml_tensor* t = nodes_[i];
      if (!is_row_op(t) || !fits_group(first_op, t)) break;
      plan_.row_ops.push_back({row_kind(t), t, {}});
      whole_rows |= t->op == GGML_OP_RMS_NORM;
      note(t);
    }
    if (i < nodes_.size() && nodes_[i]->op == GGML_OP_MUL_MAT) quantize_with(first_op, nodes_[i]);
    step.n_ops = static_cast<int>(plan_.row_ops.size() - first_op);
    const int64_t rows = ggml_nrows(head);
    // A short pass has few rows: give every thread a piece of each.
    if (!whole_rows && rows < int64_t{4} * n_threads_) {
      const int64_t most = std::max<int64_t>(1, head->ne[0] / 512);
      step.parts = static_cast<int>(std::min<int64_t>(n_threads_, most));
    }
    step.n_tasks = static_cast<int>(rows) * step.parts;
    push(step);
    return i;
  }

  // The activations of the product that follows a group of row operations are quantised with it.
  void quantize_with(size_t first_op, const ggml_tensor* product) {
    const ggml_tensor* x = product->src[1];
    for (size_t j = first_op; j < plan_.row_ops.size(); ++j) {
      if (plan_.row_ops[j].node != x) continue;
      // A later operation of the group must not have written over it.
      for (size_t l = j + 1; l < plan_.row_ops.size(); ++l) {
        if (range_of(plan_.row_ops[l].node).overlaps(range_of(x))) return;
      }
      const Tiles tiles = activations_.take(x, nullptr, tiles_of(product));
      plan_.row_ops.push_back({RowOp::Kind::quantize, x, tiles});
      hazards_.write(slot_range(tiles));
      return;
    }
  }

  void add_quantize(const ggml_tensor* product) {
    const ggml_tensor* x = product->src[1];
    Step step{};
    step.kind = Step::Kind::rows;
    step.first_op = static_cast<int>(plan_.row_ops.size());
    step.n_ops = 1;
    const Tiles tiles = activations_.take(x, nullptr, tiles_of(product));
    plan_.row_ops.push_back({RowOp::Kind::quantize, x, tiles});
    if (tiles.n < 4 * n_threads_) {
      step.parts =
          static_cast<int>(std::min<int64_t>(n_threads_, std::max<int64_t>(1, tiles.k / 1024)));
    }
    step.n_tasks = tiles.n * step.parts;
    hazards_.read(range_of(x));
    hazards_.write(slot_range(tiles));
    push(step);
  }

  void add_product(const ggml_tensor* t) {
    const Tiles tiles = tiles_of(t);
    if (!activations_.find(t->src[1], nullptr, tiles)) add_quantize(t);
    Step step{};
    step.kind = Step::Kind::product;
    step.node = t;
    step.tiles = *activations_.find(t->src[1], nullptr, tiles);
    const int64_t of_slice = panel_count(t->src[0]->ne[1]);
    const int64_t panels = of_slice * step.tiles.n_slices;
    step.chunk = std::max(panels / (int64_t{16} * n_threads_),
                          least_panels(step.tiles.k, step.tiles.columns()));
    if (step.tiles.n_tiles > 1) step.chunk = std::min<int64_t>(step.chunk, 4);
    step.chunk = std::clamp<int64_t>((panels + n_threads_ - 1) / n_threads_, 1, step.chunk);
    step.parts = static_cast<int>((of_slice + step.chunk - 1) / step.chunk);
    step.n_tasks = step.parts * step.tiles.n_slices;
    hazards_.read(slot_range(step.tiles));
    write(range_of(t));
    push(step);
  }

  // Panels of a task that is worth the trouble of handing it out: some 4000 cycles, at about 10 per
  // block and column and 75 for the block.
  static int64_t least_panels(int64_t k, int64_t columns) {
    const int64_t cycles = (k / kBlock + 1) * (75 + 10 * columns);
    return std::max<int64_t>(1, 4000 / cycles);
  }

  static Range route_range(size_t route, int n_experts, int n_pairs) {
    const uintptr_t base = kRouteAddresses + route;
    return {base, base + Route::size(n_experts, n_pairs)};
  }

  size_t add_route(const ggml_tensor* product) {
    const ggml_tensor* ids = product->src[2];
    const auto n_experts = static_cast<int>(product->src[0]->ne[2]);
    if (const Routes::Route* known = routes_.find(ids, n_experts)) return known->offset;
    Step step{};
    step.kind = Step::Kind::route;
    step.node = product;
    step.route = plan_.route_ints;
    plan_.route_ints += Route::size(n_experts, n_pairs(product));
    routes_.add(ids, n_experts, step.route);
    hazards_.read(range_of(ids));
    hazards_.write(route_range(step.route, n_experts, n_pairs(product)));
    push(step);
    return step.route;
  }

  void add_gather(const ggml_tensor* product, size_t route, const Range& route_memory) {
    const ggml_tensor *x = product->src[1], *ids = product->src[2];
    Step step{};
    step.kind = Step::Kind::gather;
    step.node = product;
    step.route = route;
    step.tiles = activations_.take(x, ids, tiles_of(product));
    if (step.tiles.n < 2 * n_threads_) step.parts = n_threads_;
    step.n_tasks = step.tiles.n * step.parts;
    hazards_.read(range_of(x));
    hazards_.read(route_memory);
    hazards_.write(slot_range(step.tiles));
    push(step);
  }

  // Which experts the tokens go to shows when the step runs. Its tasks are equal shares of the
  // panels of those experts, in the order in which the panels lie.
  void add_expert_product(const ggml_tensor* t) {
    const ggml_tensor *w = t->src[0], *x = t->src[1], *ids = t->src[2];
    const auto n_experts = static_cast<int>(w->ne[2]);
    const size_t route = add_route(t);
    const Range route_memory = route_range(route, n_experts, n_pairs(t));
    const Tiles tiles = tiles_of(t);
    if (!activations_.find(x, ids, tiles)) add_gather(t, route, route_memory);
    Step step{};
    step.kind = Step::Kind::expert_product;
    step.node = t;
    step.route = route;
    step.tiles = *activations_.find(x, ids, tiles);
    const int64_t most = std::min<int64_t>(n_experts, step.tiles.n);  // experts of this pass
    const int64_t panels = most * panel_count(w->ne[1]);
    const int64_t columns = std::max<int64_t>(1, step.tiles.n / n_experts);
    const int64_t chunk =
        std::max(panels / (int64_t{32} * n_threads_), least_panels(step.tiles.k, columns));
    step.n_tasks = static_cast<int>((panels + chunk - 1) / chunk);
    hazards_.read(slot_range(step.tiles));
    hazards_.read(route_memory);
    write(range_of(t));
    push(step);
  }

  void add_attention(const ggml_tensor* t) {
    const ggml_tensor *q = t->src[0], *k = t->src[1], *v = t->src[2];
    const int64_t per_head = q->ne[1] * (q->ne[2] / k->ne[2]);  // queries that share a head
    const int64_t heads = k->ne[2] * q->ne[3];
    int64_t chunk = std::clamp<int64_t>(kScoreBytes / (k->ne[1] * 4 + 1), 4, 64);
    // Enough tasks for all threads.
    const int64_t balanced = per_head * heads / (int64_t{2} * n_threads_);
    chunk = std::clamp<int64_t>(std::min(chunk, balanced), 1, per_head);
    Step step{};
    step.kind = Step::Kind::attention;
    step.node = t;
    step.chunk = chunk;
    step.n_tasks = static_cast<int>(heads * ((per_head + chunk - 1) / chunk));
    plan_.attention_bytes =
        std::max(plan_.attention_bytes,
                 attention_scratch(k->ne[1], static_cast<int>(chunk), q->ne[0], v->ne[0]));
    note(t);
    push(step);
  }

  void add_rotation(const ggml_tensor* t) {
    size_t table = plan_.angle_floats;
    if (const AngleTables::Table* known = angles_.find(t)) {
      table = known->offset;
    } else {
      plan_.angle_floats += static_cast<size_t>(t->op_params[1] * t->ne[2]);
      angles_.add(t, table);
      Step step{};
      step.kind = Step::Kind::angles;
      step.node = t;
      step.table = table;
      step.n_tasks = static_cast<int>(t->ne[2]);
      hazards_.read(range_of(t->src[1]));
      if (t->src[2]) hazards_.read(range_of(t->src[2]));
      hazards_.write(angle_range(t, table));
      push(step);
    }
    Step step{};
    step.kind = Step::Kind::rotate;
    step.node = t;
    step.table = table;
    step.parts =
        t->ne[2] < int64_t{2} * n_threads_ ? static_cast<int>(std::min<int64_t>(t->ne[1], 2)) : 1;
    step.n_tasks = static_cast<int>(t->ne[2]) * step.parts;
    hazards_.read(angle_range(t, table));
    note(t);
    push(step);
  }

  Range angle_range(const ggml_tensor* t, size_t table) const {
    const uintptr_t base = plan_.activation_bytes + 1 + table;
    return {base, base + static_cast<size_t>(t->op_params[1] * t->ne[2])};
  }

  const std::vector<const ggml_tensor*>& nodes_;
  const int n_threads_;
  Plan& plan_;
  Hazards hazards_;
  Activations activations_;
  AngleTables angles_;
  Routes routes_;
};

}  // namespace

void build_plan(const std::vector<const ggml_tensor*>& nodes, int n_threads, Plan* plan) {
  Builder(nodes, n_threads, plan).run();
}

}  // namespace gumbelspec::kernels
