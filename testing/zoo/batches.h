// Texts of a model in batches, and the next turns of chats: what a server does with it.
#ifndef GUMBELSPEC_TESTING_ZOO_BATCHES_H_
#define GUMBELSPEC_TESTING_ZOO_BATCHES_H_

#include <cstddef>
#include <vector>

#include "gumbelspec/language_model.h"
#include "testing/zoo/texts.h"

namespace gumbelspec::zoo {

// Every prompt twice, with two seeds, and then once more with most of the answer and a few tokens
// behind it; all in batches, compared with plain decoding of one text at a time.
// tokens_per_pass are left alone. n_reused: tokens of prompts that were not read again.
// Requires: both models have as many sequences as there are prompts, or more.
[[nodiscard]] TextReport compare_batches(LanguageModel& target, LanguageModel& draft,
                                         const std::vector<std::vector<TokenId>>& prompts,
                                         std::size_t n_tokens, std::size_t& n_reused);

}  // namespace gumbelspec::zoo

#endif  // GUMBELSPEC_TESTING_ZOO_BATCHES_H_
