// Layers for tokens further ahead (MTP) in a model's file.
#ifndef GUMBELSPEC_SRC_LLAMA_MTP_LAYERS_H_
#define GUMBELSPEC_SRC_LLAMA_MTP_LAYERS_H_

#include <string>
#include <string_view>

#include "gguf.h"

namespace gumbelspec::internal {

// Whether llama.cpp has a graph for such layers of this architecture, and its cache can branch.
[[nodiscard]] bool is_mtp_architecture(std::string_view name);

// Why llama.cpp cannot draft with the file's layers for tokens further ahead: what follows "the
// target (ARCHITECTURE) ". Its graphs take for granted what not every file has, and end the process
// where it is missing. Empty: it can. Of the first part of a split model the keys are looked at
// alone, which is all that it has of the others.
[[nodiscard]] std::string mtp_obstacle(const gguf_context* gguf);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_MTP_LAYERS_H_
