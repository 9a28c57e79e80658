// Attention whose result does not depend on the order of the cells.
//
// Cells are summed up in integers, which is exact and therefore associative and commutative:
//   1. scores s_j = q.k_j, each a function of q and k_j alone; their maximum m, and M, the largest
//      magnitude in the visible values (maxima do not depend on order);
//   2. p_j = exp(s_j - m); L = sum of p_j rounded to multiples of 2^-30, in 64-bit integers;
//   3. out = sum_j round(p_j / L * v_j * 2^30 / M') * M' / 2^30 with M' the power of two above M.
//      The weights p_j / L add up to one, so the 32-bit sums stay below 2^31.
// The rounding of step 3 is at most 2^-31 M' per cell: finer than float addition would be.
//
// A cell that is hidden from a query contributes nothing at all, whatever its memory holds.
//
// Everything here has internal linkage: the file is compiled once per instruction set.
#ifndef GUMBELSPEC_KERNELS_SRC_ATTENTION_IMPL_H_
#define GUMBELSPEC_KERNELS_SRC_ATTENTION_IMPL_H_

#include <cfloat>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/src/cells_impl.h"
#include "kernels/src/kernel_set.h"
#include "kernels/src/rows_impl.h"
#include "kernels/src/unroll.h"

namespace gumbelspec::kernels {
namespace {

// Scratch memory of one job, carved out of the caller's block.
struct AttentionScratch {
  float* cells;       // [kCells][row] keys or values as floats
  float* q;           // [n_q][row_k]
  float* scores;      // [n_q][n_cells padded]: scores, then weights
  float* value_top;   // [n_q][16]: lane-wise largest magnitude of visible values
  float* score_top;   // [n_q][16]
  int32_t* sums;      // [n_q][row_v]
  uint16_t* visible;  // [n_q][steps]: bit per cell
  int64_t row_k, row_v, padded, steps;
};

inline int64_t pad16(int64_t n) { return (n + 15) / 16 * 16; }

inline AttentionScratch carve(const AttentionJob& job) {
  AttentionScratch s{};
  s.row_k = pad16(job.head_k);
  s.row_v = pad16(job.head_v);
  s.padded = pad16(job.n_cells);
  s.steps = s.padded / kCells;
  const int64_t row = s.row_k > s.row_v ? s.row_k : s.row_v;
  auto* at = reinterpret_cast<float*>(job.scratch);
  s.cells = at, at += kCells * row;
  s.q = at, at += job.n_q * s.row_k;
  s.scores = at, at += job.n_q * s.padded;
  s.value_top = at, at += job.n_q * 16;
  s.score_top = at, at += job.n_q * 16;
  s.sums = reinterpret_cast<int32_t*>(at), at += job.n_q * s.row_v;
  s.visible = reinterpret_cast<uint16_t*>(at);
  return s;
}

// Which cells each query sees; returns nothing, fills s.visible.
template <class V>
inline void find_visible(const AttentionJob& job, const AttentionScratch& s) {
  for (int i = 0; i < job.n_q; ++i) {
    uint16_t* bits = s.visible + i * s.steps;
    const uint16_t* mask = job.mask[i];
    if (i > 0 && mask == job.mask[i - 1]) {
      std::memcpy(bits, bits - s.steps, static_cast<size_t>(s.steps) * 2);
      continue;
    }
    for (int64_t t = 0; t < s.steps; ++t) {
      const int64_t left = job.n_cells - t * kCells;
      if (left >= kCells) {
        bits[t] = static_cast<uint16_t>(mask ? V::finite_bits(mask + t * kCells) : kAllCells);
        continue;
      }
      uint32_t some = 0;
      for (int64_t j = 0; j < left; ++j) {
        some |= static_cast<uint32_t>(!mask || mask[t * kCells + j] != 0xfc00) << j;
      }
      bits[t] = static_cast<uint16_t>(some);
    }
  }
}

inline uint32_t any_visible(const AttentionJob& job, const AttentionScratch& s, int64_t t) {
  uint32_t any = 0;
  for (int i = 0; i < job.n_q; ++i) any |= s.visible[i * s.steps + t];
  return any;
}

// The mask of as many cells as a vector has lanes, from cell `first` on; zero beyond the last one.
template <class V>
inline typename V::Float mask_of(const uint16_t* mask, int64_t first, int64_t n_cells) {
  if (first + V::kLanes <= n_cells) return V::load_half(mask + first);
  uint16_t halves[V::kLanes] = {};
  for (int64_t j = first; j < n_cells; ++j) halves[j - first] = mask[j];
  return V::load_half(halves);
}

// Scores of one query against kCells keys.
template <class V, class Rows>
inline void score_step(const AttentionJob& job, const AttentionScratch& s, const Rows& keys, int i,
                       int64_t t) {
  const uint32_t bits = s.visible[i * s.steps + t];
  if (bits == 0) return;
  using F = typename V::Float;
  constexpr int kLanes = V::kLanes;
  const float* q = s.q + i * s.row_k;
  F best = V::load(s.score_top + i * 16);
  for (int part = 0; part < kCells; part += kLanes) {
    F acc[kLanes];
    GUMBELSPEC_UNROLL for (int j = 0; j < kLanes; ++j) acc[j] = V::zero();
    for (int64_t d = 0; d < s.row_k; d += kLanes) {
      const F qd = V::load(q + d);
      GUMBELSPEC_UNROLL for (int j = 0; j < kLanes; ++j) {
        acc[j] = V::fma(qd, keys.load(part + j, d), acc[j]);
      }
    }
    F score = V::mul(V::sum_each(acc), V::set1(job.scale));
    float* at = s.scores + i * s.padded + t * kCells + part;
    if (job.softcap != 0.0F) {
      V::store(at, score);
      for (int j = 0; j < kLanes; ++j) at[j] = job.softcap * std::tanh(at[j]);
      score = V::load(at);
    }
    if (job.mask[i]) {
      const F slopes = V::set1(job.slope[i]);
      score = V::fma(mask_of<V>(job.mask[i], t * kCells + part, job.n_cells), slopes, score);
    }
    score = V::select(bits >> part, score, V::set1(-std::numeric_limits<float>::infinity()));
    best = V::max(best, score);
    V::store(at, score);
  }
  V::store(s.score_top + i * 16, best);
}

// Largest magnitude of one value, lane by lane; `cell` is scratch for one row.
template <class V>
inline typename V::Float value_top(const AttentionJob& job, const AttentionScratch& s,
                                   const uint8_t* src, float* cell) {
  if (job.v_type == GGML_TYPE_F16 && job.head_v % 16 == 0) return half_top<V>(src, job.head_v);
  typename V::Float top = V::zero();
  widen_row<V>(job.v_type, src, job.head_v, cell);
  for (int64_t d = 0; d < s.row_v; d += V::kLanes) top = V::max(top, V::abs(V::load(cell + d)));
  return top;
}

// Largest magnitude of the visible values of each query, lane by lane.
template <class V>
inline void value_step(const AttentionJob& job, const AttentionScratch& s, int64_t t,
                       uint32_t any) {
  using F = typename V::Float;
  constexpr int kLanes = V::kLanes;
  float tops[kCells][kLanes];
  F all = V::zero();
  for (uint32_t rest = any; rest != 0; rest &= rest - 1) {
    const int j = __builtin_ctz(rest);
    const F top =
        value_top<V>(job, s, job.v + static_cast<size_t>(t * kCells + j) * job.v_stride, s.cells);
    V::store(tops[j], top);
    all = V::max(all, top);
  }
  for (int i = 0; i < job.n_q; ++i) {
    const uint32_t bits = s.visible[i * s.steps + t];
    F top = V::load(s.value_top + i * 16);
    if (bits == any) {
      top = V::max(top, all);
    } else {
      for (uint32_t rest = bits; rest != 0; rest &= rest - 1) {
        top = V::max(top, V::load(tops[__builtin_ctz(rest)]));
      }
    }
    V::store(s.value_top + i * 16, top);
  }
}

// Turns the scores of query i into integer-scaled weights; returns what one unit of the sums is
// worth (zero: no visible cell or no value).
template <class V>
inline float weigh(const AttentionJob& job, const AttentionScratch& s, int i) {
  using F = typename V::Float;
  constexpr int kLanes = V::kLanes;
  constexpr float kOne = 1073741824.0F;  // 2^30
  F best = V::load(s.score_top + i * 16);
  F value = V::load(s.value_top + i * 16);
  for (int part = kLanes; part < 16; part += kLanes) {
    best = V::max(best, V::load(s.score_top + i * 16 + part));
    value = V::max(value, V::load(s.value_top + i * 16 + part));
  }
  float top = V::top(best);
  if (job.sink && job.sink[i] > top) top = job.sink[i];
  const float largest = V::top(value);
  if (!(top > -std::numeric_limits<float>::infinity()) || largest == 0.0F) return 0.0F;
  if (!(largest <= FLT_MAX)) return std::numeric_limits<float>::quiet_NaN();

  float* scores = s.scores + i * s.padded;
  int64_t total = 0;
  for (int64_t t = 0; t < s.steps; ++t) {
    const uint32_t bits = s.visible[i * s.steps + t];
    if (bits == 0) continue;
    for (int part = 0; part < kCells; part += kLanes) {
      float* at = scores + t * kCells + part;
      const F p = V::select(bits >> part, exp_of<V>(V::sub(V::load(at), V::set1(top))), V::zero());
      total += V::sum_wide(V::round(V::mul(p, V::set1(kOne))));
      V::store(at, p);
    }
  }
  double sum = static_cast<double>(total);
  if (job.sink) sum += std::exp(static_cast<double>(job.sink[i]) - static_cast<double>(top)) * kOne;
  int exponent = 0;
  std::frexp(largest, &exponent);  // largest < 2^exponent
  const double unit = std::ldexp(1.0, exponent - 30);
  const auto factor = static_cast<float>(static_cast<double>(kOne) / (sum * unit));
  for (int64_t j = 0; j < s.padded; j += kLanes) {
    if (s.visible[i * s.steps + j / kCells] == 0) continue;
    V::store(scores + j, V::mul(V::load(scores + j), V::set1(factor)));
  }
  return static_cast<float>(unit);
}

// sums += round(weight_j * value_j) for the visible cells and kQueries queries that see the same
// ones, kWide vectors of a value, from element `first` on. A value is loaded once for all of them.
template <class V, int kQueries, int kWide, class Rows>
inline void gather_columns(const AttentionScratch& s, const Rows& values, int query, int64_t t,
                           int64_t first) {
  constexpr int kLanes = V::kLanes;
  const uint32_t bits = s.visible[query * s.steps + t];
  const float* weights = s.scores + query * s.padded + t * kCells;
  int32_t* sums = s.sums + query * s.row_v + first;
  typename V::Int acc[kQueries][kWide];
  GUMBELSPEC_UNROLL for (int i = 0; i < kQueries; ++i) {
    GUMBELSPEC_UNROLL for (int d = 0; d < kWide; ++d) {
      acc[i][d] = V::load_int(sums + i * s.row_v + d * kLanes);
    }
  }
  for (uint32_t rest = bits; rest != 0; rest &= rest - 1) {
    const int j = __builtin_ctz(rest);
    typename V::Float v[kWide];
    GUMBELSPEC_UNROLL for (int d = 0; d < kWide; ++d) v[d] = values.load(j, first + d * kLanes);
    GUMBELSPEC_UNROLL for (int i = 0; i < kQueries; ++i) {
      const typename V::Float w = V::set1(weights[i * s.padded + j]);
      GUMBELSPEC_UNROLL for (int d = 0; d < kWide; ++d) {
        acc[i][d] = V::add_int(acc[i][d], V::round(V::mul(w, v[d])));
      }
    }
  }
  GUMBELSPEC_UNROLL for (int i = 0; i < kQueries; ++i) {
    GUMBELSPEC_UNROLL for (int d = 0; d < kWide; ++d) {
      V::store_int(sums + i * s.row_v + d * kLanes, acc[i][d]);
    }
  }
}

template <class V, int kQueries, class Rows>
inline void gather_step(const AttentionScratch& s, const Rows& values, int query, int64_t t) {
  constexpr int kLanes = V::kLanes;
  if (s.visible[query * s.steps + t] == 0) return;
  int64_t d = 0;
  for (; d + 4 * kLanes <= s.row_v; d += 4 * kLanes) {
    gather_columns<V, kQueries, 4>(s, values, query, t, d);
  }
  for (; d < s.row_v; d += kLanes) gather_columns<V, kQueries, 1>(s, values, query, t, d);
}

// Heads of one token see the same cells, and are neighbours.
template <class V, class Rows>
inline void gather_queries(const AttentionJob& job, const AttentionScratch& s, const Rows& values,
                           int64_t t) {
  constexpr int kShare = V::kLanes == 16 ? 4 : 2;  // as many as have room in the registers
  const auto see_the_same = [&](int query) {
    for (int i = 1; i < kShare; ++i) {
      if (s.visible[(query + i) * s.steps + t] != s.visible[query * s.steps + t]) return false;
    }
    return true;
  };
  for (int query = 0; query < job.n_q;) {
    if (query + kShare <= job.n_q && see_the_same(query)) {
      gather_step<V, kShare>(s, values, query, t);
      query += kShare;
    } else {
      gather_step<V, 1>(s, values, query++, t);
    }
  }
}

template <class V>
inline void prepare(const AttentionJob& job, const AttentionScratch& s) {
  for (int i = 0; i < job.n_q; ++i) {
    float* q = s.q + i * s.row_k;
    std::memcpy(q, job.q[i], static_cast<size_t>(job.head_k) * 4);
    for (int64_t d = job.head_k; d < s.row_k; ++d) q[d] = 0.0F;
    for (int l = 0; l < 16; ++l) {
      s.score_top[i * 16 + l] = -std::numeric_limits<float>::infinity();
      s.value_top[i * 16 + l] = 0.0F;
    }
    std::memset(s.sums + i * s.row_v, 0, static_cast<size_t>(s.row_v) * 4);
  }
  find_visible<V>(job, s);
}

inline void clear_cells(const AttentionScratch& s, int64_t row) {
  std::memset(s.cells, 0, static_cast<size_t>(kCells * row) * 4);
}

// Can a step read the cells where they are? Worth it when few queries share them; all of the step's
// cells must exist.
inline bool in_place(const AttentionJob& job, ggml_type type, int64_t n, int64_t t) {
  constexpr int kFew = 2;
  return type == GGML_TYPE_F16 && n % 16 == 0 && job.n_q <= kFew && (t + 1) * kCells <= job.n_cells;
}

template <class V>
inline void score_all(const AttentionJob& job, const AttentionScratch& s) {
  const size_t bytes = ggml_row_size(job.k_type, job.head_k);
  clear_cells(s, s.row_k);
  for (int64_t t = 0; t < s.steps; ++t) {
    const uint32_t any = any_visible(job, s, t);
    if (any == 0) continue;
    prefetch_cells(job, job.k, job.k_stride, bytes, t);
    if (in_place(job, job.k_type, job.head_k, t)) {
      const HalfRows<V> keys = {job.k + static_cast<size_t>(t * kCells) * job.k_stride,
                                job.k_stride};
      for (int i = 0; i < job.n_q; ++i) score_step<V>(job, s, keys, i, t);
      continue;
    }
    widen_cells<V>(job.k_type, job.k, job.k_stride, job.head_k, s.row_k, t, any, s.cells);
    const FloatRows<V> keys = {s.cells, s.row_k};
    for (int i = 0; i < job.n_q; ++i) score_step<V>(job, s, keys, i, t);
  }
}

template <class V>
inline void gather_all(const AttentionJob& job, const AttentionScratch& s) {
  const size_t bytes = ggml_row_size(job.v_type, job.head_v);
  clear_cells(s, s.row_v);
  for (int64_t t = 0; t < s.steps; ++t) {
    const uint32_t any = any_visible(job, s, t);
    if (any == 0) continue;
    prefetch_cells(job, job.v, job.v_stride, bytes, t);
    if (in_place(job, job.v_type, job.head_v, t)) {
      const HalfRows<V> values = {job.v + static_cast<size_t>(t * kCells) * job.v_stride,
                                  job.v_stride};
      gather_queries<V>(job, s, values, t);
      continue;
    }
    widen_cells<V>(job.v_type, job.v, job.v_stride, job.head_v, s.row_v, t, any, s.cells);
    const FloatRows<V> values = {s.cells, s.row_v};
    gather_queries<V>(job, s, values, t);
  }
}

template <class V>
void attention_impl(const AttentionJob& job) {
  const AttentionScratch s = carve(job);
  prepare<V>(job, s);
  score_all<V>(job, s);
  const size_t v_bytes = ggml_row_size(job.v_type, job.head_v);
  clear_cells(s, s.row_v);
  for (int64_t t = 0; t < s.steps; ++t) {
    const uint32_t any = any_visible(job, s, t);
    if (any == 0) continue;
    prefetch_cells(job, job.v, job.v_stride, v_bytes, t);
    value_step<V>(job, s, t, any);
  }
  for (int i = 0; i < job.n_q; ++i) job.out[i][0] = weigh<V>(job, s, i);
  gather_all<V>(job, s);
  for (int i = 0; i < job.n_q; ++i) {
    const float unit = job.out[i][0];
    for (int64_t d = 0; d < job.head_v; ++d) {
      job.out[i][d] = unit == 0.0F ? 0.0F : static_cast<float>(s.sums[i * s.row_v + d]) * unit;
    }
  }
}

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_ATTENTION_IMPL_H_
