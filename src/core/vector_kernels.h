// The loops over a whole vocabulary, one version per instruction set, chosen at run time.
#ifndef GUMBELSPEC_CORE_VECTOR_KERNELS_H_
#define GUMBELSPEC_CORE_VECTOR_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "gumbelspec/noise.h"

namespace gumbelspec {

// Scores: a[i] * factor + b[i], rounded twice; b may be null.
struct ScoreSpan {
  const float* a = nullptr;
  float factor = 1.0F;
  const float* b = nullptr;
  std::size_t n = 0;
};

struct SoftmaxRange {
  float largest = 0.0F;  // of the scores
  float inverse_tau = 1.0F;
  // The largest score of each block, which has a multiple of 16; or null.
  const float* maxima = nullptr;
  std::size_t block = 0;
};

// All versions give the same bits.
struct VectorKernels {
  // noise_at for the tokens [0, n). Plain pointers: see gumbel_math.h on inline functions.
  void (*fill_noise)(NoiseKey key, Position position, float* out, std::size_t n);
  // noise_at for the tokens listed.
  void (*noise_of)(NoiseKey key, Position position, const TokenId* tokens, float* out,
                   std::size_t n);
  // The largest score. -infinity if n == 0; skips what is not a number.
  float (*max_of_sum)(const ScoreSpan& scores);
  // out[j] = the largest score of block j. Returns the largest of all.
  float (*block_maxima)(const ScoreSpan& scores, std::size_t block, float* out);
  // out[i] = in[i] * factor; may be in place.
  void (*scale)(const float* in, float factor, float* out, std::size_t n);
  // Over x[i] = (score[i] - largest) * inverse_tau above -16, with w = exp(x): out[0] = sum w,
  // out[1] = sum w x, out[2] = sum w x^2. What is below adds less than e^-16 each, too little for
  // an estimate. Skips what is not a number, and blocks where nothing adds.
  void (*softmax_sums)(const ScoreSpan& scores, const SoftmaxRange& range, float* out);
  // Sum of exp(a[i] - largest) above e^-40, within a part kExpSumError of it. Requires: largest is
  // finite and no a[i] is larger; skips what is not a number.
  double (*exp_sum)(const float* a, float largest, std::size_t n);
  // out[i] = mass_of(a[i], largest), see mass_math.h; 0 of what is not a number.
  void (*masses)(const float* a, float largest, std::size_t n, std::uint64_t* out);
  // Their sums: out[0] of all, out[1] of those with a[i] > limit.
  void (*mass_sums)(const float* a, float largest, float limit, std::size_t n, std::uint64_t* out);
  // Lists the tokens first + i with least <= a[i] <= most, ascending. Returns how many.
  // Requires: room for kCollectSlack more in out.
  std::size_t (*collect)(const float* a, std::size_t first, std::size_t n, float least, float most,
                         TokenId* out);
  // out[i] = in[i] >= least ? in[i] : -infinity; may be in place. Returns how many are equal.
  std::size_t (*keep_from)(const float* in, float least, float* out, std::size_t n);
  // out[i] = in[i] where bit i % 32 of allowed[i / 32] is set, else -infinity; may be in place.
  void (*keep_allowed)(const float* in, const std::uint32_t* allowed, float* out, std::size_t n);
};

// Of which the differences a[i] - largest have 9e-7 at most, the sums in float 6e-7, and the
// exponential 2e-7.
inline constexpr double kExpSumError = 3e-6;
inline constexpr std::size_t kCollectSlack = 16;

[[nodiscard]] const VectorKernels& vector_kernels(Simd simd);
// The ones of simd_in_use().
[[nodiscard]] const VectorKernels& vector_kernels();

extern const VectorKernels kScalarKernels;
#ifdef GUMBELSPEC_X86_SIMD
extern const VectorKernels kAvx2Kernels;
extern const VectorKernels kAvx512Kernels;
#endif

// The tail's second word: one block of kind 1. Defined in noise.cc, compiled for any processor.
float tail_noise(NoiseKey key, Position position, std::uint32_t token, std::uint32_t word);
// Token by token, for any processor. Defined there, too.
void fill_noise_scalar(NoiseKey key, Position position, float* out, std::size_t n);
void noise_of_scalar(NoiseKey key, Position position, const TokenId* tokens, float* out,
                     std::size_t n);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_VECTOR_KERNELS_H_
