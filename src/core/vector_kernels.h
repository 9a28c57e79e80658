// The loops over a whole vocabulary, one version per instruction set, chosen at run time.
#ifndef GUMBELSPEC_CORE_VECTOR_KERNELS_H_
#define GUMBELSPEC_CORE_VECTOR_KERNELS_H_

#include <cstddef>
#include <cstdint>

#include "gumbelspec/noise.h"

namespace gumbelspec {

// All versions give the same bits.
struct VectorKernels {
  // noise_at for the tokens [0, n). Plain pointers: see gumbel_math.h on inline functions.
  void (*fill_noise)(NoiseKey key, Position position, float* out, std::size_t n);
  // max over i of a[i] + b[i]; b may be null. -infinity if n == 0; skips what is not a number.
  float (*max_of_sum)(const float* a, const float* b, std::size_t n);
  // out[i] = in[i] * factor; may be in place.
  void (*scale)(const float* in, float factor, float* out, std::size_t n);
  // Over x[i] = (a[i] + b[i] - largest) * inverse_tau above -16, with w = exp(x): out[0] = sum w,
  // out[1] = sum w x, out[2] = sum w x^2. What is below adds less than e^-16 each, too little for
  // an estimate. b may be null; skips what is not a number. Requires: largest is the largest score.
  void (*softmax_sums)(const float* a, const float* b, float largest, float inverse_tau,
                       std::size_t n, float* out);
};

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

}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_VECTOR_KERNELS_H_
