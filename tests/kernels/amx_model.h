// The products on tiles with a model of AMX in place of the instructions: the same text of
// tile_products.h on any processor with AVX-512 VNNI.
#ifndef GUMBELSPEC_TESTS_KERNELS_AMX_MODEL_H_
#define GUMBELSPEC_TESTS_KERNELS_AMX_MODEL_H_

#include "kernels/src/kernel_set.h"

namespace gumbelspec::kernels {

// KernelSet::gemm for jobs that tiles are used for. Returns: false for the others, which it leaves.
bool gemm_amx_model(const GemmJob& job, int64_t begin, int64_t end);

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_TESTS_KERNELS_AMX_MODEL_H_
