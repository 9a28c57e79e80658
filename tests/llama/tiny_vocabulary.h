// The tokenizer of a tiny model's file.
#ifndef GUMBELSPEC_TESTS_LLAMA_TINY_VOCABULARY_H_
#define GUMBELSPEC_TESTS_LLAMA_TINY_VOCABULARY_H_

#include "gguf.h"
#include "tests/llama/tiny_model.h"

namespace gumbelspec::testing {

// The keys tokenizer.*: made up, or those of vocabulary.file; without a vocabulary only that there
// is none. Throws: std::runtime_error if the file has no tokenizer.
void write_vocabulary(gguf_context* gguf, const TinyVocabulary& vocabulary);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_LLAMA_TINY_VOCABULARY_H_
