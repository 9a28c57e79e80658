// The loops over a vocabulary for any processor, and which ones are used.
#include "src/core/vector_kernels.h"

#include <algorithm>
#include <limits>
#include <stdexcept>

#include "gumbelspec/simd.h"
#include "src/core/gumbel_math.h"
#include "src/core/mass_math.h"
#include "src/core/softmax_math.h"

namespace gumbelspec {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();

float max_scalar(const ScoreSpan& scores) {
  float best = kLowest;
  for (std::size_t i = 0; i < scores.n; ++i) {
    const float scaled = scores.a[i] * scores.factor;
    const float score = scores.b == nullptr ? scaled : scaled + scores.b[i];
    best = score > best ? score : best;
  }
  return best;
}

float block_maxima_scalar(const ScoreSpan& scores, std::size_t block, float* out) {
  float best = kLowest;
  for (std::size_t first = 0; first < scores.n; first += block) {
    const float here = max_scalar({scores.a + first, scores.factor,
                                   scores.b == nullptr ? nullptr : scores.b + first,
                                   std::min(block, scores.n - first)});
    *out++ = here;
    best = std::max(best, here);
  }
  return best;
}

void scale_scalar(const float* in, float factor, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) out[i] = in[i] * factor;
}

void softmax_sums_scalar(const ScoreSpan& scores, const SoftmaxRange& range, float* out) {
  softmax_sums_of<ScalarLanes, 1>(scores, range, out);
}

double exp_sum_scalar(const float* a, float largest, std::size_t n) {
  double sum = 0.0;
  for (std::size_t i = 0; i < n; ++i) {
    const float x = a[i] - largest;
    if (x > -40.0F) sum += static_cast<double>(exp_of_negative<ScalarLanes>(x));
  }
  return sum;
}

void masses_scalar(const float* a, float largest, std::size_t n, std::uint64_t* out) {
  for (std::size_t i = 0; i < n; ++i) out[i] = mass_of(a[i], largest);
}

void mass_sums_scalar(const float* a, float largest, float limit, std::size_t n,
                      std::uint64_t* out) {
  out[0] = out[1] = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint64_t mass = mass_of(a[i], largest);
    out[0] += mass;
    out[1] += a[i] > limit ? mass : 0;
  }
}

std::size_t collect_scalar(const float* a, std::size_t first, std::size_t n, float least,
                           float most, TokenId* out) {
  const TokenId* const begin = out;
  for (std::size_t i = 0; i < n; ++i) {
    if (a[i] >= least && a[i] <= most) *out++ = token_id(first + i);
  }
  return static_cast<std::size_t>(out - begin);
}

std::size_t keep_from_scalar(const float* in, float least, float* out, std::size_t n) {
  std::size_t n_equal = 0;
  for (std::size_t i = 0; i < n; ++i) {
    n_equal += in[i] == least ? 1U : 0U;
    // NOLINTNEXTLINE(bugprone-narrowing-conversions): both are floats
    out[i] = in[i] >= least ? in[i] : kLowest;
  }
  return n_equal;
}

void keep_allowed_scalar(const float* in, const std::uint32_t* allowed, float* out, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    // NOLINTNEXTLINE(bugprone-narrowing-conversions): both are floats
    out[i] = ((allowed[i / 32] >> (i % 32)) & 1U) != 0 ? in[i] : kLowest;
  }
}

}  // namespace

const VectorKernels kScalarKernels = {fill_noise_scalar,   noise_of_scalar,  max_scalar,
                                      block_maxima_scalar, scale_scalar,     softmax_sums_scalar,
                                      exp_sum_scalar,      masses_scalar,    mass_sums_scalar,
                                      collect_scalar,      keep_from_scalar, keep_allowed_scalar};

const VectorKernels& vector_kernels(Simd simd) {
  if (simd > best_simd()) {
    throw std::logic_error("vector_kernels: this processor or build has no such instructions");
  }
#ifdef GUMBELSPEC_X86_SIMD
  if (simd == Simd::avx512) return kAvx512Kernels;
  if (simd == Simd::avx2) return kAvx2Kernels;
#endif
  return kScalarKernels;
}

const VectorKernels& vector_kernels() {
  static const VectorKernels& chosen = vector_kernels(simd_in_use());
  return chosen;
}

}  // namespace gumbelspec
