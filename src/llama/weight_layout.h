// How ggml's CPU code has to be told to lay out and multiply weights, so that a product with a
// token does not depend on how many others are in the pass.
#ifndef GUMBELSPEC_SRC_LLAMA_WEIGHT_LAYOUT_H_
#define GUMBELSPEC_SRC_LLAMA_WEIGHT_LAYOUT_H_

#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml.h"
#include "llama.h"

namespace gumbelspec::internal {

// ggml reorders ("repacks") the weights of some types for its CPU kernels. For Q2_K and Q4_K the
// repacked kernels for one token and for several round differently, the plain ones do not; for
// IQ4_NL it is the other way round; for all other quantized types both agree. llama.cpp only has a
// switch for all weights, so in a file with both kinds the IQ4_NL matrices are placed one by one.
// AMX, which ggml prefers to repacking where the processor has it, agrees for each of its types
// (tests/processors/amx_products_test.cc); that switch turns it off with the rest.
class WeightLayout {
 public:
  // Tensors as the file lists them. can_place: nothing but ggml's CPU code computes.
  WeightLayout(ggml_context* tensors, bool can_place);

  // Lifetime: this must outlive the loading.
  void put(llama_model_params& params) const;

 private:
  bool repacks_ = true;
  std::vector<std::string> patterns_;
  std::vector<llama_model_tensor_buft_override> overrides_;
};

// ggml multiplies weights of the IQ types, from 8 tokens of a pass on, in a way that rounds
// otherwise than for fewer. This turns it off for the process, as ggml reads that once.
// Threads: none may be reading the environment the first time.
void turn_off_iq_panels();

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_WEIGHT_LAYOUT_H_
