// For scripts/backend-ops: compiled in front of llama.cpp's own test-backend-ops.cpp, whose source
// stays as it is. That program puts every tensor into a backend's default memory, while our device
// multiplies only with weights in its packed memory, where llama.cpp's loader puts them after
// asking the device. Here the matrix of an operation is put there in the same way, when the program
// asks whether the operation is supported.
//
// Environment: BACKEND_OPS_PACKED=1 packs the matrices of MUL_MAT and GET_ROWS; without it nothing
// is packed, and a look-up of rows reads ggml's form.
#ifndef GUMBELSPEC_TESTS_KERNELS_BACKEND_OPS_WEIGHTS_H_
#define GUMBELSPEC_TESTS_KERNELS_BACKEND_OPS_WEIGHTS_H_

#include <cstdlib>
#include <cstring>
#include <deque>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"

namespace backend_ops {

inline ggml_backend_buffer_t allocate(size_t size) {
  // The tensors of the latest cases are in use, older ones are gone.
  static std::deque<ggml_backend_buffer_t> buffers;
  if (buffers.size() == 16) {
    ggml_backend_buffer_free(buffers.front());
    buffers.pop_front();
  }
  auto* type = ggml_backend_dev_buffer_type(ggml_backend_dev_by_name("GumbelSpec"));
  buffers.push_back(ggml_backend_buft_alloc_buffer(type, size));
  return buffers.back();
}

// As llama.cpp's loader does: a buffer without memory to ask with, then the memory.
inline void pack(const ggml_tensor* op) {
  ggml_tensor* matrix = op->src[0];
  if (matrix->op != GGML_OP_NONE || matrix->view_src || matrix->buffer) return;
  auto* device = ggml_backend_dev_by_name("GumbelSpec");
  auto* type = ggml_backend_dev_buffer_type(device);
  matrix->buffer = allocate(0);
  const bool takes = ggml_backend_dev_supports_op(device, op);
  matrix->buffer = nullptr;
  if (!takes) return;
  ggml_backend_buffer_t buffer = allocate(ggml_backend_buft_get_alloc_size(type, matrix));
  ggml_backend_buffer_set_usage(buffer, GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
  ggml_backend_tensor_alloc(buffer, matrix, ggml_backend_buffer_get_base(buffer));
}

inline bool supports_op(ggml_backend_t backend, const ggml_tensor* op) {
  if (std::strcmp(ggml_backend_name(backend), "GumbelSpec") == 0) {
    ggml_backend_synchronize(backend);  // a backend that is in use takes attention, too
    static const bool kPacks = std::getenv("BACKEND_OPS_PACKED") != nullptr;
    if (kPacks && (op->op == GGML_OP_MUL_MAT || op->op == GGML_OP_GET_ROWS)) pack(op);
  }
  return ggml_backend_supports_op(backend, op);
}

}  // namespace backend_ops

#define ggml_backend_supports_op backend_ops::supports_op

#endif  // GUMBELSPEC_TESTS_KERNELS_BACKEND_OPS_WEIGHTS_H_
