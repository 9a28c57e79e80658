#include "kernels/src/plan.h"

#include <algorithm>

#include "kernels/src/buffer.h"
#include "kernels/src/elements.h"
#include "kernels/src/hazards.h"

namespace gumbelspec::kernels {
namespace {

constexpr int kActivationSlots = 4;         // products whose activations may be alive at once
constexpr int64_t kScoreBytes = 256 << 10;  // scores a thread keeps at a time: half of a small L2

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
    plan_.activation_bytes = plan_.angle_floats = plan_.attention_bytes = 0;
  }

  void run() {
    measure_slots();
    for (size_t i = 0; i < nodes_.size();) i = add(i);
  }

 private:
  struct Slot {
    const ggml_tensor* source = nullptr;
    Tiles tiles;
  };
  struct Angles {
    const ggml_tensor* node;
    size_t table;
  };

  static Tiles tiles_of(const ggml_tensor* product) {
    const ggml_tensor *w = product->src[0], *x = product->src[1];
    const bool stacked = w->ne[2] != 1 || w->ne[3] != 1;
    return make_tiles(activation_format(w->type), w->ne[0], static_cast<int>(ggml_nrows(x)),
                      stacked ? static_cast<int>(x->ne[2] * x->ne[3]) : 1);
  }

  void measure_slots() {
    for (const ggml_tensor* t : nodes_) {
      if (t->op != GGML_OP_MUL_MAT) continue;
      slot_bytes_ = std::max(slot_bytes_, (tiles_of(t).bytes() + 4095) / 4096 * 4096);
    }
    plan_.activation_bytes = slot_bytes_ * kActivationSlots;
  }

  size_t add(size_t i) {
    const ggml_tensor* t = nodes_[i];
    if (is_row_op(t)) return add_rows(i);
    switch (t->op) {
      case GGML_OP_MUL_MAT:
        add_product(t);
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
    step.n_queues = step.kind == Step::Kind::product ? std::min(n_threads_, step.n_tasks) : 1;
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
    for (Slot& s : slots_) {
      if (s.source != nullptr && range_of(s.source).overlaps(r)) s.source = nullptr;
    }
    const auto is_stale = [&](const Angles& a) {
      const ggml_tensor* factors = a.node->src[2];
      return range_of(a.node->src[1]).overlaps(r) ||
             (factors != nullptr && range_of(factors).overlaps(r));
    };
    angles_.erase(std::remove_if(angles_.begin(), angles_.end(), is_stale), angles_.end());
    hazards_.write(r);
  }

  Range slot_range(const Tiles& tiles) const {
    // Slots are numbered from an address no tensor has.
    return {tiles.offset + 1, tiles.offset + 1 + tiles.bytes()};
  }

  // The activations of a product if they are there.
  const Slot* find_slot(const ggml_tensor* product) const {
    const Tiles tiles = tiles_of(product);
    for (const Slot& s : slots_) {
      if (s.source == product->src[1] && s.tiles.format == tiles.format &&
          s.tiles.n_slices == tiles.n_slices) {
        return &s;
      }
    }
    return nullptr;
  }

  Tiles take_slot(const ggml_tensor* source, Tiles tiles) {
    tiles.offset = static_cast<size_t>(next_slot_) * slot_bytes_;
    slots_[next_slot_] = {source, tiles};
    next_slot_ = (next_slot_ + 1) % kActivationSlots;
    return tiles;
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
      const Tiles tiles = take_slot(x, tiles_of(product));
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
    const Tiles tiles = take_slot(x, tiles_of(product));
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
    if (!find_slot(t)) add_quantize(t);
    Step step{};
    step.kind = Step::Kind::product;
    step.node = t;
    step.tiles = find_slot(t)->tiles;
    const int64_t of_slice = panel_count(t->src[0]->ne[1]);
    const int64_t panels = of_slice * step.tiles.n_slices;
    step.chunk = std::max(panels / (int64_t{16} * n_threads_), least_panels(step.tiles));
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
  static int64_t least_panels(const Tiles& tiles) {
    const int64_t cycles = (tiles.k / kBlock + 1) * (75 + 10 * tiles.columns());
    return std::max<int64_t>(1, 4000 / cycles);
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

  // All parameters but the last, which says where in a head the rotated elements start.
  static bool same_angles(const ggml_tensor* a, const ggml_tensor* b) {
    return a->src[1] == b->src[1] && a->src[2] == b->src[2] &&
           std::equal(a->op_params, a->op_params + 15, b->op_params);
  }

  void add_rotation(const ggml_tensor* t) {
    const auto known = std::find_if(angles_.begin(), angles_.end(),
                                    [&](const Angles& a) { return same_angles(a.node, t); });
    size_t table = 0;
    if (known != angles_.end()) {
      table = known->table;
    } else {
      table = plan_.angle_floats;
      plan_.angle_floats += static_cast<size_t>(t->op_params[1] * t->ne[2]);
      angles_.push_back({t, table});
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
  Slot slots_[kActivationSlots];
  int next_slot_ = 0;
  size_t slot_bytes_ = 0;
  std::vector<Angles> angles_;
};

}  // namespace

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

void build_plan(const std::vector<const ggml_tensor*>& nodes, int n_threads, Plan* plan) {
  Builder(nodes, n_threads, plan).run();
}

}  // namespace gumbelspec::kernels
