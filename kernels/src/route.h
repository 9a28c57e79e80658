// Which columns of a product with experts meet which expert.
#ifndef GUMBELSPEC_KERNELS_SRC_ROUTE_H_
#define GUMBELSPEC_KERNELS_SRC_ROUTE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "ggml.h"

namespace gumbelspec::kernels {

// A *pair* is a token and one of the experts it goes to: pair p is entry p % n_used of token
// p / n_used, and also the column of the result. Sorted by expert, the pairs of an expert are
// neighbours and its weights are read once; in which order and in whose company a pair is computed
// changes no bit of it.
//
// A view of memory of size() integers, filled by build().
class Route {
 public:
  Route(int32_t* memory, int n_experts, int n_pairs)
      : n_experts_(n_experts),
        n_pairs_(n_pairs),
        n_active_(memory),
        expert_(memory + 1),
        first_(expert_ + n_experts),
        pair_(first_ + n_experts + 1) {}
  static size_t size(int n_experts, int n_pairs) {
    return 2 * static_cast<size_t>(n_experts) + 2 + static_cast<size_t>(n_pairs);
  }

  // ids: int32 [n_used, n_tokens]. Ends the program, as ggml does, where one is no expert's.
  void build(const ggml_tensor* ids) const {
    std::fill_n(expert_, n_experts_, 0);
    for (int p = 0; p < n_pairs_; ++p) ++expert_[id_of(ids, p)];
    // Where the next pair of an expert goes; afterwards where those of the next expert begin.
    int at = 0;
    for (int e = 0; e < n_experts_; ++e) {
      first_[e] = at;
      at += expert_[e];
    }
    for (int p = 0; p < n_pairs_; ++p) pair_[first_[id_of(ids, p)]++] = p;
    int active = 0, begin = 0;
    for (int e = 0; e < n_experts_; ++e) {
      const int end = first_[e];
      if (end == begin) continue;
      expert_[active] = e;
      first_[active++] = begin;
      begin = end;
    }
    first_[active] = n_pairs_;
    *n_active_ = active;
  }

  int n_active() const { return *n_active_; }  // experts that have pairs, in order
  int expert(int i) const { return expert_[i]; }
  // Pairs [first(i), first(i + 1)) in the sorted order are those of the i-th active expert.
  int first(int i) const { return first_[i]; }
  int count(int i) const { return first_[i + 1] - first_[i]; }
  const int32_t* pairs() const { return pair_; }  // in the sorted order
  int active_of(int sorted) const {
    return static_cast<int>(std::upper_bound(first_, first_ + n_active() + 1, sorted) - first_) - 1;
  }

 private:
  int32_t id_of(const ggml_tensor* ids, int pair) const {
    const auto n_used = static_cast<int>(ids->ne[0]);
    const auto* row = reinterpret_cast<const int32_t*>(
        static_cast<const uint8_t*>(ids->data) + static_cast<size_t>(pair / n_used) * ids->nb[1]);
    const int32_t id = row[pair % n_used];
    GGML_ASSERT(id >= 0 && id < n_experts_);
    return id;
  }

  int n_experts_, n_pairs_;
  int32_t *n_active_, *expert_, *first_, *pair_;
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_ROUTE_H_
