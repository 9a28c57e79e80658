// How large a model is to become.
#ifndef GUMBELSPEC_APPS_SCALE_MODEL_SHAPE_H_
#define GUMBELSPEC_APPS_SCALE_MODEL_SHAPE_H_

#include <cstdint>
#include <optional>
#include <string>

namespace gumbelspec::scale {

// Of the llama architecture. 0: not chosen yet.
struct ModelShape {
  int layers = 0, embd = 0, ff = 0, heads = 0, heads_kv = 0;
};

// What stays as it is.
struct FixedShape {
  std::int64_t n_vocab = 0;
  int head_dim = 0;
  bool has_output = false;  // an output matrix of its own
  int block = 32;           // rows must be whole blocks of the new type
};

// "1B", "60M", "1.5e9". Throws: std::runtime_error.
[[nodiscard]] double parse_params(const std::string& text);
// "977 M", "1.07 B".
[[nodiscard]] std::string params_text(double n_params);

[[nodiscard]] double n_params(const ModelShape& shape, const FixedShape& fixed);

// A shape of about so many parameters, with the proportions that models of this size have, at least
// as large as `least` in everything. What `wanted` has already stays.
// Throws: std::runtime_error if there is none within 10 %.
[[nodiscard]] ModelShape shape_for(double params, const ModelShape& least, const FixedShape& fixed,
                                   const ModelShape& wanted);

// The rest of a shape of this width, in the same way. Nothing where no number of heads fits.
[[nodiscard]] std::optional<ModelShape> shape_of_width(int embd, double params,
                                                       const ModelShape& least,
                                                       const FixedShape& fixed,
                                                       const ModelShape& wanted);

}  // namespace gumbelspec::scale

#endif  // GUMBELSPEC_APPS_SCALE_MODEL_SHAPE_H_
