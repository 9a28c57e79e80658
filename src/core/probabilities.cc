#include "src/core/probabilities.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>

#include "gumbelspec/error.h"
#include "src/core/gumbel_math.h"
#include "src/core/mass_math.h"
#include "src/core/softmax_math.h"
#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();
constexpr std::size_t kLanes = 8;
constexpr std::size_t kBlock = 256;

// Two roundings where others fuse, so that the compiler makes vectors of it on every processor.
struct UnfusedLanes : ScalarLanes {
  static F fma(F a, F b, F c) { return a * b + c; }
};

// exp(x) for x <= 0.
inline float exp_of(float x) {
  const float result = exp_of_negative<UnfusedLanes>(x);
  return x > -87.0F ? result : 0.0F;  // also for what is not a number
}

// Sums of a block in float, of blocks in double. Each block always in the same order, so that
// pick() meets the very sums that it is given.
template <class At>
double block_sum(std::size_t n, At at) {
  float lanes[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    for (std::size_t j = 0; j < kLanes; ++j) lanes[j] += at(i + j);
  }
  for (; i < n; ++i) lanes[0] += at(i);
  double sum = 0.0;
  for (const float lane : lanes) sum += static_cast<double>(lane);
  return sum;
}

template <class At>
double sum_of_blocks(std::size_t first, std::size_t n, At at) {
  double sum = 0.0;
  for (; first < n; first += kBlock) {
    sum += block_sum(std::min(kBlock, n - first), [&](std::size_t i) { return at(first + i); });
  }
  return sum;
}

}  // namespace

double exponentiate(std::span<const float> log_weights, std::span<float> weights) {
  const float largest =
      vector_kernels().max_of_sum({.a = log_weights.data(), .n = log_weights.size()});
  if (!(largest > kLowest) || largest == std::numeric_limits<float>::infinity()) {
    throw Error(ErrorCode::no_token_allowed,
                "no token can be chosen: of " + std::to_string(log_weights.size()) +
                    " tokens all are forbidden or have a logit that is not a finite number; "
                    "relax the mask or the biases, or check the model file");
  }
  const float* in = log_weights.data();
  float* out = weights.data();
  for (std::size_t i = 0; i < log_weights.size(); ++i) out[i] = exp_of(in[i] - largest);
  return sum_of_blocks(0, log_weights.size(), [out](std::size_t i) { return out[i]; });
}

double log_sum_exp(std::span<const float> row, float largest) {
  double sum = 0.0;
  for (std::size_t first = 0; first < row.size(); first += kMostMasses) {
    const std::size_t n = std::min(kMostMasses, row.size() - first);
    std::array<std::uint64_t, 2> sums;
    vector_kernels().mass_sums(row.data() + first, largest, largest, n, sums.data());
    sum += static_cast<double>(sums[0]);
  }
  return std::log(sum) - kMassBits * std::log(2.0);
}

TwoSums reject(TokenId x, std::span<float> p, std::span<float> q, TwoSums sums) {
  const auto of_p = static_cast<float>(1.0 / sums.p);
  const auto of_q = static_cast<float>(1.0 / sums.q);
  // Nothing is left of x in either: it was rejected because q(x) > p(x).
  p[index(x)] = 0.0F;
  q[index(x)] = 0.0F;
  float* a = p.data();
  const float* b = q.data();
  for (std::size_t i = 0; i < q.size(); ++i) {
    const float difference = a[i] * of_p - b[i] * of_q;
    a[i] = difference > 0.0F ? difference : 0.0F;
  }
  for (std::size_t i = q.size(); i < p.size(); ++i) a[i] *= of_p;
  return {sum_of_blocks(0, p.size(), [a](std::size_t i) { return a[i]; }),
          sum_of_blocks(0, q.size(), [b](std::size_t i) { return b[i]; })};
}

TokenId pick(std::span<const float> weights, double sum, double unit) {
  const double wanted = unit * sum;
  const float* w = weights.data();
  double before = 0.0;
  std::size_t last = 0;  // the last token of any weight that was passed
  for (std::size_t first = 0; first < weights.size(); first += kBlock) {
    const std::size_t n = std::min(kBlock, weights.size() - first);
    const double after = before + block_sum(n, [w, first](std::size_t i) { return w[first + i]; });
    if (after == before) continue;
    const bool is_here = after > wanted;
    double sum_here = before;
    for (std::size_t i = first; i < first + n; ++i) {
      if (w[i] == 0.0F) continue;
      last = i;
      sum_here += static_cast<double>(w[i]);
      if (is_here && sum_here > wanted) return token_id(i);
    }
    if (is_here) break;  // by rounding only; then it is the last one of the block
    before = after;
  }
  return token_id(last);
}

}  // namespace gumbelspec
