// Memory for weights: a ggml buffer type that repacks a tensor when it is set.
#ifndef GUMBELSPEC_KERNELS_SRC_BUFFER_H_
#define GUMBELSPEC_KERNELS_SRC_BUFFER_H_

#include "ggml-backend-impl.h"

namespace gumbelspec::kernels {

// The one buffer type of the device. Its matrices are packed (weight_format.h) and can be read by
// this device only. What cannot be packed lies as ggml has it, and is read by nobody but
// get_tensor.
ggml_backend_buffer_type_t packed_buffer_type();

// The device the buffer type reports as its own; set once, before the type is used.
void set_packed_buffer_device(ggml_backend_dev_t device);

// Whether the matrix lies packed in the device's memory; a view of such a matrix is none.
bool is_packed(const ggml_tensor* tensor);

// Whether a tensor of this type and shape can be stored packed.
bool can_pack(const ggml_tensor* tensor);

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_BUFFER_H_
