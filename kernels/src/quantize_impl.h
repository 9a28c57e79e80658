// Activations for the products, the same numbers on every instruction set.
#ifndef GUMBELSPEC_KERNELS_SRC_QUANTIZE_IMPL_H_
#define GUMBELSPEC_KERNELS_SRC_QUANTIZE_IMPL_H_

#include <cstring>

#include "kernels/src/kernel_set.h"

namespace gumbelspec::kernels {
namespace {  // compiled once per instruction set

// Round to nearest even, NaN kept quiet.
inline uint16_t to_bf16(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<uint16_t>((bits >> 16) | 64);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

template <class V>
void quantize_int8(const QuantizeJob& job) {
  using Record = RecordLayout;
  constexpr int kLanes = V::kLanes;
  const auto n = static_cast<size_t>(job.n);
  const auto c = static_cast<size_t>(job.column);
  uint8_t* extras = job.tile + static_cast<size_t>(job.k / kBlock) * Record::kBytes * n;
  for (int64_t b = job.begin; b < job.end; ++b) {
    uint8_t* rec = job.tile + static_cast<size_t>(b) * Record::kBytes * n;
    uint8_t* more = extras + static_cast<size_t>(b) * extra::kBytes * n;
    const float* x = job.x + b * kBlock;
    typename V::Float tops = V::zero();
    for (int i = 0; i < kBlock; i += kLanes) tops = V::max(tops, V::abs(V::load(x + i)));
    const float top = V::top(tops);
    const float scale = top / 127.0F;
    const typename V::Float inverse = V::set1(top > 0.0F ? 127.0F / top : 0.0F);
    constexpr int kVectors = kBlock / kLanes;
    typename V::Int q[kVectors];
    for (int i = 0; i < kVectors; ++i) {
      q[i] = V::round(V::mul(V::load(x + i * kLanes), inverse));
    }
    typename V::Int halves[2] = {q[0], q[kVectors / 2]};
    for (int i = 1; i < kVectors / 2; ++i) {
      halves[0] = V::add_int(halves[0], q[i]);
      halves[1] = V::add_int(halves[1], q[kVectors / 2 + i]);
    }
    const int32_t low = V::sum_int(halves[0]), high = V::sum_int(halves[1]);
    uint8_t* codes = rec + kBlock * c;
    for (int i = 0; i < kVectors; ++i) V::store_narrow(codes + i * kLanes, q[i]);
    const int32_t minus128 = -128 * (low + high), low32 = -32 * low, high32 = -32 * high;
    const float sum = scale * static_cast<float>(low + high);
    std::memcpy(rec + Record::kScale * n + 4 * c, &scale, 4);
    std::memcpy(rec + Record::kMinus128 * n + 4 * c, &minus128, 4);
    std::memcpy(more + extra::kSum * n + 4 * c, &sum, 4);
    std::memcpy(more + extra::kMinus32Low * n + 4 * c, &low32, 4);
    std::memcpy(more + extra::kMinus32High * n + 4 * c, &high32, 4);
  }
}

// Float products: pairs of values of all columns side by side, as the kernels read them.
inline void interleave(ActivationFormat format, const QuantizeJob& job) {
  const auto n = static_cast<size_t>(job.n);
  const auto c = static_cast<size_t>(job.column);
  const bool wide = format == ActivationFormat::f32;
  const int64_t last = job.end * kBlock < job.k ? job.end * kBlock : job.k;
  for (int64_t k = job.begin * kBlock; k < last; k += 2) {
    const float x0 = job.x[k];
    const float x1 = k + 1 < job.k ? job.x[k + 1] : 0.0F;
    uint8_t* at = job.tile + static_cast<size_t>(k / 2) * n * (wide ? 8 : 4);
    if (wide) {
      std::memcpy(at + 4 * c, &x0, 4);
      std::memcpy(at + 4 * n + 4 * c, &x1, 4);
    } else {
      const uint32_t pair = to_bf16(x0) | (static_cast<uint32_t>(to_bf16(x1)) << 16);
      std::memcpy(at + 4 * c, &pair, 4);
    }
  }
}

template <class V>
void quantize_impl(ActivationFormat format, const QuantizeJob& job) {
  if (format == ActivationFormat::int8) return quantize_int8<V>(job);
  interleave(format, job);
}

}  // namespace
}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_QUANTIZE_IMPL_H_
