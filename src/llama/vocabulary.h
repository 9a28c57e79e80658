// A model's vocabulary: text to tokens, tokens to text, and whether two models share one.
#ifndef GUMBELSPEC_SRC_LLAMA_VOCABULARY_H_
#define GUMBELSPEC_SRC_LLAMA_VOCABULARY_H_

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "gumbelspec/types.h"
#include "llama.h"

namespace gumbelspec::internal {

// Some files have no vocabulary ("tokenizer.ggml.model" is none or no_vocab), which llama.cpp's
// functions abort at. Throws: Error{invalid_model}.
void require_texts(const llama_vocab* vocab);

// What the bytes of all tokens are can be told; a damaged vocabulary would end the process when one
// of them is written. Throws: Error{invalid_model}.
void check_pieces(const llama_vocab* vocab);

// Throws: Error{invalid_prompt} if text is not UTF-8, with the offset of the first wrong byte; as
// require_texts().
std::vector<TokenId> tokenize(const llama_vocab* vocab, std::string_view text,
                              const TokenizeOptions& options = {});

// A token as the vocabulary writes it, control tokens too; empty for LLAMA_TOKEN_NULL.
std::string text_of_token(const llama_vocab* vocab, llama_token token);

// The bytes of a token; empty for control tokens and without a vocabulary.
std::string piece_of(const llama_vocab* vocab, TokenId token);

// The same as llama.cpp has it, its grammars too. It differs where a byte-pair vocabulary has
// normal tokens that are written plainly and not in bytes (Command-R's emoji): llama.cpp writes
// "[UNK_BYTE_0x...]" for them, the tokenizers of the models' makers the text.
std::string llama_piece_of(const llama_vocab* vocab, TokenId token);

// What keeps the two from sharing tokens, as a sentence for an error message; nullopt if nothing.
// Tokens at the end that only one of them has must be unused or control tokens.
std::optional<std::string> vocabulary_difference(const llama_vocab* target,
                                                 const llama_vocab* draft);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_VOCABULARY_H_
