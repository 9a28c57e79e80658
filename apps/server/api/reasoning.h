// A model's thinking as a rule for its tokens: how long it may be, and that a grammar of what comes
// behind it does not see it. Token by token what llama.cpp's reasoning budget does.
#ifndef GUMBELSPEC_APPS_SERVER_API_REASONING_H_
#define GUMBELSPEC_APPS_SERVER_API_REASONING_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "gumbelspec/token_constraint.h"
#include "gumbelspec/types.h"

namespace gumbelspec::server {

struct ReasoningRule {
  std::vector<TokenId> start;              // what opens it; not empty
  std::vector<std::vector<TokenId>> ends;  // what closes it; at least one, none empty
  std::vector<TokenId> closing;            // what it is closed with at the end of the budget
  std::int64_t budget = -1;                // tokens between; -1: any number
  std::vector<TokenId> prompt_end = {};    // the prompt's last tokens, which may open it
  bool hides = false;                      // the grammar does not see it: a lazy one
  std::size_t n_vocab = 0;
  // Whether a token ends with a whole character.
  std::function<bool(TokenId)> ends_character;
};

// grammar: of the text; null: none.
[[nodiscard]] std::shared_ptr<const Grammar> with_reasoning(ReasoningRule rule,
                                                            std::shared_ptr<const Grammar> grammar);

// Whether the bytes end with a whole character of UTF-8; not where its beginning is not among them.
[[nodiscard]] bool ends_with_character(const std::string& bytes);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_API_REASONING_H_
