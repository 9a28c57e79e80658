// Which operations the device takes. Anything not listed here runs on ggml's CPU backend.
#include <cstring>

#include "buffer.h"
#include "plan.h"

namespace gumbelspec::kernels {
namespace {

bool is_float_rows(const ggml_tensor* t) { return t->type == GGML_TYPE_F32 && t->nb[0] == 4; }

bool same_rows(const ggml_tensor* a, const ggml_tensor* b) {
  return ggml_are_same_shape(a, b) && is_float_rows(a) && is_float_rows(b);
}

// Rows follow each other at a constant distance, whatever dimension they are in.
bool evenly_spaced(const ggml_tensor* t) {
  return (t->ne[2] == 1 || t->nb[2] == t->nb[1] * static_cast<size_t>(t->ne[1])) &&
         (t->ne[3] == 1 || t->nb[3] == t->nb[2] * static_cast<size_t>(t->ne[2]));
}

bool supports_rope(const ggml_tensor* op) {
  const ggml_tensor* x = op->src[0];
  float extrapolation;
  std::memcpy(&extrapolation, op->op_params + 7, 4);
  const int n_dims = op->op_params[1], mode = op->op_params[2];
  return is_float_rows(x) && is_float_rows(op) && extrapolation == 0.0f &&
         (mode == GGML_ROPE_TYPE_NORMAL || mode == GGML_ROPE_TYPE_NEOX) && x->ne[3] == 1 &&
         n_dims % 2 == 0 && n_dims <= x->ne[0] && op->src[1]->type == GGML_TYPE_I32 &&
         (!op->src[2] || op->src[2]->type == GGML_TYPE_F32);
}

bool supports_set_rows(const ggml_tensor* op) {
  const ggml_tensor* x = op->src[0];
  return is_float_rows(x) && x->ne[2] == 1 && x->ne[3] == 1 &&
         (op->src[1]->type == GGML_TYPE_I64 || op->src[1]->type == GGML_TYPE_I32) &&
         (op->type == GGML_TYPE_F16 || op->type == GGML_TYPE_F32) &&
         op->nb[0] == ggml_type_size(op->type);
}

bool supports_get_rows(const ggml_tensor* op) {
  const ggml_tensor* x = op->src[0];
  if (op->type != GGML_TYPE_F32 || op->src[1]->type != GGML_TYPE_I32) return false;
  if (x->ne[2] != 1 || x->ne[3] != 1 || op->ne[2] != 1 || op->ne[3] != 1) return false;
  if (x->buffer && x->buffer->buft == packed_buffer_type()) return is_packed(x) && can_pack(x);
  return (x->type == GGML_TYPE_F32 || ggml_get_type_traits(x->type)->to_float != nullptr) &&
         x->nb[0] == ggml_type_size(x->type);
}

}  // namespace

bool supports_product(const ggml_tensor* op) {
  if (op->op != GGML_OP_MUL_MAT) return false;
  const ggml_tensor* w = op->src[0];
  const ggml_tensor* x = op->src[1];
  return is_packed(w) && can_pack(w) && w->ne[2] == 1 && w->ne[3] == 1 && is_float_rows(x) &&
         evenly_spaced(x) && op->type == GGML_TYPE_F32 && ggml_is_contiguous(op);
}

bool supports_attention(const ggml_tensor* op) {
  if (op->op != GGML_OP_FLASH_ATTN_EXT) return false;
  const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2], *mask = op->src[3];
  const auto cached = [](const ggml_tensor* t) {
    if (t->type == GGML_TYPE_Q8_0) return t->ne[0] % kBlock == 0;
    return t->type == GGML_TYPE_F16 || t->type == GGML_TYPE_BF16 || t->type == GGML_TYPE_F32;
  };
  return is_float_rows(q) && cached(k) && cached(v) && k->nb[0] == ggml_type_size(k->type) &&
         v->nb[0] == ggml_type_size(v->type) && q->ne[2] % k->ne[2] == 0 &&
         q->ne[2] % v->ne[2] == 0 && k->ne[2] == v->ne[2] && k->ne[3] == v->ne[3] &&
         q->ne[3] % k->ne[3] == 0 && (!mask || (mask->type == GGML_TYPE_F16 && mask->nb[0] == 2)) &&
         (!op->src[4] || op->src[4]->type == GGML_TYPE_F32) && op->type == GGML_TYPE_F32;
}

bool supports_elementwise(const ggml_tensor* op) {
  switch (op->op) {
    case GGML_OP_RMS_NORM:
      return same_rows(op, op->src[0]) && evenly_spaced(op) && evenly_spaced(op->src[0]);
    case GGML_OP_ADD:
    case GGML_OP_MUL: {
      const ggml_tensor *a = op->src[0], *b = op->src[1];
      const bool one_row = ggml_nrows(b) == 1 && b->ne[0] == a->ne[0] && is_float_rows(b);
      return same_rows(op, a) && evenly_spaced(op) && evenly_spaced(a) &&
             (one_row || (same_rows(a, b) && evenly_spaced(b)));
    }
    case GGML_OP_GLU:
      return op->op_params[0] == GGML_GLU_OP_SWIGLU && op->src[1] && op->op_params[1] == 0 &&
             same_rows(op, op->src[0]) && same_rows(op, op->src[1]) && evenly_spaced(op) &&
             evenly_spaced(op->src[0]) && evenly_spaced(op->src[1]);
    case GGML_OP_ROPE:
      return supports_rope(op);
    case GGML_OP_SET_ROWS:
      return supports_set_rows(op);
    case GGML_OP_GET_ROWS:
      return supports_get_rows(op);
    default:
      return false;
  }
}

}  // namespace gumbelspec::kernels
