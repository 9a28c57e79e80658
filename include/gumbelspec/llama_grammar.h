// Texts that follow a grammar, through llama.cpp's grammar engine.
#ifndef GUMBELSPEC_LLAMA_GRAMMAR_H_
#define GUMBELSPEC_LLAMA_GRAMMAR_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "gumbelspec/llama_model.h"
#include "gumbelspec/token_constraint.h"

namespace gumbelspec {

// Memory that a compiled grammar keeps masks in, at most, but for one that is larger by itself. A
// mask is of a place in the grammar where a text has been, and has n_vocab / 8 bytes.
inline constexpr std::size_t kMaxMaskBytes = std::size_t{8} << 20U;

// gbnf: llama.cpp's notation, with a rule "root". Once root is complete the model's end of text is
// allowed, and where nothing else can follow, required.
//
// Threads: any number at once, also during a pass: a server compiles where it reads requests, and
// matches where it chooses tokens. Matchers of one grammar wait for each other where several
// threads ask them at once. Lifetime: the model outlives the grammar and its matchers. Cost: the
// first grammar of a model looks at every token of the vocabulary. A matcher's allowed() does so
// where no text of the grammar has been at this place yet, or its mask had to make room for others;
// otherwise it finds the mask that was made then. Throws: Error{invalid_option} with the line and
// what is wrong there; field "grammar".
[[nodiscard]] std::shared_ptr<const Grammar> compile_grammar(const LlamaModel& model,
                                                             const std::string& gbnf);

// Opening parentheses of a grammar, at most; each takes some of llama.cpp's parser's stack.
inline constexpr std::size_t kMaxGrammarParentheses = 1000;

// What compile_grammar() refuses before it looks at a model: the character U+0000, too many
// parentheses. Threads: any number at once.
// Throws: Error{invalid_option}, field "grammar".
void check_grammar(std::string_view gbnf);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_LLAMA_GRAMMAR_H_
