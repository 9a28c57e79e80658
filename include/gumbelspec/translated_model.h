// A draft whose vocabulary is not the target's.
#ifndef GUMBELSPEC_TRANSLATED_MODEL_H_
#define GUMBELSPEC_TRANSLATED_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gumbelspec/language_model.h"
#include "gumbelspec/types.h"

namespace gumbelspec {

// What a vocabulary's tokens write, and how it splits a text.
class TokenTexts {
 public:
  // byte: a byte of what has no token of its own ("<0x41>"). control: writes nothing.
  enum class Kind : std::uint8_t { text, byte, control };
  struct Token {
    std::string text;  // the bytes; of a control token its name, e.g. "</s>"
    Kind kind = Kind::text;
  };

  virtual ~TokenTexts() = default;
  [[nodiscard]] virtual std::size_t n_vocab() const = 0;
  [[nodiscard]] virtual Token token(TokenId token) const = 0;
  [[nodiscard]] virtual bool is_end(TokenId token) const = 0;
  // The tokens of a UTF-8 text, with nothing put around it but the space that some vocabularies
  // begin a text with.
  [[nodiscard]] virtual std::vector<TokenId> tokenize(std::string_view text) const = 0;
  // What stands before every text: BOS, or nothing.
  [[nodiscard]] virtual std::vector<TokenId> beginning() const = 0;
};

// How alike two vocabularies are.
struct VocabularyLikeness {
  std::size_t n_target = 0;      // tokens
  std::size_t n_draft = 0;       // tokens
  std::size_t n_same_ids = 0;    // ids that have the same text in both
  std::size_t n_same_texts = 0;  // tokens of the target whose text is one token of the draft

  // Whether the differences are few: at least 90 % of the longer vocabulary's ids agree.
  [[nodiscard]] bool is_alike() const {
    return 10 * n_same_ids >= 9 * (n_target > n_draft ? n_target : n_draft);
  }
};
[[nodiscard]] VocabularyLikeness likeness(const TokenTexts& target, const TokenTexts& draft);

// A model that reads and says the target's tokens by means of a draft that has others.
//
// - Rows: a token of the target has the logit of the draft's token with the same text (of the same
//   id, where the two are alike). A draft's token that is several of the target's speaks for the
//   first of them, and, below that, for the next. Tokens with neither are as good as impossible.
// - Reading: the committed text and the root are what the draft's own tokenizer makes of their
//   bytes; each time only what has changed since is read again, at most from the beginning of a
//   word. Tokens of a tree are read one by one, as the draft's tokens of their bytes. Where the two
//   are alike (VocabularyLikeness::is_alike) nothing is split anew: ids stay what they are.
// - Behind the draft's context rows say nothing (all tokens alike).
//
// A pass over n of the target's tokens can be several passes over more of the draft's. Unlike other
// models it allocates in each. Memory: 40 bytes and the text of each of the draft's tokens, and a
// row of the target's vocabulary for each node of a pass.
//
// Throws: Error{vocabulary_mismatch} where the draft cannot drop what it read, is a head, or the
// two have no text in common. Lifetime: draft outlives it.
[[nodiscard]] std::unique_ptr<LanguageModel> make_translated_model(
    LanguageModel& draft, std::shared_ptr<const TokenTexts> target_texts,
    std::shared_ptr<const TokenTexts> draft_texts);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_TRANSLATED_MODEL_H_
