// A grammar that is compiled once, and its texts, threads and owners.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "llama.h"
#include "src/llama/grammar.h"
#include "src/llama/model_file.h"
#include "tests/llama/grammar_fixture.h"

namespace gumbelspec::testing {
namespace {

TEST(Grammar, CompiledOnceSharesItsMasksAmongItsTexts) {
  const std::string gbnf = "root ::= [a-d]+ \"e\"";
  const auto grammar = compile_grammar(model(), gbnf);
  const auto first = grammar->matcher();
  const auto second = grammar->matcher();
  const auto of_first = first->allowed(letters("ab"), {});
  // The same place in another text.
  EXPECT_EQ(second->allowed(letters("dcad"), {}).data(), of_first.data());
  EXPECT_NE(second->allowed(letters("dcade"), {}).data(), of_first.data());
  EXPECT_EQ(compile_grammar(model(), gbnf), grammar) << "the same grammar is compiled once";
  EXPECT_NE(matcher_of(gbnf + " ")->allowed(letters("ab"), {}).data(), of_first.data())
      << "of a grammar of its own";
}

TEST(Grammar, TextsDoNotDisturbEachOther) {
  const std::string gbnf = "root ::= \"a\" [b-d]{2} (\"e\" | \"f\" \"g\")";
  const auto grammar = compile_grammar(model(), gbnf);
  const std::vector<TokenId> texts[] = {letters("abce"), letters("adbfg"), letters("accf")};
  std::unique_ptr<TokenConstraint> matchers[] = {grammar->matcher(), grammar->matcher(),
                                                 grammar->matcher()};
  for (std::size_t n = 0; n <= 5; ++n) {
    for (std::size_t i = 0; i < 3; ++i) {
      const std::vector<TokenId> text(texts[i].begin(),
                                      texts[i].begin() + std::min(n, texts[i].size()));
      EXPECT_EQ(allowed_texts(*matchers[i], text), allowed_texts(*matcher_of(gbnf), text));
    }
  }
}

// The demo model's vocabulary without the model, for grammars that keep one mask only.
std::shared_ptr<const internal::GrammarTokens> demo_tokens() {
  static const internal::LlamaModelPtr kVocabulary = [] {
    internal::ModelFileOptions file;
    file.path = GUMBELSPEC_MODELS_DIR "/demo-draft-q8_0.gguf";
    file.vocabulary_only = true;
    return internal::load_model_file(file, {});
  }();
  return internal::read_grammar_tokens(llama_model_get_vocab(kVocabulary.get()));
}

TEST(Grammar, AMatcherOutlivesTheGrammarAndItsMasks) {
  const std::string gbnf = "root ::= \"a\" \"b\" \"c\"";
  auto grammar = internal::compile_grammar(demo_tokens(), gbnf, {}, 1);
  const auto first = grammar->matcher();
  const auto second = grammar->matcher();
  grammar.reset();
  const auto held = first->allowed(letters("a"), {});
  const std::vector<std::uint32_t> before(held.begin(), held.end());
  (void)second->allowed(letters("ab"), {});
  (void)second->allowed({}, {});
  EXPECT_TRUE(std::equal(held.begin(), held.end(), before.begin())) << "until its own next call";
  EXPECT_EQ(allowed_texts(*first, letters("ab")), allowed_texts(*matcher_of(gbnf), letters("ab")));
}

TEST(Grammar, IsMatchedByManyThreadsAtOnce) {
  const std::string gbnf = "root ::= \"a\"+ \"b\"+ \"c\"+ \"d\"+";
  const auto grammar = internal::compile_grammar(demo_tokens(), gbnf, {}, 1);
  const auto ask = [](TokenConstraint& matcher, std::size_t n) {
    std::vector<std::uint32_t> words;
    for (const char* text : {"aa", "aab", "aabbc", "aabbccd"}) {
      const std::vector<TokenId> tokens = letters(text);
      for (std::size_t i = 0; i < n; ++i) {
        const auto mask = matcher.allowed(tokens, std::vector<TokenId>(i % 3, tokens.back()));
        words.insert(words.end(), mask.begin(), mask.end());
      }
    }
    return words;
  };
  const auto expected = ask(*matcher_of(gbnf), 30);
  std::vector<std::thread> threads;
  std::vector<char> is_right(4, 0);
  for (char& result : is_right) {
    threads.emplace_back([&] {
      // Other threads compile meanwhile, too.
      (void)compile_grammar(model(), gbnf);
      const auto matcher = grammar->matcher();
      result = ask(*matcher, 30) == expected ? 1 : 0;
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(is_right, std::vector<char>(4, 1));
}

}  // namespace
}  // namespace gumbelspec::testing
