#ifndef GUMBELSPEC_KERNELS_SRC_GEMM_AMX_H_
#define GUMBELSPEC_KERNELS_SRC_GEMM_AMX_H_

#include "kernels/src/kernel_set.h"

namespace gumbelspec::kernels {

// KernelSet::gemm. Needs AMX's products of bytes, with the system's permission, beside what
// gemm_avx512 needs, whose bits it gives.
void gemm_amx(const GemmJob& job, int64_t begin, int64_t end);

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_GEMM_AMX_H_
