// llama.cpp's grammar engine behind TokenConstraint.
#ifndef GUMBELSPEC_SRC_LLAMA_GRAMMAR_H_
#define GUMBELSPEC_SRC_LLAMA_GRAMMAR_H_

#include <memory>
#include <string>

#include "gumbelspec/token_constraint.h"
#include "llama.h"

namespace gumbelspec::internal {

// Throws: Error{invalid_option}. Lifetime: vocab outlives the result.
std::unique_ptr<TokenConstraint> make_grammar_constraint(const llama_vocab* vocab,
                                                         const std::string& gbnf);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_GRAMMAR_H_
