// What grammars may take: steps, work per token, memory.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/llama/grammar_states_fixture.h"

namespace gumbelspec::internal {
namespace {

using ::testing::HasSubstr;

// FAULTS.md, S1: what ate all memory.
TEST(GrammarStates, AreBoundedBeforeTheyAreBuilt) {
  EXPECT_THAT(refusal("root ::= \"a\"{1,0}"), HasSubstr("at least 1 and at most 0 times"));
  EXPECT_THAT(refusal("root ::= \"a\"{2,1}"), HasSubstr("in line 1"));
  EXPECT_THAT(refusal("root ::= [a-z]{5,4}"), HasSubstr("at least 5 and at most 4"));
  EXPECT_THAT(refusal("root ::= \"a\"{900000000}"), HasSubstr("300000 steps"));
  EXPECT_THAT(refusal("root ::= (\"a\" \"b\"){0,99999999999}"), HasSubstr("300000 steps"));
  EXPECT_THAT(refusal("root ::= ((\"a\" \"b\"?){1000}){1000}"), HasSubstr("300000 steps"));
  EXPECT_THAT(refusal("root ::= (((((\"\"){99}){99}){99}){99}){99}"), HasSubstr("300000 steps"));
  EXPECT_THAT(refusal("root ::= \"a\"{99999999999999999999}"), HasSubstr("too large"));
  EXPECT_TRUE(takes("root ::= \"a\"{2500}", std::string(2500, 'a')));
  EXPECT_FALSE(takes("root ::= \"a\"{0,2500}", std::string(2501, 'a')))
      << "llama.cpp drops limits above 2,000";
}

// FAULTS.md, S2: what stopped every text; and its kind. Work is counted, not time: kMaxWork holds
// for each byte. llama.cpp's engine needs more memory than there is for all of them.
TEST(GrammarStates, AmbiguousGrammarsTakeBoundedWork) {
  const std::string grammars[] = {
      "root ::= ((\"a\"?){0,40}){0,40}",
      "root ::= ((((\"a\"?){0,9}){0,9}){0,9}){0,9}",
      "root ::= (\"a\"* \"a\"*)* ",
      "root ::= (\"a\" | \"a\"? \"a\"? | \"aa\")*",
      "root ::= (\"a\"{0,60} \"b\"?){0,60}",
      "root ::= x x x x x x x x\nx ::= y*\ny ::= \"a\" | \"aa\" | \"aaa\" | \"\"",
      "root ::= [a-z]* [a-z]* [a-z]* [a-z]* [a-z]*",
      "root ::= (a | b | c)*\na ::= \"a\" b?\nb ::= \"a\" c?\nc ::= \"a\" a?",
  };
  for (const std::string& gbnf : grammars) {
    GrammarStates states(program_of(gbnf));
    EXPECT_TRUE(verdict(states, std::string(100, 'a')).is_prefix) << gbnf;
    EXPECT_LT(states.n_bytes(), GrammarLimits{}.max_bytes) << gbnf;
  }
  // A text whose readings grow without end is ended, not the program.
  GrammarStates states(program_of("root ::= \"a\" root root | \"a\""), {}, {.max_work = 20'000});
  GrammarPlace* at = states.begin().get();
  std::size_t n = 0;
  try {
    for (; n < 100000; ++n) {
      const PlacePtr held = states.hold(at);
      states.begin_work();
      at = states.next(*held, 'a');
      ASSERT_NE(at, nullptr);
    }
    FAIL() << "all of it was read";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("can be read in"));
    EXPECT_GT(n, 50U);
  }
  EXPECT_TRUE(verdict(states, "aaa").is_text) << "other texts go on";
}

// Texts of it hold more with every character; without the bound one took half a GiB.
TEST(GrammarStates, WhatTextsHoldIsBounded) {
  const GrammarLimits limits{.max_bytes = std::size_t{1} << 20U, .max_held = std::size_t{2} << 20U};
  GrammarStates states(program_of("root ::= \"a\" root root | \"a\""), {}, limits);
  PlacePtr at = states.begin();
  std::size_t most = 0;
  try {
    for (int i = 0; i < 100'000; ++i) {
      states.begin_work();
      at = states.hold(states.next(*at, 'a'));
      most = std::max(most, states.n_bytes());
    }
    FAIL() << "all of it was read";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("MiB"));
  }
  EXPECT_LT(most, 8 * limits.max_held);
  at = nullptr;
  EXPECT_TRUE(verdict(states, "aaa").is_text) << "other texts go on";
}

TEST(GrammarStates, ListsAndStringsComeBackToTheSamePlace) {
  GrammarStates states(program_of(
      "root ::= \"[\" list \"]\"\nlist ::= item \",\" list | item\nitem ::= \"'\" char* \"'\"\n"
      "char ::= [^']"));
  const auto place = [&](const std::string& text) {
    GrammarPlace* at = states.begin().get();
    for (const char c : text) at = states.next(*at, static_cast<std::uint8_t>(c));
    return at;
  };
  EXPECT_EQ(place("['a"), place("['abc\xC3\xA9"));
  EXPECT_EQ(place("['a','b"), place("['a','b','c"));
  const std::size_t n = states.n_places();
  std::string text = "[";
  for (int i = 0; i < 1000; ++i) text += "'abc',";
  EXPECT_NE(place(text), nullptr);
  EXPECT_LT(states.n_places(), n + 10);
}

TEST(GrammarStates, ForgetPlacesThatNobodyHolds) {
  // Each depth is a place of its own.
  const GrammarLimits limits{.max_bytes = std::size_t{1} << 20U};
  GrammarStates states(program_of("root ::= \"(\" root \")\" | \"x\""), {}, limits);
  PlacePtr at = states.begin();
  const std::size_t depth = 30'000;
  for (std::size_t i = 0; i < depth; ++i) {
    states.begin_work();
    at = states.hold(states.next(*at, '('));
  }
  states.begin_work();
  at = states.hold(states.next(*at, 'x'));
  for (std::size_t i = 0; i < depth; ++i) {
    ASSERT_NE(at, nullptr) << i;
    ASSERT_FALSE(at->may_end) << i;
    states.begin_work();
    at = states.hold(states.next(*at, ')'));
  }
  ASSERT_NE(at, nullptr);
  EXPECT_TRUE(at->may_end);
  EXPECT_EQ(states.next(*at, ')'), nullptr);
  at = nullptr;
  for (int i = 0; i < 3; ++i) {  // other texts, of which nothing is held behind them
    EXPECT_FALSE(verdict(states, std::string(depth, '(')).is_text);
    EXPECT_LT(states.n_bytes(), 20 * limits.max_bytes) << "a text alone takes a dozen";
  }
}

}  // namespace
}  // namespace gumbelspec::internal
