// Texts that follow a grammar.
#ifndef GUMBELSPEC_LLAMA_GRAMMAR_H_
#define GUMBELSPEC_LLAMA_GRAMMAR_H_

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "gumbelspec/token_constraint.h"
#include "gumbelspec/types.h"

namespace gumbelspec {

// Memory that a compiled grammar keeps masks in, at most, but for one that is larger by itself. A
// mask is of a place in the grammar where a text has been, and has n_vocab / 8 bytes.
inline constexpr std::size_t kMaxMaskBytes = std::size_t{8} << 20U;

// Grammars that a model keeps compiled, the most recently used ones: the same grammar again is the
// same object.
inline constexpr std::size_t kMaxKeptGrammars = 8;

// What a text has to hold before a grammar counts; nothing: it counts from the beginning. Until
// then every token is allowed, but for those that would hold a trigger and leave the grammar behind
// it. The first trigger found is the beginning of the grammar's text, so the grammar has to begin
// with it. A text may end without one.
struct GrammarTrigger {
  std::vector<std::string> words = {};  // bytes, across the limits of tokens; 4,096 in all
  std::vector<TokenId> tokens = {};     // "<[123]>" in the grammar, or what the token writes

  // A word that the grammar's text begins within.
  struct Inner {
    std::string word;
    std::size_t grammar_begins = 0;  // byte of the word
    bool at_begin = false;           // counts only where the text begins with it
    friend bool operator==(const Inner&, const Inner&) = default;
  };
  std::vector<Inner> inner = {};

  // A control token that is read as the text that it is written as, in words and in the grammar.
  struct Written {
    TokenId token{};
    std::string text;
    friend bool operator==(const Written&, const Written&) = default;
  };
  std::vector<Written> written = {};

  // Without a trigger: what of the grammar's text stands in the prompt already.
  std::string begun = {};

  friend bool operator==(const GrammarTrigger&, const GrammarTrigger&) = default;
};

// gbnf: llama.cpp's notation, with a rule "root". Once root is complete the model's end of text is
// allowed, and where nothing else can follow, required.
//
// What a grammar takes is bounded, whatever it is: its steps, with repetitions written out, when it
// is compiled; the ways to read one text at once, and the work for one token, while it is matched.
//
// Threads: any number at once, also during a pass: a server compiles where it reads requests, and
// matches where it chooses tokens. Matchers of one grammar wait for each other where several
// threads ask them at once. Lifetime: the model outlives the grammar and its matchers. Cost: the
// first grammar of a model looks at every token of the vocabulary. A matcher's allowed() does so
// where no text of the grammar has been at this place yet, or its mask had to make room for others;
// otherwise it finds the mask that was made then. Throws: Error{invalid_option} with the line and
// what is wrong there; field "grammar". A matcher's allowed(): the same, where a text can be read
// in too many ways.
[[nodiscard]] std::shared_ptr<const Grammar> compile_grammar(const LlamaModel& model,
                                                             const std::string& gbnf,
                                                             const GrammarTrigger& trigger);
[[nodiscard]] std::shared_ptr<const Grammar> compile_grammar(const LlamaModel& model,
                                                             const std::string& gbnf);

// Parentheses of a grammar that are open at once, at most.
inline constexpr std::size_t kMaxGrammarParentheses = 1000;

// What compile_grammar() refuses before it looks at a model: what is no GBNF.
// Threads: any number at once. Throws: Error{invalid_option}, field "grammar".
void check_grammar(std::string_view gbnf);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_LLAMA_GRAMMAR_H_
