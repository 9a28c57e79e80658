// What llama.cpp takes for granted of a model file, and would read beyond or end the process over.
#ifndef GUMBELSPEC_SRC_LLAMA_HEADER_CHECKS_H_
#define GUMBELSPEC_SRC_LLAMA_HEADER_CHECKS_H_

#include <string>

#include "gguf.h"

namespace gumbelspec::internal {

// Throws: Error{invalid_model}, field "path".
void check_header(const std::string& path, const gguf_context* gguf, bool vocabulary_only);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_HEADER_CHECKS_H_
