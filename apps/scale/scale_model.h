// Writes a larger GGUF model that computes the same function as a small one (llama architecture).
//
// A pass costs what a model of the new size costs, while texts, and so the acceptance of drafts,
// stay those of the small model. Random weights would measure speed alone: no draft of theirs is
// ever accepted. The vocabulary, and so the output matrix's number of rows, stays small, unless it
// is padded (padding.h).
//
// Why the function stays: the new dimensions of the residual stream are zero in the embedding and
// nothing writes to them; the norms' weights and epsilon are corrected for the zeros; what new
// heads, new feed-forward units and new layers (random weights) compute meets zero columns of
// attn_output and ffn_down. It stays up to rounding: a long text can leave the small model's at a
// near tie.
//
// An EAGLE-3 head is scaled to its scaled target (scale_head.h).
#ifndef GUMBELSPEC_APPS_SCALE_SCALE_MODEL_H_
#define GUMBELSPEC_APPS_SCALE_SCALE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "apps/scale/model_shape.h"

namespace gumbelspec::scale {

struct ScaleOptions {
  std::string in, out;
  std::string target;  // of an EAGLE-3 head: the scaled model that it is to draft for
  std::string type = "q8_0";
  double params = 0.0;       // 0: the shape decides
  ModelShape shape;          // what is not 0 is kept
  int distinct_rows = 256;   // noise rows quantised per shape, then repeated; 0: every row its own
  int recurrent_layers = 0;  // to add; a step of its own (recurrent_layers.h)
  int vocab = 0;             // tokens of the new model, added ones included; 0: as they are
  unsigned seed = 1;
  int threads = 1;
  // Called before each tensor with the share done, in [0, 1). May throw to give up.
  std::function<void(double)> on_progress;
};

// Key of the file: the width of the model that it was made of.
inline constexpr const char* kScaledFromWidth = "gumbelspec.scaled_from_width";

struct ScaleResult {
  ModelShape shape;
  double n_params = 0.0;
  std::int64_t n_vocab = 0;
  std::size_t n_bytes = 0;  // of the tensors
};

// The file appears under its name when it is complete.
// Throws: WriteError; std::runtime_error for everything else that is wrong, one line.
ScaleResult scale_model(const ScaleOptions& options);

}  // namespace gumbelspec::scale

#endif  // GUMBELSPEC_APPS_SCALE_SCALE_MODEL_H_
