#ifndef GUMBELSPEC_KERNELS_SRC_DEVICE_H_
#define GUMBELSPEC_KERNELS_SRC_DEVICE_H_

#include "ggml-backend-impl.h"
#include "gumbelspec/kernels.h"

namespace gumbelspec::kernels {

// Chooses the instruction set and options for backends made from now on.
Registration configure(const Options& options);

// The entry in ggml's list; configure first.
ggml_backend_reg_t registry();

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_DEVICE_H_
