// What of a model's loading is given in llama.cpp's own words: types of the cache, positions,
// metadata, places of weights, adapters. Checked here, with one clear line for what is wrong.
#ifndef GUMBELSPEC_SRC_LLAMA_LOAD_DETAILS_H_
#define GUMBELSPEC_SRC_LLAMA_LOAD_DETAILS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "llama.h"

namespace gumbelspec::internal {

struct CacheTypes {
  ggml_type k = GGML_TYPE_F16;
  ggml_type v = GGML_TYPE_F16;
  bool are_given = false;
  // Whether the project's kernels attend to such a cache.
  [[nodiscard]] bool suit_kernels() const;
};

// own: what the attention uses where nothing is given. Throws: Error{invalid_option} for a type
// that llama.cpp's cache does not take; with is_exact also for a pair whose sums depend on the
// pass.
[[nodiscard]] CacheTypes cache_types(const LlamaModelOptions& options, CacheTypes own,
                                     bool is_exact);

// Throws: Error{invalid_option}.
void put_rope(const RopeOptions& rope, llama_context_params& params);

// The longest context that the model may be asked for; n_trained: 0: unknown, which stays so.
[[nodiscard]] std::size_t stretched_context(std::size_t n_trained, const RopeOptions& rope);

// For llama_model_params::kv_overrides: ends with an empty key; empty: none.
// Throws: Error{invalid_option}.
[[nodiscard]] std::vector<llama_model_kv_override> metadata_overrides(
    const std::vector<std::string>& texts);

// Where weights lie. Lifetime: its patterns outlive the loading.
class WeightPlaces {
 public:
  // Throws: Error{invalid_option} for a pattern that is none, or a buffer that this machine does
  // not have. Requires: the backends are loaded.
  explicit WeightPlaces(const std::vector<std::string>& texts);
  // Those given go before those that are there.
  void put(llama_model_params& params);

 private:
  std::vector<std::string> patterns_;
  std::vector<llama_model_tensor_buft_override> overrides_;
};

// Once per process. Requires: the backends are loaded.
void prepare_numa(Numa numa);

// Loads and applies LoRA adapters and control vectors; the model frees the adapters.
// Throws: Error{file_not_found, invalid_model, invalid_option}.
void apply_adapters(llama_model* model, llama_context* context, const LlamaModelOptions& options);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_LOAD_DETAILS_H_
