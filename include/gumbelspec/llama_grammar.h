// Texts that follow a grammar, through llama.cpp's grammar engine.
#ifndef GUMBELSPEC_LLAMA_GRAMMAR_H_
#define GUMBELSPEC_LLAMA_GRAMMAR_H_

#include <memory>
#include <string>

#include "gumbelspec/llama_model.h"
#include "gumbelspec/token_constraint.h"

namespace gumbelspec {

// gbnf: llama.cpp's notation, with a rule "root". Once root is complete the model's end of text is
// allowed, and where nothing else can follow, required.
// Threads: make_grammar any number at once, the result one at a time.
// Lifetime: the model outlives the result. Cost of allowed(): one look at every token of the
// vocabulary, the first time that a text is asked about.
// Throws: Error{invalid_option} with what is wrong in the grammar.
[[nodiscard]] std::unique_ptr<TokenConstraint> make_grammar(const LlamaModel& model,
                                                            const std::string& gbnf);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_LLAMA_GRAMMAR_H_
