// What grammars allow, with the vocabularies of real models. The oracle is llama.cpp's own sampler,
// and arithmetic for what it lets pass that is no text.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gumbelspec/token_constraint.h"
#include "llama.h"
#include "src/llama/grammar.h"
#include "tests/vocabularies/naive_utf8.h"
#include "tests/vocabularies/vocabulary_files.h"

namespace gumbelspec::testing {
namespace {

const char* const kGrammars[] = {
    // As JSON schemas make them: strings with escapes, numbers, lists.
    R"(root ::= object
object ::= "{" space (pair ("," space pair)*)? "}"
pair ::= string ":" space value
value ::= object | string | number | "true" | "[" space (value ("," space value)*)? "]"
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" ["\\bfnrt])* "\"" space
number ::= "-"? [0-9]+ ("." [0-9]+)? space
space ::= | " " | "\n" [ \t]*)",
    "root ::= (\"\xC3\xA4\" | \"\xE2\x82\xAC\" | [\xF0\x9F\x98\x80-\xF0\x9F\x98\x8F] | [a-f])+ "
    "\".\"",
    "root ::= [^a-z]{3,9} (\" the\" | \" a\") [a-z]*",
};

struct SamplerDeleter {
  void operator()(llama_sampler* sampler) const { llama_sampler_free(sampler); }
};

// The bytes of a token; none of a control token.
std::string bytes_of(const llama_vocab* vocab, llama_token token) {
  std::string piece(4096, '\0');
  const int n = llama_token_to_piece(vocab, token, piece.data(), 4096, 0, false);
  piece.resize(static_cast<std::size_t>(std::max(n, 0)));
  return piece;
}

// llama.cpp has no text for a character of the token, and its grammars read words of its own for
// that; ours read what the token writes.
bool is_unknown(const std::string& piece) {
  return piece.find("[UNK_BYTE_0x") != std::string::npos;
}

// Whether the bytes are characters, but for the beginning of one at the end; all of them, if
// is_over.
bool is_text(const std::string& bytes, bool is_over) {
  for (std::size_t i = 0; i < bytes.size();) {
    std::size_t n = 1;
    while (n <= 4 && !begins_characters(bytes.substr(i, n), true)) ++n;
    if (n > 4 || i + n > bytes.size()) {
      const std::string rest = bytes.substr(i);
      return !is_over && rest.size() < 4 && begins_characters(rest, false);
    }
    i += n;
  }
  return true;
}

class Oracle {
 public:
  Oracle(const llama_vocab* vocab, const char* gbnf)
      : vocab_(vocab), sampler_(llama_sampler_init_grammar(vocab, gbnf, "root")) {
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocab); ++token) {
      pieces_.push_back(bytes_of(vocab, token));
    }
  }

  [[nodiscard]] std::vector<bool> allowed() const {
    std::vector<llama_token_data> tokens;
    for (llama_token token = 0; token < llama_vocab_n_tokens(vocab_); ++token) {
      tokens.push_back({token, 0.0F, 0.0F});
    }
    llama_token_data_array array{tokens.data(), tokens.size(), -1, false};
    llama_sampler_apply(sampler_.get(), &array);
    std::vector<bool> out;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const std::string& piece = pieces_[i];
      const bool is_end = llama_vocab_is_eog(vocab_, tokens[i].id);
      const bool is_possible = is_end ? is_text(tail_, true)
                                      : !piece.empty() && piece.find('\0') == std::string::npos &&
                                            is_text(tail_ + piece, false);
      out.push_back(!std::isinf(tokens[i].logit) && is_possible);
    }
    return out;
  }
  [[nodiscard]] bool knows(std::size_t token) const { return !is_unknown(pieces_[token]); }
  void accept(TokenId token) {
    llama_sampler_accept(sampler_.get(), static_cast<llama_token>(token));
    tail_ += pieces_[index(token)];
    // Whole characters decide nothing any more.
    if (is_text(tail_, true)) tail_.clear();
  }

 private:
  const llama_vocab* vocab_;
  std::unique_ptr<llama_sampler, SamplerDeleter> sampler_;
  std::vector<std::string> pieces_;
  std::string tail_;
};

// Of each kind one: the oracle takes long, as it reads the text of every token at every place.
std::vector<VocabularyFile> some_vocabularies() {
  std::vector<VocabularyFile> out;
  for (const VocabularyFile& file : all_vocabularies()) {
    for (const char* name : {"command-r", "gpt-2", "llama-spm", "qwen2"}) {
      if (std::string(file.name) == name) out.push_back(file);
    }
  }
  return out;
}

class Grammars : public ::testing::TestWithParam<VocabularyFile> {};
INSTANTIATE_TEST_SUITE_P(LlamaCpp, Grammars, ::testing::ValuesIn(some_vocabularies()), test_name);

// Two texts of one grammar at once, so that the second finds some of the first one's masks.
TEST_P(Grammars, AllowWhatLlamaCppAllowsThatIsText) {
  const internal::LlamaModelPtr model = load_vocabulary(GetParam());
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  const auto tokens = internal::read_grammar_tokens(vocab);
  const auto n_vocab = static_cast<std::size_t>(llama_vocab_n_tokens(vocab));
  std::mt19937 random(5);
  std::size_t n_compared = 0;
  for (const char* gbnf : kGrammars) {
    const auto grammar = internal::compile_grammar(tokens, gbnf);
    for (int text = 0; text < 2; ++text) {
      Oracle oracle(vocab, gbnf);
      const auto matcher = grammar->matcher();
      std::vector<TokenId> generated;
      while (generated.size() < 8) {
        const std::vector<bool> expected = oracle.allowed();
        const auto mask = matcher->allowed(generated, {});
        std::vector<TokenId> possible;
        for (std::size_t i = 0; i < n_vocab; ++i) {
          const bool is_allowed = (mask[i / 32] >> (i % 32) & 1U) != 0;
          if (!oracle.knows(i)) continue;
          ASSERT_EQ(is_allowed, expected[i])
              << "token " << i << " behind " << generated.size() << " of " << gbnf;
          const auto token = static_cast<llama_token>(i);
          if (is_allowed && !llama_vocab_is_eog(vocab, token)) possible.push_back(token_id(i));
        }
        n_compared += n_vocab;
        if (possible.empty()) break;
        generated.push_back(possible[random() % possible.size()]);
        oracle.accept(generated.back());
      }
    }
  }
  EXPECT_GE(n_compared, 12 * n_vocab) << "at the beginning and behind one token of each text";
}

}  // namespace
}  // namespace gumbelspec::testing
