// The kernels for other machines: a device that computes whole graphs, as an rpc-server needs it.
#ifndef GUMBELSPEC_KERNELS_SRC_SERVED_H_
#define GUMBELSPEC_KERNELS_SRC_SERVED_H_

#include "ggml-backend-impl.h"
#include "kernels/src/kernel_set.h"

namespace gumbelspec::kernels {

// llama.cpp gives a weight to the kernels when it loads a model, and its scheduler gives them the
// operations they know. An rpc-server has neither: it puts everything into one kind of memory and
// one backend computes all of a graph. This device's memory is the CPU's, so that ggml's CPU
// backend can compute what the kernels do not; a weight is packed when a product with it comes for
// the first time, next to its plain form. So it takes twice the memory.
//
// The device is there if the environment variable GUMBELSPEC_SERVE is set, because a program of
// llama.cpp would take it for a GPU.
bool is_serving();
ggml_backend_dev_t served_device(ggml_backend_reg_t reg, const KernelSet* kernels);

// Whether the backend is the served device's; then its number of threads can be set.
bool is_served(ggml_backend_t backend);
void set_served_threads(ggml_backend_t backend, int n);

// In device.cc, for both devices. Whether the kernels compute it:
bool is_computed_by_kernels(const ggml_tensor* op);
// Fills in what the device says of itself elsewhere, and no capability.
void describe(ggml_backend_dev_t device, ggml_backend_dev_props* props);

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_SERVED_H_
