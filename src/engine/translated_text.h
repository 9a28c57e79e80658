// A text of the target's tokens, and what of it a draft with other tokens has read.
#ifndef GUMBELSPEC_ENGINE_TRANSLATED_TEXT_H_
#define GUMBELSPEC_ENGINE_TRANSLATED_TEXT_H_

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "src/engine/vocabulary_map.h"

namespace gumbelspec {

class TranslatedText {
 public:
  // Lifetime: the map outlives it.
  explicit TranslatedText(VocabularyMap& map) : map_(map) {}

  // The target's tokens.
  [[nodiscard]] std::size_t size() const { return tokens_.size(); }
  void append(TokenId token);
  // Forgets what was read beyond it, too; a draft's token that reaches further with it.
  void truncate(std::size_t n);

  [[nodiscard]] std::size_t n_bytes() const { return bytes_.size(); }
  // The byte at which the i-th token ends.
  [[nodiscard]] std::size_t end(std::size_t i) const { return ends_[i]; }

  // What the draft has read, BOS and the like included.
  [[nodiscard]] std::span<const ReadToken> read() const { return read_; }
  // What it has to read for the whole text: all of read() from n_kept on is to be dropped, and
  // missing read instead. Splits the text anew from the beginning of the first word that may have
  // changed; where ids stay what they are, nothing.
  void plan(std::size_t& n_kept, std::vector<ReadToken>& missing) const;
  void drop_read(std::size_t n_kept);
  void add_read(const ReadToken& read) { read_.push_back(read); }
  // Up to this byte what was read is what the draft's own tokenizer makes of the text.
  void set_settled(std::size_t n_bytes);

 private:
  // A token that stands for itself and is no text: a byte of the text's bytes stands for it.
  struct Mark {
    std::size_t begin = 0;
    TokenId token{};  // of the draft
  };

  [[nodiscard]] std::size_t first_changed() const;
  [[nodiscard]] bool is_read_end(std::size_t byte) const;
  void split_from(std::size_t begin, std::vector<ReadToken>& out) const;

  VocabularyMap& map_;
  std::vector<TokenId> tokens_;
  std::vector<std::size_t> ends_;
  std::string bytes_;
  std::vector<Mark> marks_;
  std::vector<ReadToken> read_;
  std::size_t n_settled_ = 0;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_TRANSLATED_TEXT_H_
