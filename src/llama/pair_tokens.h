// What a ranking model reads of two texts.
#ifndef GUMBELSPEC_SRC_LLAMA_PAIR_TOKENS_H_
#define GUMBELSPEC_SRC_LLAMA_PAIR_TOKENS_H_

#include <string_view>
#include <vector>

#include "gumbelspec/types.h"
#include "llama.h"

namespace gumbelspec::internal {

// See LlamaEmbedder::pair_tokens.
std::vector<TokenId> pair_tokens(const llama_model* model, std::string_view query,
                                 std::string_view document);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_PAIR_TOKENS_H_
