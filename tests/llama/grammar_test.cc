// Grammars as constraints: what they allow, and what is said about wrong ones.
#include "src/llama/grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_grammar.h"
#include "gumbelspec/llama_model.h"
#include "llama.h"
#include "src/llama/model_file.h"
#include "tests/llama/llama_fixture.h"

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

std::unique_ptr<TokenConstraint> matcher_of(const std::string& gbnf) {
  return compile_grammar(model(), gbnf)->matcher();
}

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

// A vocabulary in which every byte is a token (3 + byte), with control tokens.
class BytesGrammar {
 public:
  explicit BytesGrammar(const std::string& gbnf, const GrammarTrigger& trigger = {})
      : grammar_(compile_grammar(tiny(), gbnf, trigger)->matcher()) {}

  static TokenId byte(unsigned value) { return token_id(3 + value); }
  static TokenId control(std::size_t i) { return token_id(320 + i); }

  [[nodiscard]] bool allows(const std::vector<TokenId>& text, TokenId next) {
    return is_set(grammar_->allowed(text, {}), next);
  }
  // Whether the bytes are a text of the grammar, token by token.
  [[nodiscard]] bool takes(const std::string& bytes) {
    std::vector<TokenId> text;
    for (const char c : bytes) {
      const TokenId next = byte(static_cast<unsigned char>(c));
      if (!allows(text, next)) return false;
      text.push_back(next);
    }
    return allows(text, token_id(2));
  }

 private:
  static LlamaModel& tiny() {
    static const auto model = [] {
      TinyModel tiny;
      tiny.vocabulary.n_control = 3;
      return load_tiny(tiny);
    }();
    return *model;
  }
  std::unique_ptr<TokenConstraint> grammar_;
};

TEST(Grammar, DoesNotTakeTheNameOfAControlTokenForText) {
  BytesGrammar grammar("root ::= \"<ctl1>\" | [^a]*");
  EXPECT_FALSE(grammar.allows({}, BytesGrammar::control(1))) << "it writes nothing";
  EXPECT_FALSE(grammar.allows({}, token_id(0))) << "the unknown token";
  EXPECT_FALSE(grammar.allows({}, token_id(1))) << "BOS";
  EXPECT_TRUE(grammar.takes("<ctl1>"));
}

TEST(Grammar, TakesAControlTokenThatItAsksFor) {
  BytesGrammar grammar("root ::= \"a\" <[321]> \"b\"");
  EXPECT_TRUE(grammar.allows({BytesGrammar::byte('a')}, BytesGrammar::control(1)));
  EXPECT_FALSE(grammar.allows({BytesGrammar::byte('a')}, BytesGrammar::control(2)));
  EXPECT_TRUE(
      grammar.allows({BytesGrammar::byte('a'), BytesGrammar::control(1)}, BytesGrammar::byte('b')));
}

TEST(Grammar, WaitsForATriggerToken) {
  BytesGrammar grammar("root ::= <[321]> \"b\"",
                       {.words = {}, .tokens = {BytesGrammar::control(1)}});
  const std::vector<TokenId> before = {BytesGrammar::byte('x'), BytesGrammar::byte(0xFF)};
  EXPECT_TRUE(grammar.allows(before, token_id(2))) << "a text may end without it";
  EXPECT_TRUE(grammar.allows(before, BytesGrammar::control(0))) << "any token";
  EXPECT_TRUE(grammar.allows(before, BytesGrammar::control(1)));
  const std::vector<TokenId> behind = {BytesGrammar::byte('x'), BytesGrammar::control(1)};
  EXPECT_TRUE(grammar.allows(behind, BytesGrammar::byte('b')));
  EXPECT_FALSE(grammar.allows(behind, BytesGrammar::byte('x')));
  EXPECT_FALSE(grammar.allows(behind, token_id(2)));
}

TEST(Grammar, ReadsAWrittenControlTokenAsItsText) {
  const std::string gbnf = "root ::= \"<ctl1>\" \"a\" \"<ctl2>\"?";
  const GrammarTrigger both{
      .written = {{BytesGrammar::control(1), "<ctl1>"}, {BytesGrammar::control(2), "<ctl2>"}}};
  BytesGrammar grammar(gbnf, both);
  EXPECT_TRUE(grammar.allows({}, BytesGrammar::control(1)));
  EXPECT_TRUE(grammar.allows({}, BytesGrammar::byte('<'))) << "the text itself, too";
  EXPECT_FALSE(grammar.allows({}, BytesGrammar::control(2)));
  EXPECT_FALSE(grammar.allows({}, BytesGrammar::control(0))) << "is not written";
  EXPECT_TRUE(grammar.allows({BytesGrammar::control(1)}, BytesGrammar::byte('a')));
  EXPECT_TRUE(grammar.allows({BytesGrammar::control(1), BytesGrammar::byte('a')},
                             BytesGrammar::control(2)));
  GrammarTrigger lazy = both;
  lazy.words = {"<ctl1>"};
  BytesGrammar waiting(gbnf, lazy);
  EXPECT_TRUE(waiting.allows({BytesGrammar::byte('x')}, BytesGrammar::control(1)));
  const std::vector<TokenId> behind = {BytesGrammar::byte('x'), BytesGrammar::control(1)};
  EXPECT_TRUE(waiting.allows(behind, BytesGrammar::byte('a')));
  EXPECT_FALSE(waiting.allows(behind, BytesGrammar::byte('b')));
}

TEST(Grammar, BeginsWithinItsTrigger) {
  const GrammarTrigger trigger{.inner = {{"go: to", 3, false}, {" to", 0, true}}};
  BytesGrammar grammar("root ::= \" to\" \"x\"", trigger);
  const auto text = [](const std::string& bytes) {
    std::vector<TokenId> tokens;
    for (const char c : bytes) tokens.push_back(BytesGrammar::byte(static_cast<unsigned char>(c)));
    return tokens;
  };
  const TokenId y = BytesGrammar::byte('y');
  EXPECT_TRUE(grammar.allows(text("a to"), y)) << "not at the beginning";
  EXPECT_FALSE(grammar.allows(text(" to"), y));
  EXPECT_TRUE(grammar.allows(text(" to"), BytesGrammar::byte('x')));
  EXPECT_FALSE(grammar.allows(text("ago: to"), y));
  EXPECT_TRUE(grammar.allows(text("ago: to"), BytesGrammar::byte('x')));
}

TEST(Grammar, GoesOnWithWhatThePromptHolds) {
  const GrammarTrigger trigger{.begun = "ab"};
  BytesGrammar grammar("root ::= \"abc\"", trigger);
  EXPECT_TRUE(grammar.takes("c"));
  EXPECT_FALSE(grammar.takes("abc"));
  EXPECT_THROW(BytesGrammar("root ::= \"x\"", trigger), Error);
}

// The oracle decodes by arithmetic and knows the shortest form of a number.
bool is_one_character(const std::string& bytes) {
  const auto at = [&](std::size_t i) { return static_cast<unsigned char>(bytes[i]); };
  const unsigned first = at(0);
  const std::size_t n = first < 0x80   ? 1
                        : first < 0xC0 ? 0
                        : first < 0xE0 ? 2
                        : first < 0xF0 ? 3
                                       : 4;
  if (n != bytes.size() || first >= 0xF8) return false;
  unsigned value = n == 1 ? first : first & (0xFFU >> (n + 1));
  for (std::size_t i = 1; i < n; ++i) {
    if ((at(i) & 0xC0U) != 0x80U) return false;
    value = value << 6U | (at(i) & 0x3FU);
  }
  const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
  return value >= least[n] && value < 0x110000 && (value < 0xD800 || value > 0xDFFF);
}

TEST(Grammar, AllowsOnlyBytesOfCharacters) {
  BytesGrammar grammar("root ::= [^\\x00]");
  std::size_t n_taken = 0;
  // First bytes and second ones on both sides of every limit.
  for (const unsigned first :
       {0x01U, 0x7FU, 0x80U, 0xBFU, 0xC0U, 0xC1U, 0xC2U, 0xDFU, 0xE0U, 0xE1U, 0xECU,
        0xEDU, 0xEEU, 0xEFU, 0xF0U, 0xF1U, 0xF3U, 0xF4U, 0xF5U, 0xF7U, 0xF8U, 0xFFU}) {
    for (const unsigned second : {0x7FU, 0x80U, 0x8FU, 0x90U, 0x9FU, 0xA0U, 0xBFU, 0xC0U}) {
      for (std::size_t n = 1; n <= 4; ++n) {
        std::string bytes = {static_cast<char>(first), static_cast<char>(second), '\x80', '\xBF'};
        bytes.resize(n);
        EXPECT_EQ(grammar.takes(bytes), is_one_character(bytes)) << ::testing::PrintToString(bytes);
        n_taken += is_one_character(bytes) ? 1U : 0U;
      }
    }
  }
  EXPECT_GT(n_taken, 50U);
}

TEST(Grammar, BeginsNoCharacterThatItCannotEnd) {
  BytesGrammar letters("root ::= [a-z]+");
  for (unsigned byte = 0x80; byte < 0x100; ++byte) {
    EXPECT_FALSE(letters.allows({}, BytesGrammar::byte(byte))) << byte;
  }
  BytesGrammar beyond("root ::= [^\\x00-\xF0\xBF\xBF\xBF]");
  EXPECT_FALSE(beyond.allows({}, BytesGrammar::byte(0xF0)));
  EXPECT_TRUE(beyond.allows({}, BytesGrammar::byte(0xF4)));
  BytesGrammar some("root ::= [\xE0\xA0\x80\xF4\x8F\xBF\xBF]");
  EXPECT_TRUE(some.takes("\xE0\xA0\x80"));
  EXPECT_TRUE(some.takes("\xF4\x8F\xBF\xBF"));
  EXPECT_FALSE(some.allows({}, BytesGrammar::byte(0xED)));
  EXPECT_FALSE(some.allows({}, BytesGrammar::byte(0xF0)));
}

// Texts of a vocabulary of bytes, as tokens.
std::vector<TokenId> letters(const std::string& text) {
  std::vector<TokenId> tokens;
  for (const char c : text) tokens.push_back(letter(c));
  return tokens;
}

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

// The demo model's vocabulary without the model, for grammars that keep one mask only.
std::shared_ptr<const internal::GrammarTokens> demo_tokens() {
  static const internal::LlamaModelPtr vocabulary = [] {
    internal::ModelFileOptions file;
    file.path = std::string(GUMBELSPEC_MODELS_DIR) + "/demo-draft-q8_0.gguf";
    file.vocabulary_only = true;
    return internal::load_model_file(file, {});
  }();
  return internal::read_grammar_tokens(llama_model_get_vocab(vocabulary.get()));
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
