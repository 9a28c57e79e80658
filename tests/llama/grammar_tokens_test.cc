// Grammars and tokens: bytes of characters, control tokens, triggers.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "gumbelspec/error.h"
#include "tests/llama/grammar_fixture.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

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
    static const auto kModel = [] {
      TinyModel tiny;
      tiny.vocabulary.n_control = 3;
      return load_tiny(tiny);
    }();
    return *kModel;
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

}  // namespace
}  // namespace gumbelspec::testing
