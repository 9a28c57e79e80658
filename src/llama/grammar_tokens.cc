#include "src/llama/grammar_tokens.h"

#include <utility>

#include "gumbelspec/types.h"
#include "src/llama/utf8.h"
#include "src/llama/vocabulary.h"

namespace gumbelspec::internal {

GrammarTokens::GrammarTokens(const llama_vocab* vocab)
    : vocab_(vocab), trie_(std::vector<std::pair<std::uint32_t, std::string>>()) {
  require_texts(vocab);
  const auto n_vocab = static_cast<std::uint32_t>(llama_vocab_n_tokens(vocab));
  ends_.assign((n_vocab + 31) / 32, 0);
  others_.assign(ends_.size(), 0);
  pieces_.resize(n_vocab);
  is_whole_.assign(n_vocab, 0);
  std::vector<std::pair<std::uint32_t, std::string>> in_trie;
  for (std::uint32_t i = 0; i < n_vocab; ++i) {
    if (llama_vocab_is_eog(vocab, static_cast<llama_token>(i))) {
      set_bit(ends_, i);
      continue;
    }
    set_bit(others_, i);
    std::string piece = piece_of(vocab, token_id(i));
    constexpr std::size_t kMost = 65'535;
    if (piece.find('\0') != std::string::npos || piece.size() > kMost) continue;
    is_whole_[i] = first_invalid_utf8(piece) ? 0 : 1;
    if (!piece.empty()) in_trie.emplace_back(i, piece);
    pieces_[i] = std::move(piece);
  }
  trie_ = PieceTrie(std::move(in_trie));
}

}  // namespace gumbelspec::internal
