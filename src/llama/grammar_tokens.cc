#include "src/llama/grammar_tokens.h"

#include "gumbelspec/types.h"
#include "src/llama/utf8.h"
#include "src/llama/vocabulary.h"

namespace gumbelspec::internal {

GrammarTokens::GrammarTokens(const llama_vocab* vocab) : vocab_(vocab) {
  require_texts(vocab);
  const auto n_vocab = static_cast<std::size_t>(llama_vocab_n_tokens(vocab));
  ends_.assign((n_vocab + 31) / 32, 0);
  whole_.assign(ends_.size(), 0);
  std::vector<std::size_t> begins;  // in code_points_, which moves while it grows
  for (std::size_t i = 0; i < n_vocab; ++i) {
    const auto token = static_cast<llama_token>(i);
    const bool is_end = llama_vocab_is_eog(vocab, token);
    if (is_end) set_bit(ends_, i);
    const std::string piece = piece_of(vocab, token_id(i));
    if (is_end || piece.empty() || first_invalid_utf8(piece) || !is_read_whole(piece, token)) {
      others_.push_back(token);
      continue;
    }
    set_bit(whole_, i);
    begins.push_back(code_points_.size());
    append_code_points(piece, code_points_);
    code_points_.push_back(0);
    candidates_.push_back({i, nullptr, {}, token});
  }
  for (std::size_t k = 0; k < begins.size(); ++k) {
    candidates_[k].code_points = code_points_.data() + begins[k];
  }
}

bool GrammarTokens::is_read_whole(std::string_view piece, llama_token token) const {
  return piece.find('\0') == std::string_view::npos &&
         piece == llama_piece_of(vocab_, static_cast<TokenId>(token));
}

bool GrammarTokens::writes(llama_token token) const {
  return !piece_of(vocab_, static_cast<TokenId>(token)).empty();
}

std::optional<std::string> GrammarTokens::unfinished_behind(const std::string& unfinished,
                                                            llama_token token) const {
  const std::string piece = piece_of(vocab_, static_cast<TokenId>(token));
  if (piece.empty()) return unfinished;
  if (!is_read_whole(piece, token)) return std::nullopt;
  return unfinished_after(unfinished, piece);
}

}  // namespace gumbelspec::internal
