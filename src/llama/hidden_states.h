// Where the hidden states of a llama.cpp context come from, for draft heads that read them.
#ifndef GUMBELSPEC_SRC_LLAMA_HIDDEN_STATES_H_
#define GUMBELSPEC_SRC_LLAMA_HIDDEN_STATES_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gumbelspec/language_model.h"
#include "llama.h"

namespace gumbelspec::internal {

// The state of a token: what goes into some layers, one after the other, or the last hidden state
// before the output's norm. Empty: the context gives none.
struct StateSource {
  std::vector<std::uint32_t> layers;
  bool is_last = false;
  std::size_t n_layer_state = 0;  // numbers of one layer's, or of the last one

  [[nodiscard]] std::size_t size() const {
    return is_last ? n_layer_state : layers.size() * n_layer_state;
  }
};

// The context's passes make the states from now on; what they made before is made no longer.
// is_head: the states are those of a head itself, of the tokens whose logits are asked for.
void make_states(llama_context* context, const StateSource& before, const StateSource& source,
                 bool is_head);

// Appends the states of the last pass, in the order of its batch. Shape: [n_tokens, source.size()].
// Requires: the pass was one micro-batch; of a head, all its tokens asked for logits.
void append_states(llama_context* context, const StateSource& source, std::size_t n_tokens,
                   std::vector<float>& states);

// Of a head: the layers of its target that it reads.
[[nodiscard]] std::vector<std::uint32_t> target_layers(const llama_model* head);

// What an EAGLE-3 head makes of its target's states before it reads them.
// Shape: states [n_tokens, ...] -> fused [n_tokens, n_embd of the head]. n_tokens: within a
// micro-batch. Returns: ok, or cancelled. Throws: Error{evaluation_failed}.
[[nodiscard]] PassOutcome fuse_states(llama_context* head, std::span<const float> states,
                                      std::size_t n_tokens, std::span<float> fused);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_HIDDEN_STATES_H_
