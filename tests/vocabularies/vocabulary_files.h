// The vocabularies of llama.cpp's models/ folder: real tokenizers without weights.
#ifndef GUMBELSPEC_TESTS_VOCABULARIES_VOCABULARY_FILES_H_
#define GUMBELSPEC_TESTS_VOCABULARIES_VOCABULARY_FILES_H_

#include <gtest/gtest.h>

#include <cstddef>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "gumbelspec/types.h"
#include "src/llama/model_file.h"
#include "tests/llama/tiny_model.h"

namespace gumbelspec::testing {

struct VocabularyFile {
  const char* name;          // ggml-vocab-NAME.gguf
  const char* architecture;  // of a tiny model with it; empty: its models do not generate
};
// For gtest, which names the cases of parameterised tests so.
void PrintTo(const VocabularyFile& file, std::ostream* out);
[[nodiscard]] std::string test_name(const ::testing::TestParamInfo<VocabularyFile>& info);

[[nodiscard]] std::span<const VocabularyFile> all_vocabularies();
[[nodiscard]] std::vector<VocabularyFile> generating_vocabularies();

[[nodiscard]] std::string path_of(const VocabularyFile& file);

// Without weights.
[[nodiscard]] internal::LlamaModelPtr load_vocabulary(const VocabularyFile& file);

// Random weights behind the vocabulary: the text of such a model is noise from all of it.
[[nodiscard]] TinyModel tiny_model_with(const VocabularyFile& file);

// What the tokenizer of the model's makers gives, from llama.cpp's ggml-vocab-NAME.gguf.inp and
// .out; without BOS and EOS. Empty where there are none.
struct KnownTokens {
  std::string text;
  std::vector<TokenId> tokens;
};
[[nodiscard]] std::vector<KnownTokens> known_tokens(const VocabularyFile& file);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_VOCABULARIES_VOCABULARY_FILES_H_
