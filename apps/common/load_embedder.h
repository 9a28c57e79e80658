// The target of a command's options, for vectors instead of texts.
#ifndef GUMBELSPEC_APPS_COMMON_LOAD_EMBEDDER_H_
#define GUMBELSPEC_APPS_COMMON_LOAD_EMBEDDER_H_

#include <cstddef>
#include <memory>

#include "apps/common/model_options.h"
#include "gumbelspec/llama_embedder.h"

namespace gumbelspec::apps {

// max_tokens: see LlamaEmbedderOptions. Requires: options come from with_demo_pair().
// Throws: Error; Stopped if a signal came meanwhile.
[[nodiscard]] std::unique_ptr<LlamaEmbedder> load_embedder(const ModelOptions& options,
                                                           Pooling pooling, std::size_t max_tokens,
                                                           Progress& progress);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_LOAD_EMBEDDER_H_
