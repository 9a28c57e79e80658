// What a plan has made of tensors and may use again: as long as nothing writes over what it was
// made of.
#ifndef GUMBELSPEC_KERNELS_SRC_MADE_H_
#define GUMBELSPEC_KERNELS_SRC_MADE_H_

#include <algorithm>
#include <vector>

#include "ggml.h"
#include "kernels/src/hazards.h"
#include "kernels/src/plan.h"

namespace gumbelspec::kernels {

// The activations of products, in slots of one size that are used in turns.
class Activations {
 public:
  static constexpr int kSlots = 4;  // products whose activations may be alive at once

  // Before the first slot is taken. Returns: bytes of all slots.
  size_t set_slot_bytes(size_t bytes) {
    slot_bytes_ = bytes;
    return bytes * kSlots;
  }
  // `ids`: of a product with experts, else null. Returns: null where nothing was made.
  const Tiles* find(const ggml_tensor* source, const ggml_tensor* ids, const Tiles& tiles) const {
    for (const Slot& s : slots_) {
      if (s.source == source && s.ids == ids && s.tiles.format == tiles.format &&
          s.tiles.n_slices == tiles.n_slices) {
        return &s.tiles;
      }
    }
    return nullptr;
  }
  Tiles take(const ggml_tensor* source, const ggml_tensor* ids, Tiles tiles) {
    tiles.offset = static_cast<size_t>(next_) * slot_bytes_;
    slots_[next_] = {source, ids, tiles};
    next_ = (next_ + 1) % kSlots;
    return tiles;
  }
  void forget(const Range& written) {
    for (Slot& s : slots_) {
      if (s.source == nullptr) continue;
      const bool is_stale = range_of(s.source).overlaps(written) ||
                            (s.ids != nullptr && range_of(s.ids).overlaps(written));
      if (is_stale) s.source = nullptr;
    }
  }

 private:
  struct Slot {
    const ggml_tensor *source = nullptr, *ids = nullptr;
    Tiles tiles;
  };
  Slot slots_[kSlots];
  int next_ = 0;
  size_t slot_bytes_ = 0;
};

// Angles of rotations, by the first rotation that needed them.
class AngleTables {
 public:
  struct Table {
    const ggml_tensor* node;
    size_t offset;
  };
  const Table* find(const ggml_tensor* rotation) const {
    const auto known = std::find_if(tables_.begin(), tables_.end(),
                                    [&](const Table& t) { return is_same(t.node, rotation); });
    return known == tables_.end() ? nullptr : &*known;
  }
  void add(const ggml_tensor* rotation, size_t offset) { tables_.push_back({rotation, offset}); }
  void forget(const Range& written) {
    const auto is_stale = [&](const Table& t) {
      const ggml_tensor* factors = t.node->src[2];
      return range_of(t.node->src[1]).overlaps(written) ||
             (factors != nullptr && range_of(factors).overlaps(written));
    };
    tables_.erase(std::remove_if(tables_.begin(), tables_.end(), is_stale), tables_.end());
  }

 private:
  // All parameters but the last, which says where in a head the rotated elements start.
  static bool is_same(const ggml_tensor* a, const ggml_tensor* b) {
    return a->src[1] == b->src[1] && a->src[2] == b->src[2] &&
           std::equal(a->op_params, a->op_params + 15, b->op_params);
  }
  std::vector<Table> tables_;
};

// Routes of tokens to experts (route.h), by the ids they were made of.
class Routes {
 public:
  struct Route {
    const ggml_tensor* ids;
    int n_experts;
    size_t offset;
  };
  const Route* find(const ggml_tensor* ids, int n_experts) const {
    const auto known = std::find_if(routes_.begin(), routes_.end(), [&](const Route& r) {
      return r.ids == ids && r.n_experts == n_experts;
    });
    return known == routes_.end() ? nullptr : &*known;
  }
  void add(const ggml_tensor* ids, int n_experts, size_t offset) {
    routes_.push_back({ids, n_experts, offset});
  }
  void forget(const Range& written) {
    const auto is_stale = [&](const Route& r) { return range_of(r.ids).overlaps(written); };
    routes_.erase(std::remove_if(routes_.begin(), routes_.end(), is_stale), routes_.end());
  }

 private:
  std::vector<Route> routes_;
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_MADE_H_
