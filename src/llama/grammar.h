// llama.cpp's grammar engine behind Grammar.
#ifndef GUMBELSPEC_SRC_LLAMA_GRAMMAR_H_
#define GUMBELSPEC_SRC_LLAMA_GRAMMAR_H_

#include <cstddef>
#include <memory>
#include <string>

#include "gumbelspec/llama_grammar.h"
#include "gumbelspec/token_constraint.h"
#include "llama.h"

namespace gumbelspec::internal {

class GrammarTokens;

// What all grammars of a vocabulary share. Lifetime: vocab outlives it.
// Throws: as require_texts().
std::shared_ptr<const GrammarTokens> read_grammar_tokens(const llama_vocab* vocab);

// max_mask_bytes: as kMaxMaskBytes. Throws: Error{invalid_option}, field "grammar".
std::shared_ptr<const Grammar> compile_grammar(std::shared_ptr<const GrammarTokens> tokens,
                                               const std::string& gbnf,
                                               std::size_t max_mask_bytes = kMaxMaskBytes);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_GRAMMAR_H_
