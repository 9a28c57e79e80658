// Texts of a model by every method, which have to be the same, and how much a draft brings.
#ifndef GUMBELSPEC_TESTING_ZOO_TEXTS_H_
#define GUMBELSPEC_TESTING_ZOO_TEXTS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "gumbelspec/language_model.h"

namespace gumbelspec::zoo {

struct TextReport {
  std::size_t n_texts = 0;  // that were compared with plain decoding's
  std::size_t n_identical = 0;
  std::string first_different;  // one line; empty if there is none
  float margin = 0.0F;          // largest score margin at the first token that differs
  // Tokens per target pass of a chain of three, the target its own draft: 4 if all are accepted.
  // Of several, the fewest.
  double chain_tokens_per_pass = 0.0;
  double useless_tokens_per_pass = 0.0;  // with a draft that knows nothing
  bool is_plain = false;  // the models cannot drop tokens: every method decodes plainly
};

// draft: the same file once more; useless: another model with the same vocabulary.
[[nodiscard]] TextReport compare_texts(LanguageModel& target, LanguageModel& draft,
                                       LanguageModel& useless,
                                       const std::vector<std::vector<TokenId>>& prompts,
                                       std::size_t n_tokens);

// Both together.
void add(TextReport& sum, const TextReport& one);

}  // namespace gumbelspec::zoo

#endif  // GUMBELSPEC_TESTING_ZOO_TEXTS_H_
