// What grammars have to know of a vocabulary, found out once per model.
#ifndef GUMBELSPEC_SRC_LLAMA_GRAMMAR_TOKENS_H_
#define GUMBELSPEC_SRC_LLAMA_GRAMMAR_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "llama-grammar.h"
#include "llama.h"
#include "src/llama/mask_cache.h"

namespace gumbelspec::internal {

inline void set_bit(Mask& mask, std::size_t i) { mask[i / 32] |= 1U << (i % 32); }
inline void clear_bit(Mask& mask, std::size_t i) { mask[i / 32] &= ~(1U << (i % 32)); }

// Does not change. Threads: any number at once.
class GrammarTokens {
 public:
  // Lifetime: vocab outlives it. Throws: as require_texts(). Cost: several looks at every token.
  explicit GrammarTokens(const llama_vocab* vocab);
  GrammarTokens(const GrammarTokens&) = delete;
  GrammarTokens& operator=(const GrammarTokens&) = delete;

  [[nodiscard]] const llama_vocab* vocab() const { return vocab_; }

  // Tokens that end the text.
  [[nodiscard]] const Mask& ends() const { return ends_; }
  // Tokens whose text is whole characters and does not end the text: nearly all. As a mask, and as
  // llama.cpp's grammars take them; index: the token.
  [[nodiscard]] const Mask& whole() const { return whole_; }
  [[nodiscard]] const llama_grammar_candidates& whole_candidates() const { return candidates_; }
  [[nodiscard]] bool is_whole(llama_token token) const {
    const auto i = static_cast<std::size_t>(token);
    return i / 32 < whole_.size() && (whole_[i / 32] >> (i % 32) & 1U) != 0;
  }
  // All other tokens, the ends among them.
  [[nodiscard]] std::span<const llama_token> others() const { return others_; }

  // The beginning of a character that the text ends with behind this token, when it ended with
  // `unfinished` before. nullopt: the token may not follow, whatever characters a grammar takes: it
  // makes bytes that are no character, or llama.cpp's grammars do not see its text. Of a token that
  // writes nothing: unfinished.
  [[nodiscard]] std::optional<std::string> unfinished_behind(const std::string& unfinished,
                                                             llama_token token) const;
  // Whether it writes anything; control tokens do not.
  [[nodiscard]] bool writes(llama_token token) const;

 private:
  // Whether llama.cpp's grammar sees the text of the token. It does not look behind a U+0000.
  [[nodiscard]] bool is_read_whole(std::string_view piece, llama_token token) const;

  const llama_vocab* vocab_;
  Mask ends_;
  Mask whole_;
  std::vector<std::uint32_t> code_points_;  // of the whole tokens, a 0 behind each
  llama_grammar_candidates candidates_;     // point into code_points_
  std::vector<llama_token> others_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_GRAMMAR_TOKENS_H_
