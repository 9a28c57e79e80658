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

// Rows follow each other at the distance nb[1], whatever dimension they are in. The stride of a
// dimension of one says nothing.
inline bool evenly_spaced(const ggml_tensor* t) {
  size_t distance = t->nb[1] * static_cast<size_t>(t->ne[1]);
  for (int d = 2; d < GGML_MAX_DIMS; ++d) {
    if (t->ne[d] != 1 && t->nb[d] != distance) return false;
    distance *= static_cast<size_t>(t->ne[d]);
  }
  return true;
}

inline uint8_t* element(const ggml_tensor* t, int64_t i1, int64_t i2, int64_t i3) {
  return static_cast<uint8_t*>(t->data) + static_cast<size_t>(i1) * t->nb[1] +
         static_cast<size_t>(i2) * t->nb[2] + static_cast<size_t>(i3) * t->nb[3];
}

// Row r of a tensor, counted through all its dimensions; a single row serves all r.
template <class T>
inline T* row_of(const ggml_tensor* t, int64_t r) {
  if (ggml_nrows(t) == 1) return static_cast<T*>(t->data);
  if (evenly_spaced(t)) return reinterpret_cast<T*>(element(t, r, 0, 0));
  const int64_t outer = r / t->ne[1];
  return reinterpret_cast<T*>(element(t, r % t->ne[1], outer % t->ne[2], outer / t->ne[2]));
}

// The row of the second operand of a sum or product that goes with row r of `whole`: it repeats
// itself in the dimensions in which it is smaller.
template <class T>
inline T* repeated_row(const ggml_tensor* t, const ggml_tensor* whole, int64_t r) {
  if (ggml_nrows(t) == 1 || ggml_are_same_shape(t, whole)) return row_of<T>(t, r);
  const int64_t outer = r / whole->ne[1];
  return reinterpret_cast<T*>(element(t, r % whole->ne[1] % t->ne[1],
                                      outer % whole->ne[2] % t->ne[2],
                                      outer / whole->ne[2] % t->ne[3]));
}

inline float float_param(const ggml_tensor* t, int i) {
  float value;
  std::memcpy(&value, t->op_params + i, 4);
  return value;
}

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_ELEMENTS_H_
