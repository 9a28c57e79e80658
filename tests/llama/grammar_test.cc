// Grammars as constraints: what they allow, and what is said about wrong ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_grammar.h"
#include "gumbelspec/llama_model.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;

LlamaModel& model() {
  static const auto demo = [] {
    LlamaModelOptions options;
    options.path = std::string(GUMBELSPEC_MODELS_DIR) + "/demo-draft-q8_0.gguf";
    options.n_context = 64;
    return LlamaModel::load(options);
  }();
  return *demo;
}

std::string refusal(const std::string& gbnf) {
  try {
    (void)make_grammar(model(), gbnf);
    return "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_option);
    return error.what();
  }
}

bool is_set(std::span<const std::uint32_t> mask, TokenId token) {
  return (mask[index(token) / 32] >> (index(token) % 32) & 1U) != 0;
}

// The texts of the allowed tokens; "<end>" for those that end the text.
std::vector<std::string> allowed_texts(TokenConstraint& grammar,
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
TokenId letter(char c) {
  for (std::size_t i = 0; i < model().limits().n_vocab; ++i) {
    if (model().piece(token_id(i)) == std::string(1, c)) return token_id(i);
  }
  ADD_FAILURE() << "no token for " << c;
  return TokenId{};
}

TEST(Grammar, AllowsWhatCanComeNext) {
  const auto grammar = make_grammar(model(), "root ::= \"a\" (\"b\" | \"c\")");
  EXPECT_THAT(allowed_texts(*grammar, {}), ::testing::Contains("a"));
  for (const std::string& text : allowed_texts(*grammar, {})) {
    EXPECT_EQ(std::string("ab").find(text) == 0 || std::string("ac").find(text) == 0, true) << text;
  }
  EXPECT_EQ(allowed_texts(*grammar, {letter('a')}), (std::vector<std::string>{"b", "c"}));
}

TEST(Grammar, EndsTheTextWhereItIsComplete) {
  const auto grammar = make_grammar(model(), "root ::= \"a\" \"b\"?");
  EXPECT_EQ(allowed_texts(*grammar, {letter('a')}), (std::vector<std::string>{"<end>", "b"}));
  EXPECT_EQ(allowed_texts(*grammar, {letter('a'), letter('b')}), std::vector<std::string>{"<end>"});
}

TEST(Grammar, TakesThePathAsTextThatGoesOn) {
  const auto grammar = make_grammar(model(), "root ::= \"a\" \"b\" \"c\"");
  EXPECT_EQ(allowed_texts(*grammar, {letter('a')}, {letter('b')}), std::vector<std::string>{"c"});
  EXPECT_EQ(allowed_texts(*grammar, {letter('a')}), std::vector<std::string>{"b"})
      << "what was asked about a path does not stay";
}

TEST(Grammar, DoesNotDependOnTheOrderOfQuestions) {
  const std::string gbnf = "root ::= (\"a\" \"b\"* \"c\")*";
  const auto grammar = make_grammar(model(), gbnf);
  const std::vector<std::vector<TokenId>> texts = {
      {}, {letter('a')}, {letter('a'), letter('b')}, {letter('a'), letter('c')}};
  for (const int order : {0, 1, 2}) {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto& text = texts[order == 0 ? i : order == 1 ? texts.size() - 1 - i : i * 3 % 4];
      const auto fresh = make_grammar(model(), gbnf);
      EXPECT_EQ(allowed_texts(*grammar, text), allowed_texts(*fresh, text));
    }
  }
}

TEST(Grammar, LetsNothingButTheEndFollowWhatItForbids) {
  const auto grammar = make_grammar(model(), "root ::= \"ab\"");
  EXPECT_EQ(allowed_texts(*grammar, {}, {letter('x')}), std::vector<std::string>{"<end>"});
  EXPECT_EQ(allowed_texts(*grammar, {letter('a')}), std::vector<std::string>{"b"});
}

TEST(Grammar, FollowsCharactersOfSeveralTokens) {
  const auto grammar = make_grammar(model(), "root ::= [\xF0\x9F\x98\x80-\xF0\x9F\x98\x8F] \"a\"");
  const auto bytes = model().tokenize("\xF0\x9F\x98\x80", {.adds_special = false});
  std::vector<TokenId> text;
  for (const TokenId token : bytes) {
    if (model().piece(token).find(' ') != std::string::npos) continue;  // SentencePiece's first
    ASSERT_TRUE(is_set(grammar->allowed(text, {}), token));
    text.push_back(token);
  }
  EXPECT_EQ(allowed_texts(*grammar, text), std::vector<std::string>{"a"});
}

TEST(Grammar, SaysWhatIsWrong) {
  EXPECT_THAT(refusal("root ::= \"a"), HasSubstr("unexpected end of input"));
  EXPECT_THAT(refusal("root \"a\""), HasSubstr("expecting ::="));
  EXPECT_THAT(refusal("root ::= word"), HasSubstr("\"word\" is used but not defined"));
  EXPECT_THAT(refusal("start ::= \"a\""), HasSubstr("no rule \"root\""));
  EXPECT_THAT(refusal("root ::= root \"a\""), HasSubstr("left recursion"));
  EXPECT_THAT(refusal(""), HasSubstr("no rule \"root\""));
  EXPECT_THAT(refusal("root ::= \"a\"{100000}"), HasSubstr("repetitions"));
}

TEST(Grammar, SaysItOnOneShortLineAndPrintsNothing) {
  ::testing::internal::CaptureStderr();
  const std::string text = refusal("root ::= ( \"a\"\nmore ::= " + std::string(5000, 'x'));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_LT(text.size(), 300U);
  EXPECT_EQ(text.find('\n'), std::string::npos);
}

TEST(Grammar, TakesCommentsAndEmptyLinesInFront) {
  EXPECT_EQ(refusal("# words\n\n  root ::= \"a\" # one\n"), "accepted");
}

}  // namespace
}  // namespace gumbelspec::testing
