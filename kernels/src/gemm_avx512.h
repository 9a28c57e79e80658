#ifndef GUMBELSPEC_KERNELS_SRC_GEMM_AVX512_H_
#define GUMBELSPEC_KERNELS_SRC_GEMM_AVX512_H_

#include "kernels/src/kernel_set.h"

namespace gumbelspec::kernels {

// KernelSet::gemm. Needs AVX-512 VNNI, and for BF16 weights the BF16 instructions.
void gemm_avx512(const GemmJob& job, int64_t begin, int64_t end);

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_GEMM_AVX512_H_
