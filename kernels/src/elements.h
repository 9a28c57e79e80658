// Where the elements of a tensor lie.
#ifndef GUMBELSPEC_KERNELS_SRC_ELEMENTS_H_
#define GUMBELSPEC_KERNELS_SRC_ELEMENTS_H_

#include <cstdint>
#include <cstring>

#include "ggml.h"

namespace gumbelspec::kernels {

inline const uint8_t* bytes_of(const ggml_tensor* t) {
  return static_cast<const uint8_t*>(t->data);
}

// Row r of a tensor whose rows are evenly spaced; a single row serves all r.
template <class T>
inline T* row_of(const ggml_tensor* t, int64_t r) {
  auto* base = static_cast<uint8_t*>(t->data);
  return reinterpret_cast<T*>(base + (ggml_nrows(t) == 1 ? 0 : static_cast<size_t>(r) * t->nb[1]));
}

inline float float_param(const ggml_tensor* t, int i) {
  float value;
  std::memcpy(&value, t->op_params + i, 4);
  return value;
}

inline uint8_t* element(const ggml_tensor* t, int64_t i1, int64_t i2, int64_t i3) {
  return static_cast<uint8_t*>(t->data) + static_cast<size_t>(i1) * t->nb[1] +
         static_cast<size_t>(i2) * t->nb[2] + static_cast<size_t>(i3) * t->nb[3];
}

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_ELEMENTS_H_
