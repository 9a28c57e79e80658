// Rotations, and rows that are looked up or stored.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "kernels/src/buffer.h"
#include "kernels/src/elements.h"
#include "kernels/src/executor.h"

namespace gumbelspec::kernels {
namespace {

// The index of one of n rows. Any other would be read or written past the memory: ggml's own
// operations end the program there, too.
int64_t row_index(const uint8_t* at, ggml_type type, int64_t n) {
  int64_t row;
  if (type == GGML_TYPE_I64) {
    std::memcpy(&row, at, 8);
  } else {
    int32_t narrow;
    std::memcpy(&narrow, at, 4);
    row = narrow;
  }
  GGML_ASSERT(row >= 0 && row < n);
  return row;
}

// The angle of a pair, and what its sine and cosine are multiplied with, beyond the trained context
// (YaRN, Peng et al. 2023): fast pairs turn as they were trained, slow ones `scale` times as far.
class Extrapolation {
 public:
  explicit Extrapolation(const ggml_tensor* t)
      : scale_(float_param(t, 6)), share_(float_param(t, 7)), magnitude_(float_param(t, 8)) {
    if (share_ == 0.0F) return;
    ggml_rope_yarn_corr_dims(t->op_params[1], t->op_params[4], float_param(t, 5), float_param(t, 9),
                             float_param(t, 10), bounds_);
    magnitude_ *= 1.0F + 0.1F * std::log(1.0F / scale_);
  }
  float magnitude() const { return magnitude_; }
  float angle(float theta, int pair) const {
    const float slow = scale_ * theta;
    if (share_ == 0.0F) return slow;
    const float at =
        (static_cast<float>(pair) - bounds_[0]) / std::max(0.001F, bounds_[1] - bounds_[0]);
    const float mix = (1.0F - std::min(1.0F, std::max(0.0F, at))) * share_;
    return slow * (1.0F - mix) + theta * mix;
  }

 private:
  float scale_, share_, magnitude_;
  float bounds_[2] = {};
};

}  // namespace

// Angles of one token, in the order of operations of ggml's own rotation.
void Executor::run_angles(const Step& step, int task) {
  const ggml_tensor* t = step.node;
  const int n_dims = t->op_params[1];
  const float base = float_param(t, 5);
  const Extrapolation extrapolation(t);
  const float magnitude = extrapolation.magnitude();
  const auto* factors = t->src[2] ? static_cast<const float*>(t->src[2]->data) : nullptr;
  float* cosine = reinterpret_cast<float*>(angles_.data()) + step.table + int64_t{task} * n_dims;
  float* sine = cosine + n_dims / 2;
  const float ratio = std::pow(base, -2.0F / static_cast<float>(n_dims));
  auto theta = static_cast<float>(static_cast<const int32_t*>(t->src[1]->data)[task]);
  for (int i = 0; i < n_dims / 2; ++i) {
    const float angle = extrapolation.angle(factors ? theta / factors[i] : theta, i);
    cosine[i] = std::cos(angle) * magnitude;
    sine[i] = std::sin(angle) * magnitude;
    theta *= ratio;
  }
}

void Executor::run_rotate(const Step& step, int task) {
  const ggml_tensor* t = step.node;
  const ggml_tensor* x = t->src[0];
  const int64_t token = task / step.parts, part = task % step.parts;
  const int n_dims = t->op_params[1], begin = t->op_params[15], end = begin + n_dims;
  const bool halves = t->op_params[2] == GGML_ROPE_TYPE_NEOX;
  const float* table = reinterpret_cast<const float*>(angles_.data()) + step.table + token * n_dims;
  const int64_t heads = t->ne[1];
  for (int64_t h = part * heads / step.parts; h < (part + 1) * heads / step.parts; ++h) {
    const auto* from = reinterpret_cast<const float*>(element(x, h, token, 0));
    auto* to = reinterpret_cast<float*>(element(t, h, token, 0));
    kernels_.rotate(from + begin, to + begin, table, n_dims / 2, halves);
    if (from == to) continue;
    std::memcpy(to, from, static_cast<size_t>(begin) * 4);
    std::memcpy(to + end, from + end, static_cast<size_t>(t->ne[0] - end) * 4);
  }
}

void Executor::run_set_rows(const Step& step, int task) {
  const ggml_tensor* t = step.node;
  const ggml_tensor *x = t->src[0], *ids = t->src[1];
  const int64_t i1 = task % x->ne[1], i2 = task / x->ne[1] % x->ne[2];
  const int64_t i3 = task / x->ne[1] / x->ne[2];
  const uint8_t* index = bytes_of(ids) + static_cast<size_t>(i1) * ids->nb[0] +
                         static_cast<size_t>(i2 % ids->ne[1]) * ids->nb[1] +
                         static_cast<size_t>(i3 % ids->ne[2]) * ids->nb[2];
  const auto* from = reinterpret_cast<const float*>(element(x, i1, i2, i3));
  uint8_t* to = element(t, row_index(index, ids->type, t->ne[1]), i2, i3);
  if (t->type == GGML_TYPE_F16) {
    kernels_.to_half(from, reinterpret_cast<uint16_t*>(to), x->ne[0]);
  } else {
    std::memcpy(to, from, static_cast<size_t>(x->ne[0]) * 4);
  }
}

void Executor::run_get_rows(const Step& step, int task) {
  const ggml_tensor* t = step.node;
  const ggml_tensor* x = t->src[0];
  const ggml_tensor* ids = t->src[1];
  const int64_t row =
      row_index(bytes_of(ids) + static_cast<size_t>(task) * ids->nb[0], ids->type, x->ne[1]);
  auto* to = reinterpret_cast<float*>(static_cast<uint8_t*>(t->data) +
                                      static_cast<size_t>(task) * t->nb[1]);
  const uint8_t* from = bytes_of(x) + static_cast<size_t>(row) * x->nb[1];
  std::vector<uint8_t> unpacked;
  if (is_packed(x)) {
    unpacked.resize(ggml_row_size(x->type, x->ne[0]));
    unpack_row(x->type, x->ne[0], row, x->data, unpacked.data());
    from = unpacked.data();
  }
  if (x->type == GGML_TYPE_F32) {
    std::memcpy(to, from, static_cast<size_t>(x->ne[0]) * 4);
  } else {
    ggml_get_type_traits(x->type)->to_float(from, to, x->ne[0]);
  }
}

}  // namespace gumbelspec::kernels
