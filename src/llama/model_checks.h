// Which models and options no context is made for.
#ifndef GUMBELSPEC_SRC_LLAMA_MODEL_CHECKS_H_
#define GUMBELSPEC_SRC_LLAMA_MODEL_CHECKS_H_

#include <cstddef>

#include "gumbelspec/llama_model.h"
#include "llama.h"

namespace gumbelspec::internal {

// Throws: Error{invalid_model} for architectures and files that do not generate text token by
// token, and for those that llama.cpp does not compute.
void check_is_language_model(const llama_model* model);
// The same, of what shows only in a context.
void check_has_cache(const llama_model* model, const llama_context* context);
void check_has_logits(const llama_model* model, std::size_t n_logits, std::size_t n_vocab);

// Throws: Error{invalid_option}.
void check_context_options(const LlamaModelOptions& options);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_MODEL_CHECKS_H_
