// Entry points of the files compiled for one instruction set each; declared apart so that no
// inline function is compiled twice with different flags.
#ifndef GUMBELSPEC_KERNELS_SRC_ISA_ENTRY_H_
#define GUMBELSPEC_KERNELS_SRC_ISA_ENTRY_H_

#include "kernel_set.h"

namespace gumbelspec::kernels {

#define GUMBELSPEC_DECLARE_ISA(ns)                                                       \
  namespace ns {                                                                         \
  void quantize(ActivationFormat format, const QuantizeJob& job);                        \
  void gemm(const GemmJob& job, int64_t begin, int64_t end);                             \
  void attention(const AttentionJob& job);                                               \
  void rms_norm(const float* x, const float* weight, float* y, int64_t n, float eps);    \
  void swiglu(const float* gate, const float* up, float* y, int64_t n);                  \
  void to_half(const float* x, uint16_t* y, int64_t n);                                  \
  void rotate(const float* x, float* y, const float* table, int64_t pairs, bool halves); \
  }
GUMBELSPEC_DECLARE_ISA(avx512)
GUMBELSPEC_DECLARE_ISA(avxvnni)
GUMBELSPEC_DECLARE_ISA(avx2)
#undef GUMBELSPEC_DECLARE_ISA

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_ISA_ENTRY_H_
