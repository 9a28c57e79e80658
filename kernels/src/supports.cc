// Which operations the device takes: a list of what is known to be computed right. Every field of
// an operation is either read by the executor, or known not to matter, or has to have its neutral
// value here; whatever else a later ggml adds to an operation is then refused, not ignored.
// Anything that is refused runs on ggml's CPU backend.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "kernels/src/buffer.h"
#include "kernels/src/plan.h"

namespace gumbelspec::kernels {
namespace {

constexpr int kParams = GGML_MAX_OP_PARAMS / static_cast<int>(sizeof(int32_t));

// Parameters [first, last) are not in use.
bool unused(const ggml_tensor* op, int first, int last = kParams) {
  int32_t any = 0;
  for (int i = first; i < last; ++i) any |= op->op_params[i];
  return any == 0;
}

// A float parameter that is a number.
bool get_float(const ggml_tensor* op, int i, float* value) {
  std::memcpy(value, op->op_params + i, sizeof(*value));
  return std::isfinite(*value);
}

constexpr int kMostSources = 5;

// Has the first n_needed sources, perhaps those up to n_most, and no other.
bool has_sources(const ggml_tensor* op, int n_needed, int n_most) {
  uintptr_t others = 0;
  for (int i = n_most; i < GGML_MAX_SRC; ++i) others |= reinterpret_cast<uintptr_t>(op->src[i]);
  return others == 0 && std::find(op->src, op->src + n_needed, nullptr) == op->src + n_needed;
}

// Packed memory is read by products and by look-ups of rows, which ask for it themselves. A view
// of a packed matrix has rows of ggml's form by its strides, but not in memory.
bool in_packed_memory(const ggml_tensor* t) {
  const ggml_tensor* whole = t->view_src ? t->view_src : t;
  return whole->buffer != nullptr && whole->buffer->buft == packed_buffer_type();
}

// What is written lies in ordinary memory, and so does what is read from source `first` on.
bool in_plain_memory(const ggml_tensor* op, int first = 0) {
  if (in_packed_memory(op)) return false;
  return std::none_of(op->src + first, op->src + kMostSources, [](const ggml_tensor* src) {
    return src != nullptr && in_packed_memory(src);
  });
}

// Tasks are counted in ints.
bool is_countable(int64_t n) { return n <= std::numeric_limits<int>::max() / 2; }

bool is_multiple(int64_t n, int64_t of) { return of > 0 && n % of == 0; }

bool is_float_rows(const ggml_tensor* t) { return t->type == GGML_TYPE_F32 && t->nb[0] == 4; }

bool is_matrix(const ggml_tensor* t) { return t->ne[2] == 1 && t->ne[3] == 1; }

bool same_rows(const ggml_tensor* a, const ggml_tensor* b) {
  return ggml_are_same_shape(a, b) && is_float_rows(a) && is_float_rows(b);
}

bool countable_rows(const ggml_tensor* op, const ggml_tensor* x) {
  return same_rows(op, x) && is_countable(ggml_nrows(op));
}

bool supports_norm(const ggml_tensor* op) {
  float eps;
  return has_sources(op, 1, 1) && countable_rows(op, op->src[0]) && get_float(op, 0, &eps) &&
         eps >= 0.0F && unused(op, 1);
}

// The rows of the second operand may repeat themselves, and be a single number each.
bool supports_sum_or_product(const ggml_tensor* op) {
  if (!has_sources(op, 2, 2) || !unused(op, 0)) return false;
  const ggml_tensor *a = op->src[0], *b = op->src[1];
  return countable_rows(op, a) && is_float_rows(b) && (b->ne[0] == a->ne[0] || b->ne[0] == 1) &&
         is_multiple(a->ne[1], b->ne[1]) && is_multiple(a->ne[2], b->ne[2]) &&
         is_multiple(a->ne[3], b->ne[3]);
}

bool supports_gate(const ggml_tensor* op) {
  return has_sources(op, 2, 2) && op->op_params[0] == GGML_GLU_OP_SWIGLU && unused(op, 1) &&
         countable_rows(op, op->src[0]) && countable_rows(op, op->src[1]);
}

// Parameters: 1 rotated elements, 2 order of the pairs, 4 trained context, 5 base, 6 scale,
// 7 share of extrapolation (YaRN), 8 magnitude, 9 and 10 bounds of the extrapolation, 11-14
// sections of several positions per token, 15 first rotated element. Without extrapolation 4, 9 and
// 10 are not read by anybody.
bool supports_rope_params(const ggml_tensor* op) {
  const int32_t* p = op->op_params;
  const int64_t n_dims = p[1], first = p[15];
  if (n_dims <= 0 || n_dims % 2 != 0 || first < 0 || first % 2 != 0 || first + n_dims > op->ne[0] ||
      (p[2] != GGML_ROPE_TYPE_NORMAL && p[2] != GGML_ROPE_TYPE_NEOX)) {
    return false;
  }
  float base, scale, share, magnitude, fast, slow;
  const bool numbers = get_float(op, 5, &base) && get_float(op, 6, &scale) &&
                       get_float(op, 7, &share) && get_float(op, 8, &magnitude) &&
                       get_float(op, 9, &fast) && get_float(op, 10, &slow);
  return unused(op, 0, 1) && unused(op, 3, 4) && numbers && base > 0.0F && unused(op, 11, 15) &&
         (share == 0.0F ||
          (p[4] >= 0 && base != 1.0F && scale > 0.0F && fast > 0.0F && slow > 0.0F));
}

bool supports_rope(const ggml_tensor* op) {
  if (!has_sources(op, 2, 3) || !supports_rope_params(op)) return false;
  const ggml_tensor *x = op->src[0], *positions = op->src[1], *factors = op->src[2];
  return same_rows(op, x) && x->ne[3] == 1 && x->ne[0] % 2 == 0 && is_countable(x->ne[2]) &&
         positions->type == GGML_TYPE_I32 && ggml_is_contiguous(positions) &&
         ggml_nelements(positions) == x->ne[2] &&
         (factors == nullptr || (factors->type == GGML_TYPE_F32 && ggml_is_contiguous(factors) &&
                                 factors->ne[0] >= op->op_params[1] / 2));
}

// The result is a view of source 2, the matrix whose rows are replaced.
bool supports_set_rows(const ggml_tensor* op) {
  if (!has_sources(op, 2, 3) || !unused(op, 0)) return false;
  const ggml_tensor *x = op->src[0], *ids = op->src[1];
  return is_float_rows(x) && x->ne[0] == op->ne[0] && x->ne[2] == op->ne[2] &&
         x->ne[3] == op->ne[3] && is_countable(ggml_nrows(x)) &&
         (ids->type == GGML_TYPE_I64 || ids->type == GGML_TYPE_I32) && ids->ne[0] == x->ne[1] &&
         is_multiple(x->ne[2], ids->ne[1]) && is_multiple(x->ne[3], ids->ne[2]) &&
         ids->ne[3] == 1 && (op->type == GGML_TYPE_F16 || op->type == GGML_TYPE_F32) &&
         op->nb[0] == ggml_type_size(op->type);
}

bool supports_get_rows(const ggml_tensor* op) {
  if (!has_sources(op, 2, 2) || !unused(op, 0)) return false;
  const ggml_tensor *x = op->src[0], *ids = op->src[1];
  return is_float_rows(op) && is_matrix(op) && is_matrix(x) && op->ne[0] == x->ne[0] &&
         is_countable(op->ne[1]) && ids->type == GGML_TYPE_I32 && ids->ne[0] == op->ne[1] &&
         ggml_nrows(ids) == 1 &&
         (x->type == GGML_TYPE_F32 || ggml_get_type_traits(x->type)->to_float != nullptr) &&
         x->nb[0] == ggml_type_size(x->type) && in_plain_memory(op, 1) &&
         (!in_packed_memory(x) || is_packed(x));
}

// Parameter 0 is the least precise sum that will do. Ours are of 32 bits.
bool is_precision_of_sums(int32_t p) {
  return p == GGML_PREC_UNDEFINED || p == GGML_PREC_F32 || p == GGML_PREC_BF16 ||
         p == GGML_PREC_F16;
}

// Parameter 3 is the least precise form that the activations may be brought to.
bool allows(int32_t precision, ActivationFormat format) {
  switch (precision) {
    case GGML_PREC_UNDEFINED:
    case GGML_PREC_Q8:
    case GGML_PREC_Q4:
      return true;
    case GGML_PREC_F16:
    case GGML_PREC_BF16:
      return format != ActivationFormat::int8;
    case GGML_PREC_F32:
      return format == ActivationFormat::f32;
    default:
      return false;
  }
}

// What products with and without experts have in common.
bool supports_factors(const ggml_tensor* op) {
  const ggml_tensor *w = op->src[0], *x = op->src[1];
  const int32_t* p = op->op_params;
  return is_packed(w) && in_plain_memory(op, 1) && is_float_rows(x) && x->ne[0] == w->ne[0] &&
         op->ne[0] == w->ne[1] && op->type == GGML_TYPE_F32 && ggml_is_contiguous(op) &&
         is_countable(ggml_nrows(op) * panel_count(w->ne[1])) && is_precision_of_sums(p[0]) &&
         p[1] == GGML_HINT_NONE && unused(op, 2, 3) && allows(p[3], activation_format(w->type)) &&
         unused(op, 4);
}

// Stacked matrices multiply a stack of activations each, or each the same number of them.
bool supports_stacks(const ggml_tensor* op) {
  const ggml_tensor *w = op->src[0], *x = op->src[1];
  return is_multiple(x->ne[2], w->ne[2]) && is_multiple(x->ne[3], w->ne[3]) &&
         ggml_nrows(op) == ggml_nrows(x);
}

// Each token names its experts, and has one column of activations for all of them, or one for each
// or for each n-th.
bool supports_experts(const ggml_tensor* op) {
  const ggml_tensor *w = op->src[0], *x = op->src[1], *ids = op->src[2];
  return w->ne[3] == 1 && x->ne[3] == 1 && ids->type == GGML_TYPE_I32 && ids->nb[0] == 4 &&
         is_matrix(ids) && ids->ne[1] == x->ne[2] && is_multiple(ids->ne[0], x->ne[1]) &&
         op->ne[1] == ids->ne[0] && op->ne[2] == ids->ne[1] && op->ne[3] == 1 &&
         is_countable(w->ne[2]);
}

bool supports_attention_params(const ggml_tensor* op) {
  float scale, max_bias, softcap;
  // Parameter 4 bounds the visible cells of a row of the mask. The mask itself says which they are.
  return get_float(op, 0, &scale) && get_float(op, 1, &max_bias) && max_bias >= 0.0F &&
         get_float(op, 2, &softcap) && is_precision_of_sums(op->op_params[3]) &&
         op->op_params[4] >= 0 && unused(op, 5);
}

bool is_cache(const ggml_tensor* t) {
  if (t->nb[0] != ggml_type_size(t->type)) return false;
  if (t->type == GGML_TYPE_Q8_0) return t->ne[0] % kBlock == 0;
  return t->type == GGML_TYPE_F16 || t->type == GGML_TYPE_BF16 || t->type == GGML_TYPE_F32;
}

}  // namespace

bool supports_product(const ggml_tensor* op) {
  switch (op->op) {
    case GGML_OP_MUL_MAT:
      return has_sources(op, 2, 2) && supports_factors(op) && supports_stacks(op);
    case GGML_OP_MUL_MAT_ID:
      return has_sources(op, 3, 3) && supports_factors(op) && supports_experts(op);
    default:
      return false;
  }
}

bool supports_attention(const ggml_tensor* op) {
  if (op->op != GGML_OP_FLASH_ATTN_EXT || !has_sources(op, 3, 5) || !in_plain_memory(op) ||
      !supports_attention_params(op)) {
    return false;
  }
  const ggml_tensor *q = op->src[0], *k = op->src[1], *v = op->src[2];
  const ggml_tensor *mask = op->src[3], *sinks = op->src[4];
  if (mask && !(mask->type == GGML_TYPE_F16 && mask->nb[0] == 2 && mask->ne[0] >= k->ne[1] &&
                mask->ne[1] >= q->ne[1] && is_multiple(q->ne[2], mask->ne[2]) &&
                is_multiple(q->ne[3], mask->ne[3]))) {
    return false;
  }
  if (sinks && !(sinks->type == GGML_TYPE_F32 && ggml_is_contiguous(sinks) &&
                 ggml_nelements(sinks) == q->ne[2])) {
    return false;
  }
  return is_float_rows(q) && is_float_rows(op) && is_cache(k) && is_cache(v) &&
         q->ne[0] == k->ne[0] && k->ne[1] == v->ne[1] && k->ne[2] == v->ne[2] &&
         k->ne[3] == v->ne[3] && is_multiple(q->ne[2], k->ne[2]) &&
         is_multiple(q->ne[3], k->ne[3]) && is_countable(ggml_nrows(q)) && op->ne[0] == v->ne[0] &&
         op->ne[1] == q->ne[2] && op->ne[2] == q->ne[1] && op->ne[3] == q->ne[3];
}

bool supports_elementwise(const ggml_tensor* op) {
  switch (op->op) {
    case GGML_OP_RMS_NORM:
      return supports_norm(op) && in_plain_memory(op);
    case GGML_OP_ADD:
    case GGML_OP_MUL:
      return supports_sum_or_product(op) && in_plain_memory(op);
    case GGML_OP_GLU:
      return supports_gate(op) && in_plain_memory(op);
    case GGML_OP_ROPE:
      return supports_rope(op) && in_plain_memory(op);
    case GGML_OP_SET_ROWS:
      return supports_set_rows(op) && in_plain_memory(op);
    case GGML_OP_GET_ROWS:
      return supports_get_rows(op);
    default:
      return false;
  }
}

}  // namespace gumbelspec::kernels
