// Stands in for llama.cpp's common/common.h where its tests/test-llama-archs.cpp is compiled: what
// that file names, and no more. Nothing of it is called here.
#ifndef GUMBELSPEC_TESTING_ZOO_LLAMA_COMMON_COMMON_H_
#define GUMBELSPEC_TESTING_ZOO_LLAMA_COMMON_COMMON_H_

#include <stdexcept>
#include <vector>

#include "llama.h"

inline void common_init() {}
inline void common_batch_add(llama_batch& /*batch*/, llama_token /*id*/, llama_pos /*pos*/,
                             const std::vector<llama_seq_id>& /*seq_ids*/, bool /*logits*/) {
  throw std::logic_error("common_batch_add: not here");
}

#endif  // GUMBELSPEC_TESTING_ZOO_LLAMA_COMMON_COMMON_H_
