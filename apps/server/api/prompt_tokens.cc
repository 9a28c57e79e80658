#include "apps/server/api/prompt_tokens.h"

#include <algorithm>
#include <string>

namespace gumbelspec::server {

std::vector<TokenId> tokenize_parts(const Tokenizer& tokenizer,
                                    const std::vector<PromptPart>& parts, bool adds_first) {
  constexpr TokenizeOptions kWithControl{.adds_special = false, .reads_control = true};
  constexpr TokenizeOptions kTextOnly{.adds_special = false, .reads_control = false};
  const bool is_harmless = std::all_of(parts.begin(), parts.end(), [&](const PromptPart& part) {
    return !part.is_input ||
           tokenizer.tokenize(part.text, kWithControl) == tokenizer.tokenize(part.text, kTextOnly);
  });
  std::vector<TokenId> tokens;
  if (is_harmless) {
    std::string text;
    for (const PromptPart& part : parts) text += part.text;
    tokens = tokenizer.tokenize(text, kWithControl);
  } else {
    for (const PromptPart& part : parts) {
      const auto more = tokenizer.tokenize(part.text, part.is_input ? kTextOnly : kWithControl);
      tokens.insert(tokens.end(), more.begin(), more.end());
    }
  }
  if (!adds_first) return tokens;
  // Most templates write the first token themselves, some leave it to the tokenizer.
  const std::vector<TokenId> special = tokenizer.tokenize("", {.adds_special = true});
  if (!special.empty() && (tokens.empty() || tokens.front() != special.front())) {
    tokens.insert(tokens.begin(), special.front());
  }
  return tokens;
}

}  // namespace gumbelspec::server
