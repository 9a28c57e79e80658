#include "src/llama/operation_kinds.h"

#include <algorithm>

namespace gumbelspec::internal {
namespace {

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) {
    return static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  });
  return text;
}

}  // namespace

const ggml_tensor* owner(const ggml_tensor* t) { return t->view_src ? t->view_src : t; }

bool is_weight(const ggml_tensor* t) {
  const ggml_tensor* whole = owner(t);
  return whole->buffer != nullptr &&
         ggml_backend_buffer_get_usage(whole->buffer) == GGML_BACKEND_BUFFER_USAGE_WEIGHTS;
}

bool moves_nothing(const ggml_tensor* op) {
  return op->op == GGML_OP_NONE || op->op == GGML_OP_RESHAPE || op->op == GGML_OP_VIEW ||
         op->op == GGML_OP_PERMUTE || op->op == GGML_OP_TRANSPOSE;
}

bool is_row_by_row(const ggml_tensor* op) {
  switch (op->op) {
    case GGML_OP_DUP:
    case GGML_OP_ADD:
    case GGML_OP_ADD_ID:
    case GGML_OP_ADD1:
    case GGML_OP_SUB:
    case GGML_OP_MUL:
    case GGML_OP_DIV:
    case GGML_OP_SQR:
    case GGML_OP_SQRT:
    case GGML_OP_LOG:
    case GGML_OP_SIN:
    case GGML_OP_COS:
    case GGML_OP_SUM_ROWS:
    case GGML_OP_MEAN:
    case GGML_OP_ARGMAX:
    case GGML_OP_REPEAT:
    case GGML_OP_CONCAT:
    case GGML_OP_NORM:
    case GGML_OP_RMS_NORM:
    case GGML_OP_L2_NORM:
    case GGML_OP_SCALE:
    case GGML_OP_CPY:
    case GGML_OP_CONT:
    case GGML_OP_GET_ROWS:
    case GGML_OP_SET_ROWS:
    case GGML_OP_SET:
    case GGML_OP_SOFT_MAX:
    case GGML_OP_ROPE:
    case GGML_OP_CLAMP:
    case GGML_OP_PAD:
    case GGML_OP_ARANGE:
    case GGML_OP_ARGSORT:
    case GGML_OP_TOP_K:
    case GGML_OP_LEAKY_RELU:
    case GGML_OP_FILL:
    case GGML_OP_UNARY:
    case GGML_OP_GLU:
      return true;
    default:
      return false;
  }
}

bool is_token_by_token(const ggml_tensor* op) {
  switch (op->op) {
    case GGML_OP_SSM_CONV:
    case GGML_OP_SSM_SCAN:
    case GGML_OP_RWKV_WKV6:
    case GGML_OP_RWKV_WKV7:
    case GGML_OP_GATED_LINEAR_ATTN:
    case GGML_OP_GATED_DELTA_NET:
      return true;
    default:
      return false;
  }
}

std::string what_of(const ggml_tensor* op) {
  const bool is_product = op->op == GGML_OP_MUL_MAT || op->op == GGML_OP_MUL_MAT_ID;
  if (is_product && is_weight(op->src[0])) {
    return std::string("products with ") + upper(ggml_type_name(op->src[0]->type)) +
           (op->op == GGML_OP_MUL_MAT_ID ? " experts" : " weights");
  }
  if (is_product) return "products of activations";
  if (op->op == GGML_OP_FLASH_ATTN_EXT) return "attentions";
  if (is_row_by_row(op)) return "operations row by row";
  return upper(ggml_op_name(op->op)) + " operations";
}

bool only_moves(const ggml_tensor* op) {
  switch (op->op) {
    case GGML_OP_DUP:
    case GGML_OP_CPY:
    case GGML_OP_CONT:
    case GGML_OP_REPEAT:
    case GGML_OP_CONCAT:
    case GGML_OP_GET_ROWS:
    case GGML_OP_SET_ROWS:
    case GGML_OP_SET:
    case GGML_OP_PAD:
      return true;
    default:
      return false;
  }
}

}  // namespace gumbelspec::internal
