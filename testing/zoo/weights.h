// Random values for a model's tensors, such that the model is not blind: see file_writer.h.
#ifndef GUMBELSPEC_TESTING_ZOO_WEIGHTS_H_
#define GUMBELSPEC_TESTING_ZOO_WEIGHTS_H_

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace gumbelspec::zoo {

struct TensorShape {
  std::string name;
  std::array<std::int64_t, 4> ne{};  // ggml's order: the columns first

  [[nodiscard]] std::size_t n_elements() const {
    return static_cast<std::size_t>(ne[0] * ne[1] * ne[2] * ne[3]);
  }
};

// What is measured and corrected, since every architecture scales its activations in its own way.
struct WeightScales {
  float embedding =
      1.0F;             // of the token table: large ones drown the layers, and with them the text
  float output = 1.0F;  // of the logits
  float sharpness = 1.4F;  // of queries and of keys, beyond what keeps their variance
  float nudge = 1.0F;      // of norms: what is not quite 1 shows how much becomes of a rounding
  bool has_output = true;  // whether there is an output matrix besides the token table
};

// By the tensor's name: matrices keep the variance of what they multiply, norms are near 1, biases
// small, scales 1, states decay. Shape: [tensor.n_elements()].
[[nodiscard]] std::vector<float> values_of(const TensorShape& tensor, const WeightScales& scales,
                                           std::uint64_t seed);

// Tensors that only some files of an architecture have: biases, rotation factors, the scales of
// files in NVFP4, what of RWKV 6 its offspring has not. In groups, from 1 to kOptionalGroups; 0:
// what all files have.
[[nodiscard]] int optional_group(const std::string& name);
inline constexpr int kOptionalGroups = 5;

}  // namespace gumbelspec::zoo

#endif  // GUMBELSPEC_TESTING_ZOO_WEIGHTS_H_
