#include "src/llama/hidden_states.h"

#include <algorithm>
#include <string>

#include "gumbelspec/error.h"

// llama.cpp has these in src/llama-ext.h, which is not installed. The linker compares the types.
LLAMA_API void llama_set_embeddings_nextn(llama_context* ctx, bool value, bool masked);
LLAMA_API float* llama_get_embeddings_nextn(llama_context* ctx);
LLAMA_API void llama_set_embeddings_layer_inp(llama_context* ctx, std::uint32_t lid, bool value);
LLAMA_API float* llama_get_embeddings_layer_inp(llama_context* ctx, std::uint32_t lid);
LLAMA_API const std::int32_t* llama_model_target_layer_ids(const llama_model* model);
LLAMA_API std::uint32_t llama_model_target_layer_ids_n(const llama_model* model);

namespace gumbelspec::internal {

void make_states(llama_context* context, const StateSource& before, const StateSource& source,
                 bool is_head) {
  for (const std::uint32_t layer : before.layers) {
    llama_set_embeddings_layer_inp(context, layer, false);
  }
  for (const std::uint32_t layer : source.layers) {
    llama_set_embeddings_layer_inp(context, layer, true);
  }
  llama_set_embeddings_nextn(context, source.is_last, /*masked=*/is_head);
}

void append_states(llama_context* context, const StateSource& source, std::size_t n_tokens,
                   std::vector<float>& states) {
  if (source.size() == 0) return;
  const std::size_t begin = states.size();
  const std::size_t n = source.n_layer_state;
  states.resize(begin + n_tokens * source.size());
  const auto copy = [&](const float* from, std::size_t offset) {
    if (from == nullptr) throw Error(ErrorCode::evaluation_failed, "llama.cpp gave no states");
    for (std::size_t i = 0; i < n_tokens; ++i) {
      const std::size_t to = begin + i * source.size() + offset;
      std::copy_n(from + i * n, n, states.begin() + static_cast<std::ptrdiff_t>(to));
    }
  };
  if (source.is_last) {
    copy(llama_get_embeddings_nextn(context), 0);
    return;
  }
  for (std::size_t k = 0; k < source.layers.size(); ++k) {
    copy(llama_get_embeddings_layer_inp(context, source.layers[k]), k * n);
  }
}

std::vector<std::uint32_t> target_layers(const llama_model* head) {
  const std::int32_t* layers = llama_model_target_layer_ids(head);
  std::vector<std::uint32_t> result;
  for (std::uint32_t i = 0; i < llama_model_target_layer_ids_n(head); ++i) {
    result.push_back(static_cast<std::uint32_t>(layers[i]));
  }
  return result;
}

PassOutcome fuse_states(llama_context* head, std::span<const float> states, std::size_t n_tokens,
                        std::span<float> fused) {
  llama_batch batch{};
  batch.n_tokens = static_cast<std::int32_t>(n_tokens);
  batch.embd = const_cast<float*>(states.data());  // llama.cpp only reads it
  const int code = llama_encode(head, batch);
  constexpr int kCancelled = 2;
  if (code == kCancelled) return PassOutcome::cancelled;
  const float* out = code == 0 ? llama_get_embeddings_nextn(head) : nullptr;
  if (out == nullptr) {
    throw Error(ErrorCode::evaluation_failed, "llama.cpp failed with code " + std::to_string(code) +
                                                  " over the states of " +
                                                  std::to_string(n_tokens) + " tokens");
  }
  std::copy_n(out, fused.size(), fused.begin());
  return PassOutcome::ok;
}

}  // namespace gumbelspec::internal
