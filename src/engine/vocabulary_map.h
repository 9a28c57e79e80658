// Which tokens of two vocabularies write the same.
#ifndef GUMBELSPEC_ENGINE_VOCABULARY_MAP_H_
#define GUMBELSPEC_ENGINE_VOCABULARY_MAP_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gumbelspec/translated_model.h"

namespace gumbelspec {

// A token that was read, and the byte of the text at which it ends.
struct ReadToken {
  TokenId token{};
  std::size_t end = 0;
  bool operator==(const ReadToken&) const = default;
};

// Splits any bytes into tokens of one vocabulary, as its own tokenizer does where it can.
class ByteTokenizer {
 public:
  explicit ByteTokenizer(const TokenTexts& texts);

  // The token that writes these bytes; null: none. Real texts are preferred to bytes.
  [[nodiscard]] const TokenId* find(const std::string& bytes) const;
  [[nodiscard]] const TokenId* find_byte(const std::string& byte) const;
  [[nodiscard]] const TokenId* find_control(const std::string& name) const;

  // Appends the tokens of bytes that begin at `begin` of a text. is_first: nothing stands before
  // them. Bytes that the vocabulary cannot write belong to the token behind them, or to none.
  void split(std::string_view bytes, std::size_t begin, bool is_first,
             std::vector<ReadToken>& out) const;

 private:
  using Map = std::unordered_map<std::string, TokenId>;

  [[nodiscard]] bool split_by_tokenizer(std::string_view bytes, std::size_t begin, bool is_first,
                                        std::vector<ReadToken>& out) const;
  void split_by_characters(std::string_view bytes, std::size_t begin,
                           std::vector<ReadToken>& out) const;

  const TokenTexts& texts_;
  std::vector<std::string> written_;  // by token; of control tokens nothing
  Map by_text_, by_byte_, by_name_;
  bool adds_space_ = false;  // a space at a text's beginning
};

// As the public one, with the draft's tokenizer.
[[nodiscard]] VocabularyLikeness likeness(const TokenTexts& target, const TokenTexts& draft,
                                          const ByteTokenizer& tokens);

// Both ways between the target's vocabulary and the draft's.
class VocabularyMap {
 public:
  static constexpr std::int32_t kNone = -1;

  VocabularyMap(std::shared_ptr<const TokenTexts> target, std::shared_ptr<const TokenTexts> draft);

  [[nodiscard]] const TokenTexts& target() const { return *target_; }
  [[nodiscard]] const TokenTexts& draft() const { return *draft_; }
  [[nodiscard]] const ByteTokenizer& draft_tokenizer() const { return draft_tokenizer_; }
  // Whether ids stay what they are, and texts need not be split anew.
  [[nodiscard]] bool is_by_id() const { return is_by_id_; }
  // Tokens of the target that have a counterpart.
  [[nodiscard]] std::size_t n_twins() const { return n_twins_; }
  // By token of the target, the draft's token that stands for it; kNone: there is none.
  [[nodiscard]] std::span<const std::int32_t> twins() const { return twins_; }
  // The draft's tokens that stand for none of the target's alone.
  [[nodiscard]] std::span<const TokenId> others() const { return others_; }
  // The target's tokens of the bytes of one of others(); one token or none: nothing to be said of
  // it. Lifetime: of the map.
  [[nodiscard]] std::span<const TokenId> chain(TokenId other);
  // The draft's tokens of one token of the target; ends are counted from the token's beginning.
  // Lifetime: of the map.
  [[nodiscard]] std::span<const ReadToken> pieces(TokenId token);

 private:
  void find_twins();
  [[nodiscard]] const TokenId* twin_by_text(TokenId token) const;
  void add_ends();

  std::shared_ptr<const TokenTexts> target_, draft_;
  ByteTokenizer target_tokenizer_, draft_tokenizer_;
  bool is_by_id_ = false;
  std::size_t n_twins_ = 0;
  std::vector<std::int32_t> twins_;
  std::vector<TokenId> others_;
  std::unordered_map<TokenId, std::vector<TokenId>> chains_;
  std::unordered_map<TokenId, std::vector<ReadToken>> pieces_;
};

// The characters of bytes: each well-formed one, and each byte that is part of none. Returns: bytes
// of the first one. Requires: !bytes.empty().
[[nodiscard]] std::size_t first_character(std::string_view bytes, bool& is_well_formed);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_VOCABULARY_MAP_H_
