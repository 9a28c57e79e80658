// Patterns as automata. The oracle is the standard library's ECMAScript engine.
#include <gtest/gtest.h>

#include <random>
#include <regex>
#include <string>

#include "apps/structure/automaton.h"
#include "apps/structure/decimal.h"

namespace gumbelspec::structure {
namespace {

std::string random_pattern(std::mt19937& random, int depth) {
  static const char* const kItems[] = {"a",     "b",   "[ab]",  "[^a]", ".",
                                       "\\d",   "\\w", "\\s",   "\\W",  "\\S",
                                       "[a-c]", "\\.", "\\x61", "1",    "[\\d-]"};
  std::string out;
  for (unsigned n = random() % 4; n > 0; --n) {
    const unsigned kind = random() % 10;
    std::string item = kItems[random() % 15];
    if (kind < 3 && depth > 0) item = "(" + random_pattern(random, depth - 1) + ")";
    if (kind == 3) {
      out += random() % 2 == 0 ? "^" : "$";
      continue;
    }
    static const char* const kRepeats[] = {"",  "",    "",      "*",     "+",
                                           "?", "{2}", "{1,3}", "{0,1}", "{1,}"};
    out += item + kRepeats[random() % 10];
  }
  if (random() % 5 == 0) out += "|" + random_pattern(random, depth > 0 ? depth - 1 : 0);
  return out;
}

TEST(Automaton, FindsWhatTheStandardLibraryFinds) {
  std::mt19937 random(2);
  std::size_t n_found = 0;
  std::size_t n_texts = 0;
  for (int i = 0; i < 1500; ++i) {
    const std::string pattern = random_pattern(random, 2);
    const Automaton automaton = Automaton::that_holds(parse_pattern(pattern, "#"));
    const std::regex oracle(pattern, std::regex::ECMAScript);
    for (int k = 0; k < 20; ++k) {
      std::string text;
      for (unsigned n = random() % 6; n > 0; --n) text.push_back("abc1. -\n_"[random() % 9]);
      // libstdc++ lets ^ and $ match at line ends, too, which ECMA 262 does with a flag only.
      if (text.find('\n') != std::string::npos &&
          pattern.find_first_of("^$") != std::string::npos) {
        continue;
      }
      const bool expected = std::regex_search(text, oracle);
      ASSERT_EQ(automaton.takes(text), expected) << pattern << " in " << text;
      n_found += expected ? 1 : 0;
      ++n_texts;
      ASSERT_EQ(automaton.others().takes(text), !expected);
    }
  }
  EXPECT_GT(n_found, n_texts / 10);
  EXPECT_LT(n_found, n_texts - n_texts / 10);
}

TEST(Automaton, TakesCharactersAsEcma262MeansThem) {
  const auto finds = [](const char* pattern, const std::string& text) {
    return Automaton::that_holds(parse_pattern(pattern, "#")).takes(text);
  };
  EXPECT_TRUE(finds("^\\s$", "\xC2\xA0")) << "no-break space";
  EXPECT_TRUE(finds("^\\s$", "\xEF\xBB\xBF")) << "byte order mark";
  EXPECT_FALSE(finds("^\\w$", "\xC3\xA9"));
  EXPECT_FALSE(finds("^\\d$", "\xD9\xA3")) << "an Arabic digit";
  EXPECT_FALSE(finds("^.$", "\xE2\x80\xA8")) << "a line separator";
  EXPECT_TRUE(finds("^.$", "\xF0\x9F\x98\x80"));
  EXPECT_TRUE(finds("^\\uD83D\\uDE00$", "\xF0\x9F\x98\x80"));
  EXPECT_TRUE(finds("^\\u{1F600}$", "\xF0\x9F\x98\x80"));
  EXPECT_TRUE(finds("^[^]$", "\n"));
  EXPECT_FALSE(finds("[]", "a"));
  EXPECT_TRUE(finds("^\\cJ$", "\n"));
}

TEST(Decimal, IsExact) {
  EXPECT_EQ(Decimal::parse("-0.0").text(), "0");
  EXPECT_EQ(Decimal::parse("1.50e2").text(), "150");
  EXPECT_EQ(Decimal::parse("125e-4").text(), "0.0125");
  EXPECT_EQ(floor(Decimal::parse("-1.5")).text(), "-2");
  EXPECT_EQ(ceiling(Decimal::parse("-1.5")).text(), "-1");
  EXPECT_EQ(ceiling(Decimal::parse("99.1")).text(), "100");
  EXPECT_EQ(minus_one(Decimal::parse("0")).text(), "-1");
  EXPECT_EQ(minus_one(Decimal::parse("1000")).text(), "999");
  EXPECT_EQ(plus_one(Decimal::parse("-1")).text(), "0");
  EXPECT_LT(compare(Decimal::parse("-2"), Decimal::parse("1.5")), 0);
  EXPECT_FALSE(Decimal::try_parse("1e500").has_value());
}

}  // namespace
}  // namespace gumbelspec::structure
