// Grammars over the demo model's vocabulary, and what they allow.
#ifndef GUMBELSPEC_TESTS_LLAMA_GRAMMAR_FIXTURE_H_
#define GUMBELSPEC_TESTS_LLAMA_GRAMMAR_FIXTURE_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "gumbelspec/llama_grammar.h"
#include "gumbelspec/llama_model.h"

namespace gumbelspec::testing {

inline LlamaModel& model() {
  static const auto kDemo = [] {
    LlamaModelOptions options;
    options.path = GUMBELSPEC_MODELS_DIR "/demo-draft-q8_0.gguf";
    options.n_context = 64;
    return LlamaModel::load(options);
  }();
  return *kDemo;
}

inline std::unique_ptr<TokenConstraint> matcher_of(const std::string& gbnf) {
  return compile_grammar(model(), gbnf)->matcher();
}

inline bool is_set(std::span<const std::uint32_t> mask, TokenId token) {
  return (mask[index(token) / 32] >> (index(token) % 32) & 1U) != 0;
}

// The texts of the allowed tokens; "<end>" for those that end the text.
inline std::vector<std::string> allowed_texts(TokenConstraint& grammar,
                                              const std::vector<TokenId>& generated,
                                              const std::vector<TokenId>& path = {}) {
  std::vector<std::string> texts;
  const auto mask = grammar.allowed(generated, path);
  for (std::size_t i = 0; i < model().limits().n_vocab; ++i) {
    if (!is_set(mask, token_id(i))) continue;
    texts.push_back(model().is_end(token_id(i)) ? "<end>" : model().piece(token_id(i)));
  }
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  return texts;
}

// A token that is this one letter.
inline TokenId letter(char c) {
  for (std::size_t i = 0; i < model().limits().n_vocab; ++i) {
    if (model().piece(token_id(i)) == std::string(1, c)) return token_id(i);
  }
  ADD_FAILURE() << "no token for " << c;
  return TokenId{};
}

// Texts of a vocabulary of bytes, as tokens.
inline std::vector<TokenId> letters(const std::string& text) {
  std::vector<TokenId> tokens;
  for (const char c : text) tokens.push_back(letter(c));
  return tokens;
}

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_LLAMA_GRAMMAR_FIXTURE_H_
