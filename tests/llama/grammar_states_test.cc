// The places of grammars, byte by byte. The oracle is llama.cpp's own grammar engine, character by
// character; where that does not come to an end, arithmetic.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "llama-grammar.h"
#include "src/llama/utf8.h"
#include "tests/llama/grammar_states_fixture.h"

namespace gumbelspec::internal {
namespace {

using ::testing::HasSubstr;

struct GrammarDeleter {
  void operator()(llama_grammar* grammar) const { llama_grammar_free_impl(grammar); }
};

class Oracle {
 public:
  explicit Oracle(const std::string& gbnf)
      : grammar_(llama_grammar_init_impl(nullptr, gbnf.c_str(), "root", false, nullptr, 0, nullptr,
                                         0)) {}
  [[nodiscard]] bool knows() const { return grammar_ != nullptr; }
  // nullopt: it has too many stacks.
  [[nodiscard]] std::optional<Verdict> verdict(const std::string& text) const {
    const std::unique_ptr<llama_grammar, GrammarDeleter> grammar(
        llama_grammar_clone_impl(*grammar_));
    std::vector<std::uint32_t> characters;
    append_code_points(text, characters);
    const auto& stacks = llama_grammar_get_stacks(grammar.get());
    for (const std::uint32_t c : characters) {
      llama_grammar_accept(grammar.get(), c);
      if (stacks.size() > 100) return std::nullopt;  // it would take hours
    }
    Verdict out{!stacks.empty(), false};
    for (const auto& stack : stacks) out.is_text = out.is_text || stack.empty();
    return out;
  }

 private:
  std::unique_ptr<llama_grammar, GrammarDeleter> grammar_;
};

// Grammars of a few rules; each calls later ones at its beginning, any behind a character.
class RandomGrammar {
 public:
  explicit RandomGrammar(unsigned seed) : random_(seed) {}
  std::string text() {
    const unsigned n_rules = 1 + random_() % 4;
    std::string out;
    for (unsigned rule = 0; rule < n_rules; ++rule) {
      out += name(rule) + " ::= " + choice(rule, n_rules, 2) + "\n";
    }
    return out;
  }

 private:
  static std::string name(unsigned rule) { return rule == 0 ? "root" : "r" + std::to_string(rule); }
  std::string choice(unsigned rule, unsigned n_rules, int depth) {
    std::string out = sequence(rule, n_rules, depth);
    for (unsigned n = random_() % 3; n > 0; --n) out += " | " + sequence(rule, n_rules, depth);
    return out;
  }
  std::string sequence(unsigned rule, unsigned n_rules, int depth) {
    std::string out;
    bool has_character = false;
    for (unsigned n = random_() % 4; n > 0; --n) {
      const unsigned kind = random_() % 8;
      std::string item;
      if (kind < 3) {
        static const char* const kItems[] = {
            "\"a\"",      "\"b\"", "[ab]",          "[^a]",
            "\"ab\"",     ".",     "[b-c\xC3\xA9]", "\"\xE2\x82\xAC\"",
            "[^\xC3\xA9]"};
        item = kItems[random_() % 9];
        has_character = true;
      } else if (kind < 6 && depth > 0) {
        item = "(" + choice(has_character ? rule : rule, n_rules, depth - 1) + ")";
      } else {
        const unsigned first = has_character ? 0 : rule + 1;
        if (first >= n_rules) continue;
        item = name(first + random_() % (n_rules - first));
      }
      static const char* const kRepeats[] = {"",  "",  "",    "",      "*",
                                             "+", "?", "{2}", "{1,2}", "{0,2}"};
      const char* repeat = kRepeats[random_() % 10];
      if (*repeat != '\0' && kind < 3 && (*repeat == '*' || *repeat == '?' || repeat[1] == '0')) {
        has_character = false;
      }
      out += (out.empty() ? "" : " ") + item + repeat;
    }
    return out.empty() ? "\"\"" : out;
  }
  std::mt19937 random_;
};

// Texts by the characters that the grammars have.
std::string random_text(std::mt19937& random) {
  static const char* const kCharacters[] = {"a", "b", "c", "\xC3\xA9", "\xE2\x82\xAC", "x"};
  std::string out;
  for (unsigned n = random() % 6; n > 0; --n) out += kCharacters[random() % 6];
  return out;
}

// GUMBELSPEC_RANDOM_GRAMMARS=FIRST: 2,000 others, from that number on.
TEST(GrammarStates, AgreeWithLlamaCppOnRandomGrammars) {
  const char* first = std::getenv("GUMBELSPEC_RANDOM_GRAMMARS");
  const unsigned begin = first == nullptr ? 0 : static_cast<unsigned>(std::atoi(first));
  std::mt19937 random(begin + 3);
  std::size_t n_texts = 0;
  std::size_t n_grammars = 0;
  for (unsigned seed = begin; seed < begin + 2000; ++seed) {
    const std::string gbnf = RandomGrammar(seed).text();
    std::optional<GrammarStates> states;
    try {
      states.emplace(program_of(gbnf));
    } catch (const Error&) {
      continue;  // left recursion
    }
    ::testing::internal::CaptureStderr();
    const Oracle oracle(gbnf);
    (void)::testing::internal::GetCapturedStderr();
    if (!oracle.knows()) continue;
    ++n_grammars;
    for (int i = 0; i < 40; ++i) {
      const std::string text = random_text(random);
      const std::optional<Verdict> expected = oracle.verdict(text);
      if (!expected) break;
      ASSERT_EQ(verdict(*states, text), *expected)
          << gbnf << "text: " << text << "; llama.cpp: prefix " << expected->is_prefix << ", text "
          << expected->is_text;
      n_texts += expected->is_text ? 1 : 0;
    }
  }
  EXPECT_GT(n_grammars, 800U);
  EXPECT_GT(n_texts, 1000U) << "most texts must not be outside";
}

TEST(GrammarStates, ReadTheWholeNotation) {
  EXPECT_TRUE(takes("root ::= \"\\x41\\u00e9\\U0001F600\\t\\r\\n\\\\\\\"\\[\\]\\-\"",
                    "A\xC3\xA9\xF0\x9F\x98\x80\t\r\n\\\"[]-"));
  EXPECT_TRUE(takes("root ::= [\\]a-c-]+", "]b-"));
  EXPECT_TRUE(takes("root ::= . .", "\n\xE2\x82\xAC"));
  EXPECT_TRUE(takes(
      "# words\nroot ::= # more\n  a |\n  b\na ::= \"x\"\r\nb ::= (\n \"y\"\n \"z\"\n)", "yz"));
  EXPECT_TRUE(takes("root ::= \"a\"{ 2 , 3 }", "aaa"));
  EXPECT_FALSE(takes("root ::= \"a\"{2,3}", "aaaa"));
  EXPECT_TRUE(takes("root ::= \"a\"{2,}", std::string(50, 'a')));
  EXPECT_TRUE(takes("root ::= \"ab\"{2}", "abab"));
  EXPECT_TRUE(takes("root ::= \"a\"{0} \"b\"", "b"));
  EXPECT_TRUE(takes("root ::= \"x\"\nroot ::= \"y\"", "y")) << "the last definition";
  EXPECT_TRUE(takes("root ::= [] \"\" \"a\"", "a"));
  EXPECT_THAT(refusal("root ::= \"\"*"), HasSubstr("expecting preceding item"));
  EXPECT_THAT(refusal("root ::= \"\\q\""), HasSubstr("unknown escape"));
  EXPECT_THAT(refusal("root ::= \"\\x4\""), HasSubstr("expecting 2 hex chars"));
  EXPECT_THAT(refusal("root ::= \"\xFF\""), HasSubstr("not UTF-8"));
  EXPECT_THAT(refusal("root ::= <no>"), HasSubstr("is not one token"));
}

TEST(GrammarStates, SetsOfCharactersAreExactInBytes) {
  // llama.cpp lets no byte of a character pass that shares its first byte with an excluded one.
  EXPECT_TRUE(takes("root ::= [^\xC3\xA9]", "\xC3\xA8"));
  EXPECT_FALSE(verdict("root ::= [^\xC3\xA9]", "\xC3\xA9").is_prefix);
  std::mt19937 random(11);
  for (int round = 0; round < 200; ++round) {
    std::vector<CodePointRange> ranges;
    for (unsigned n = 1 + random() % 4; n > 0; --n) {
      const auto draw = [&](std::uint32_t n) { return static_cast<std::uint32_t>(random()) % n; };
      const std::uint32_t bits = 7 + draw(15);
      const std::uint32_t first = draw(1U << bits);
      ranges.push_back({first, first + draw(1U << draw(14))});
    }
    const bool is_negated = random() % 2 == 0;
    const ByteAutomaton automaton(code_point_set(ranges, is_negated));
    for (int i = 0; i < 500; ++i) {
      const auto& range = ranges[random() % ranges.size()];
      const std::uint32_t c = (i % 2 == 0 ? range.first : range.last) + random() % 3 - 1;
      if (c > 0x10FFFF || (c >= 0xD800 && c <= 0xDFFF)) continue;
      bool expected = false;
      for (const auto& r : ranges) expected = expected || (c >= r.first && c <= r.last);
      std::string bytes;
      if (c < 0x80) {
        bytes = {static_cast<char>(c)};
      } else {
        const int n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
        const unsigned lead[] = {0, 0, 0xC0, 0xE0, 0xF0};
        bytes.push_back(static_cast<char>(lead[n] | c >> (6 * (n - 1))));
        for (int k = n - 2; k >= 0; --k) {
          bytes.push_back(static_cast<char>(0x80 | ((c >> (6 * k)) & 0x3F)));
        }
      }
      std::uint16_t at = 0;
      for (const char byte : bytes) {
        if (at != ByteAutomaton::kNone) at = automaton.next(at, static_cast<std::uint8_t>(byte));
      }
      ASSERT_EQ(at == ByteAutomaton::kDone, expected != is_negated) << c;
    }
  }
}

TEST(GrammarStates, RulesThatBeginWithThemselvesAreRefused) {
  EXPECT_THAT(refusal("root ::= root \"a\" | \"b\""), HasSubstr("left recursion"));
  EXPECT_THAT(refusal("root ::= a \"b\"\na ::= root \"c\" | \"d\""), HasSubstr("left recursion"));
  // Behind what may be empty through several rules; llama.cpp does not see it, and does not end.
  EXPECT_THAT(refusal("root ::= a root \"y\" | \"x\"\na ::= b\nb ::= \"\""),
              HasSubstr("left recursion"));
  // As the last thing it does no harm.
  const std::string last = "root ::= ws root | \"x\"\nws ::= [ ]*";
  EXPECT_TRUE(takes(last, "  x"));
  EXPECT_FALSE(takes(last, "  "));
}

TEST(GrammarStates, WaitForTheirTrigger) {
  GrammarStates states(program_of("root ::= \"<t>\" [0-9]+ \"</t>\""),
                       {.words = {"<t>"}, .tokens = {}});
  EXPECT_TRUE(verdict(states, "any text <, < t>").is_text);
  EXPECT_TRUE(verdict(states, "any <<t>12</t>").is_text);
  EXPECT_FALSE(verdict(states, "any <t>12").is_text);
  EXPECT_TRUE(verdict(states, "any <tx").is_text);
  EXPECT_FALSE(verdict(states, "<t>12</t> more").is_prefix);
  EXPECT_THROW(GrammarStates(program_of("root ::= \"x\""), {.words = {"y"}, .tokens = {}}), Error);
  EXPECT_THROW(GrammarStates(program_of("root ::= \"x\""), {.words = {""}, .tokens = {}}), Error);
}

}  // namespace
}  // namespace gumbelspec::internal
