// Grammars over the tokens of a vocabulary.
#ifndef GUMBELSPEC_SRC_LLAMA_GRAMMAR_H_
#define GUMBELSPEC_SRC_LLAMA_GRAMMAR_H_

#include <cstddef>
#include <list>
#include <memory>
#include <mutex>
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
                                               const GrammarTrigger& trigger = {},
                                               std::size_t max_mask_bytes = kMaxMaskBytes);

// The grammars that a model was asked for last, each compiled once.
// Threads: any number at once.
class GrammarCache {
 public:
  // As compile_grammar().
  std::shared_ptr<const Grammar> compile(const std::shared_ptr<const GrammarTokens>& tokens,
                                         const std::string& gbnf, const GrammarTrigger& trigger);

 private:
  struct Entry {
    std::string gbnf;
    GrammarTrigger trigger;
    std::shared_ptr<const Grammar> grammar;
  };
  std::mutex compiling_;  // one at a time: whoever decodes needs the processor, too
  std::mutex mutex_;
  std::list<Entry> entries_;  // the most recently used first
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_GRAMMAR_H_
