// What a chat template rendered, as tokens.
#ifndef GUMBELSPEC_APPS_SERVER_API_PROMPT_TOKENS_H_
#define GUMBELSPEC_APPS_SERVER_API_PROMPT_TOKENS_H_

#include <vector>

#include "apps/server/api/api_model.h"
#include "apps/server/api/chat_template.h"

namespace gumbelspec::server {

// The tokens of the parts' text, read as a whole, so that they are those that the model was trained
// with. Where a user's text holds something that would become a control token, the parts are
// tokenized one by one, with that text as mere text.
// adds_first: the token that begins a text stands in front, where the model asks for one.
[[nodiscard]] std::vector<TokenId> tokenize_parts(const Tokenizer& tokenizer,
                                                  const std::vector<PromptPart>& parts,
                                                  bool adds_first = true);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_PROMPT_TOKENS_H_
