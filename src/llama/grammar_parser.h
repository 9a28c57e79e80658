// GBNF to llama.cpp's rules, with errors that say where.
#ifndef GUMBELSPEC_SRC_LLAMA_GRAMMAR_PARSER_H_
#define GUMBELSPEC_SRC_LLAMA_GRAMMAR_PARSER_H_

#include <memory>
#include <string>

#include "llama-grammar.h"
#include "llama.h"

namespace gumbelspec::internal {

struct GrammarDeleter {
  void operator()(llama_grammar* grammar) const { llama_grammar_free_impl(grammar); }
};
using GrammarPtr = std::unique_ptr<llama_grammar, GrammarDeleter>;

// At the beginning of its texts. Throws: Error{invalid_option}, field "grammar".
GrammarPtr parse_grammar(const llama_vocab* vocab, const std::string& gbnf);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_GRAMMAR_PARSER_H_
