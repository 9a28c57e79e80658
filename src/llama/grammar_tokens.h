// What grammars have to know of a vocabulary, found out once per model.
#ifndef GUMBELSPEC_SRC_LLAMA_GRAMMAR_TOKENS_H_
#define GUMBELSPEC_SRC_LLAMA_GRAMMAR_TOKENS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "llama.h"
#include "src/llama/mask_cache.h"
#include "src/llama/piece_trie.h"

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
  [[nodiscard]] std::size_t n_vocab() const { return pieces_.size(); }

  // Tokens that end the text.
  [[nodiscard]] const Mask& ends() const { return ends_; }
  [[nodiscard]] bool is_end(std::uint32_t token) const {
    return (ends_[token / 32] >> (token % 32) & 1U) != 0;
  }
  // All tokens, but those that end the text.
  [[nodiscard]] const Mask& others() const { return others_; }
  // The bytes of a token as grammars read them: empty of control tokens, which write nothing, of
  // ends of the text, and of tokens with a U+0000, which no grammar takes.
  [[nodiscard]] std::string_view piece(std::uint32_t token) const { return pieces_[token]; }
  // Whether a grammar may ask for it by name: its bytes are none, or whole characters.
  [[nodiscard]] bool is_whole(std::uint32_t token) const { return is_whole_[token] != 0; }
  // Of all pieces.
  [[nodiscard]] const PieceTrie& trie() const { return trie_; }

 private:
  const llama_vocab* vocab_;
  Mask ends_;
  Mask others_;
  std::vector<std::string> pieces_;
  std::vector<char> is_whole_;
  PieceTrie trie_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_GRAMMAR_TOKENS_H_
