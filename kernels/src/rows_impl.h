// Operations on rows of floats. Everything here has internal linkage: the file is compiled once per
// instruction set.
#ifndef GUMBELSPEC_KERNELS_SRC_ROWS_IMPL_H_
#define GUMBELSPEC_KERNELS_SRC_ROWS_IMPL_H_

#include <cmath>
#include <cstdint>
#include <cstring>

namespace gumbelspec::kernels {
namespace {

// exp(x) for x <= 88; zero below -87. Cody-Waite reduction, polynomial of Cephes' expf.
template <class V>
inline typename V::Float exp_of(typename V::Float x) {
  using F = typename V::Float;
  const F low = V::set1(-87.0F);
  const F bounded = V::min(V::max(x, low), V::set1(88.0F));
  const typename V::Int n = V::round(V::mul(bounded, V::set1(1.44269504088896341F)));
  const F nf = V::to_float(n);
  F r = V::fma(nf, V::set1(-0.693359375F), bounded);
  r = V::fma(nf, V::set1(2.12194440e-4F), r);
  F y = V::set1(1.9875691500e-4F);
  y = V::fma(y, r, V::set1(1.3981999507e-3F));
  y = V::fma(y, r, V::set1(8.3334519073e-3F));
  y = V::fma(y, r, V::set1(4.1665795894e-2F));
  y = V::fma(y, r, V::set1(1.6666665459e-1F));
  y = V::fma(y, r, V::set1(5.0000001201e-1F));
  y = V::fma(y, V::mul(r, r), V::add(r, V::set1(1.0F)));
  return V::mul(y, V::exp2_int(n));
}

template <class V>
void rms_norm_impl(const float* x, const float* weight, float* y, int64_t n, float eps) {
  constexpr int kLanes = V::kLanes;
  typename V::Float squares = V::zero();
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const typename V::Float v = V::load(x + i);
    squares = V::fma(v, v, squares);
  }
  float sum = V::sum(squares);
  for (int64_t j = i; j < n; ++j) sum += x[j] * x[j];
  const float scale = 1.0F / std::sqrt(sum / static_cast<float>(n) + eps);
  for (int64_t j = 0; j < i; j += kLanes) {
    typename V::Float v = V::mul(V::load(x + j), V::set1(scale));
    if (weight) v = V::mul(v, V::load(weight + j));
    V::store(y + j, v);
  }
  for (; i < n; ++i) y[i] = x[i] * scale * (weight ? weight[i] : 1.0F);
}

template <class V>
void swiglu_impl(const float* gate, const float* up, float* y, int64_t n) {
  constexpr int kLanes = V::kLanes;
  const auto step = [](typename V::Float g, typename V::Float u) {
    const typename V::Float e = exp_of<V>(V::sub(V::zero(), g));
    return V::mul(V::div(g, V::add(V::set1(1.0F), e)), u);
  };
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    V::store(y + i, step(V::load(gate + i), V::load(up + i)));
  }
  if (i == n) return;
  float g[kLanes] = {}, u[kLanes] = {}, out[kLanes];
  const auto rest = static_cast<size_t>(n - i) * 4;
  std::memcpy(g, gate + i, rest);
  std::memcpy(u, up + i, rest);
  V::store(out, step(V::load(g), V::load(u)));
  std::memcpy(y + i, out, rest);
}

template <class V>
void to_half_impl(const float* x, uint16_t* y, int64_t n) {
  int64_t i = 0;
  for (; i + V::kLanes <= n; i += V::kLanes) V::store_half(y + i, V::load(x + i));
  if (i == n) return;
  float rest[V::kLanes] = {};
  uint16_t halves[V::kLanes];
  std::memcpy(rest, x + i, static_cast<size_t>(n - i) * 4);
  V::store_half(halves, V::load(rest));
  std::memcpy(y + i, halves, static_cast<size_t>(n - i) * 2);
}

// Plain loops: the compiler turns them into vectors of the file's instruction set.
void rotate_impl(const float* x, float* y, const float* table, int64_t pairs, bool halves) {
  const float* cosine = table;
  const float* sine = table + pairs;
  if (halves) {
    for (int64_t i = 0; i < pairs; ++i) {
      const float a = x[i], b = x[i + pairs];
      y[i] = a * cosine[i] - b * sine[i];
      y[i + pairs] = a * sine[i] + b * cosine[i];
    }
    return;
  }
  for (int64_t i = 0; i < pairs; ++i) {
    const float a = x[2 * i], b = x[2 * i + 1];
    y[2 * i] = a * cosine[i] - b * sine[i];
    y[2 * i + 1] = a * sine[i] + b * cosine[i];
  }
}

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_ROWS_IMPL_H_
