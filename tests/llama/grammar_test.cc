// Grammars as constraints: what they allow, and what is said about wrong ones.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gumbelspec/error.h"
#include "tests/llama/grammar_fixture.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;

std::string refusal(const std::string& gbnf) {
  try {
    (void)compile_grammar(model(), gbnf);
    return "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_option);
    EXPECT_EQ(error.field(), "grammar");
    return error.what();
  }
}

TEST(Grammar, AllowsWhatCanComeNext) {
  const auto grammar = matcher_of("root ::= \"a\" (\"b\" | \"c\")");
  EXPECT_THAT(allowed_texts(*grammar, {}), ::testing::Contains("a"));
  for (const std::string& text : allowed_texts(*grammar, {})) {
    EXPECT_EQ(std::string("ab").find(text) == 0 || std::string("ac").find(text) == 0, true) << text;
  }
  EXPECT_EQ(allowed_texts(*grammar, {letter('a')}), (std::vector<std::string>{"b", "c"}));
}

TEST(Grammar, EndsTheTextWhereItIsComplete) {
  const auto grammar = matcher_of("root ::= \"a\" \"b\"?");
  EXPECT_EQ(allowed_texts(*grammar, {letter('a')}), (std::vector<std::string>{"<end>", "b"}));
  EXPECT_EQ(allowed_texts(*grammar, {letter('a'), letter('b')}), std::vector<std::string>{"<end>"});
}

TEST(Grammar, TakesThePathAsTextThatGoesOn) {
  const auto grammar = matcher_of("root ::= \"a\" \"b\" \"c\"");
  EXPECT_EQ(allowed_texts(*grammar, {letter('a')}, {letter('b')}), std::vector<std::string>{"c"});
  EXPECT_EQ(allowed_texts(*grammar, {letter('a')}), std::vector<std::string>{"b"})
      << "what was asked about a path does not stay";
}

TEST(Grammar, WaitsForATriggerAcrossTokens) {
  const GrammarTrigger trigger{.words = {"ab"}, .tokens = {}};
  const auto matcher = compile_grammar(model(), "root ::= \"abc\"", trigger)->matcher();
  const auto mask = matcher->allowed({}, {});
  std::size_t n_with = 0;
  for (std::size_t i = 0; i < model().limits().n_vocab; ++i) {
    const std::string piece = model().piece(token_id(i));
    const std::size_t at = piece.find("ab");
    n_with += at == std::string::npos ? 0 : 1;
    const bool fits =
        at == std::string::npos || piece.size() <= at + 2 || piece.substr(at) == "abc";
    EXPECT_EQ(is_set(mask, token_id(i)), fits) << piece;
  }
  EXPECT_GT(n_with, 0U);
  EXPECT_EQ(allowed_texts(*matcher, {letter('a')}, {letter('b')}), std::vector<std::string>{"c"});
  EXPECT_TRUE(is_set(matcher->allowed(std::vector<TokenId>{letter('a')}, {}), letter('x')));
  EXPECT_THROW((void)compile_grammar(model(), "root ::= \"x\"", trigger), Error);
}

TEST(Grammar, DoesNotDependOnTheOrderOfQuestions) {
  const std::string gbnf = "root ::= (\"a\" \"b\"* \"c\")*";
  const auto grammar = matcher_of(gbnf);
  const std::vector<std::vector<TokenId>> texts = {
      {}, {letter('a')}, {letter('a'), letter('b')}, {letter('a'), letter('c')}};
  for (const int order : {0, 1, 2}) {
    for (std::size_t i = 0; i < texts.size(); ++i) {
      const auto& text = texts[order == 0 ? i : order == 1 ? texts.size() - 1 - i : i * 3 % 4];
      const auto fresh = matcher_of(gbnf);
      EXPECT_EQ(allowed_texts(*grammar, text), allowed_texts(*fresh, text));
    }
  }
}

TEST(Grammar, LetsNothingButTheEndFollowWhatItForbids) {
  const auto grammar = matcher_of("root ::= \"ab\"");
  EXPECT_EQ(allowed_texts(*grammar, {}, {letter('x')}), std::vector<std::string>{"<end>"});
  EXPECT_EQ(allowed_texts(*grammar, {letter('a')}), std::vector<std::string>{"b"});
}

TEST(Grammar, FollowsCharactersOfSeveralTokens) {
  const auto grammar = matcher_of("root ::= [\xF0\x9F\x98\x80-\xF0\x9F\x98\x8F] \"a\"");
  const auto bytes = model().tokenize("\xF0\x9F\x98\x80", {.adds_special = false});
  std::vector<TokenId> text;
  for (const TokenId token : bytes) {
    if (model().piece(token).find(' ') != std::string::npos) continue;  // SentencePiece's first
    ASSERT_TRUE(is_set(grammar->allowed(text, {}), token));
    text.push_back(token);
  }
  EXPECT_EQ(allowed_texts(*grammar, text), std::vector<std::string>{"a"});
}

TEST(Grammar, AWalkDownPathsGivesWhatEachOfThemGivesAlone) {
  const std::string gbnf = "root ::= (\"a\" | \"b\" \"c\" | \"b\" \"d\" \"a\")+";
  const auto matcher = matcher_of(gbnf);
  std::mt19937 random(9);
  std::vector<TokenId> generated;
  std::vector<TokenId> path;
  for (int step = 0; step < 300; ++step) {
    // Up, down, and now and then the text goes on along the path, past it, or starts again.
    const unsigned what = random() % 8;
    if (what == 0) {
      const std::size_t n = random() % (path.size() + 1);
      generated.insert(generated.end(), path.begin(), path.begin() + static_cast<long>(n));
      if (random() % 2 == 0) generated.push_back(letter("abcd"[random() % 4]));
      path.clear();
    } else if (what == 1 && !path.empty()) {
      path.pop_back();
    } else if (what == 2) {
      path.clear();
    } else {
      path.push_back(letter("abcd"[random() % 4]));
    }
    if (generated.size() + path.size() > 12) {
      generated.clear();
      path.clear();
    }
    ASSERT_EQ(allowed_texts(*matcher, generated, path),
              allowed_texts(*matcher_of(gbnf), generated, path))
        << "step " << step;
  }
}

TEST(Grammar, SaysWhatIsWrongAndWhere) {
  EXPECT_THAT(refusal("root ::= \"a"), HasSubstr("in line 1: unexpected end of input"));
  EXPECT_THAT(refusal("root \"a\""), HasSubstr("in line 1: expecting ::="));
  EXPECT_THAT(refusal("# words\nroot ::= a\na ::= )\n"), HasSubstr("in line 3: expecting"));
  EXPECT_THAT(refusal("root ::= a |\n  # and\n  word\na ::= \"word\""),
              HasSubstr("in line 3: the rule \"word\" is used but not defined"));
  EXPECT_THAT(refusal("root ::= [word] \"word\" a\na ::= word+"),
              HasSubstr("in line 2: the rule \"word\" is used but not defined"));
  EXPECT_THAT(refusal("start ::= \"a\""), HasSubstr("no rule \"root\""));
  EXPECT_THAT(refusal("\nroot ::= root \"a\""),
              HasSubstr("in line 2: the rule \"root\" begins with itself, or with one that does "
                        "(left recursion)"));
  EXPECT_THAT(refusal(""), HasSubstr("no rule \"root\""));
  EXPECT_THAT(refusal("root ::= \"a\"{1000000}"), HasSubstr("repetitions"));
  EXPECT_THAT(refusal("root ::= \"a\"{99999999999999999999}"), HasSubstr("too large"));
  EXPECT_THAT(refusal(std::string("root ::= \"a\0\"", 14)), HasSubstr("U+0000"));
  EXPECT_THAT(refusal("root ::= " + std::string(1001, '(')),
              HasSubstr("more than 1000 parentheses are open at once"));
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
