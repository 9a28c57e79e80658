// More tokens for a model, none of which it ever writes: rows of logits as long as those of real
// vocabularies, with the function of the small model.
//
// How: one block of dimensions of the residual stream that no layer reads (weights of its norms
// zero) or writes holds a small constant in every token's embedding. The final norm gives it
// weights of alternating signs; the output rows of the added tokens hold the opposite signs there
// and zeros elsewhere, so that their logits are negative, and far below the likeliest. Those of the
// real tokens get nothing from the block: their rows are zero there, or, where the embedding is the
// output matrix, too, hold the constant, and the signs cancel. The constant's share of the norms'
// mean square is taken out of their epsilon, exactly.
#ifndef GUMBELSPEC_APPS_SCALE_PADDING_H_
#define GUMBELSPEC_APPS_SCALE_PADDING_H_

#include <cstdint>
#include <span>
#include <string>

#include "apps/scale/source_model.h"

namespace gumbelspec::scale {

// Added tokens' logits are at least so far below the likeliest token's wherever that was measured;
// in one row the furthest lie 1.5 times as far below 0 as the nearest. 262,144 of them then win
// once in 10^8 tokens at temperature 1, once in 7,000 at 1.5.
inline constexpr double kPaddedGapNats = 32.0;

inline constexpr int kMostTokens = 1'048'576;

struct Padding {
  std::int64_t n_real = 0;   // tokens of the small model
  std::int64_t n_vocab = 0;  // with those that are added
  bool is_tied = false;
  // The block.
  int first_dim = 0;
  int n_dims = 0;
  float constant = 0.0F;        // in every token's embedding
  double sum_of_squares = 0.0;  // of the constants over the block, as the type stores them
  float output_entry = 0.0F;    // size of what the added tokens' output rows hold
  // Size of the final norm's weights, times the root of the residual stream's width: so the logits
  // of added tokens do not depend on the width.
  double final_norm_weight = 1.0;
  // The nearest added token's logit is minus this times final_norm_weight, over the residual
  // stream's length. As the type stores it.
  double reach = 0.0;

  [[nodiscard]] int least_embd() const { return first_dim + n_dims; }
  // Writes the block of one row. `row` is as long as the residual stream is wide.
  void fill_embedding(std::int64_t token, std::span<float> row) const;
  void fill_output(std::int64_t token, std::span<float> row) const;
  void fill_final_norm(std::span<float> weights) const;

 private:
  void fill_added(std::int64_t token, std::span<float> row) const;
};

// Everything but final_norm_weight. Throws: std::runtime_error where n_vocab does not fit the
// source, or the type cannot hold the constant.
[[nodiscard]] Padding plan_padding(const Source& source, ggml_type type, int n_vocab);

// Names, scores and kinds for the added tokens, and the mark gumbelspec.padded_from.
// Throws: std::runtime_error if the source has no vocabulary, or tokens of such names.
void set_vocabulary(const Padding& padding, gguf_context* gguf);

// The weight that gives the gap there. The model at `path` has one added token and
// final_norm_weight 1; it writes texts of its own. Throws: std::runtime_error, gumbelspec::Error.
[[nodiscard]] double measure_final_norm_weight(const std::string& path, int n_threads);

}  // namespace gumbelspec::scale

#endif  // GUMBELSPEC_APPS_SCALE_PADDING_H_
