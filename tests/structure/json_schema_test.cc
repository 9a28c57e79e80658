// What texts the grammars of schemas take. The values are told by arithmetic and by the standard;
// an independent validator reads many more (ajv/).
#include "apps/structure/json_schema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <string>
#include <utility>

#include "gumbelspec/error.h"
#include "src/llama/grammar_states.h"

namespace gumbelspec::structure {
namespace {

using internal::GrammarStates;
using internal::PlacePtr;
using ::testing::HasSubstr;
using ::testing::StartsWith;

class Texts {
 public:
  explicit Texts(const std::string& schema)
      : states_(internal::make_program(internal::parse_gbnf(
            grammar_of_schema(schema), [](std::string_view) { return std::nullopt; }))) {}
  [[nodiscard]] bool take(const std::string& text) {
    PlacePtr at = states_.begin();
    for (const char c : text) {
      states_.begin_work();
      at = states_.hold(states_.next(*at, static_cast<std::uint8_t>(c)));
      if (at == nullptr) return false;
    }
    return at->may_end;
  }

 private:
  GrammarStates states_;
};

bool takes(const std::string& schema, const std::string& text) { return Texts(schema).take(text); }

std::string refusal(const std::string& schema) {
  try {
    (void)grammar_of_schema(schema);
    return "accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_option);
    EXPECT_EQ(error.field(), "json_schema");
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
    return error.what();
  }
}

// FAULTS.md, S3, and its kind: every integer near the limits.
TEST(JsonSchema, IntegersAreWithinTheirLimits) {
  const std::int64_t limits[] = {0,    1,    -1,   9,     10,    99,      100,    101,
                                 999,  1000, 1024, 1900,  2000,  10000,   -10,    -99,
                                 -100, -101, -999, -1000, 12345, 1000000, -12345, -1000000};
  for (const std::int64_t limit : limits) {
    const std::string number = std::to_string(limit);
    Texts minimum(R"({"type": "integer", "minimum": )" + number + "}");
    Texts maximum(R"({"type": "integer", "maximum": )" + number + "}");
    Texts above(R"({"type": "integer", "exclusiveMinimum": )" + number + "}");
    Texts below(R"({"type": "integer", "exclusiveMaximum": )" + number + "}");
    Texts both(R"({"type": "integer", "minimum": )" + number + R"(, "exclusiveMinimum": )" +
               std::to_string(limit + 2) + R"(, "maximum": )" + std::to_string(limit + 50) + "}");
    for (const std::int64_t base : {limit, std::int64_t{0}, limit * 10, limit / 10, -limit}) {
      for (std::int64_t i = base - 30; i <= base + 60; ++i) {
        const std::string text = std::to_string(i);
        ASSERT_EQ(minimum.take(text), i >= limit) << text << " minimum " << number;
        ASSERT_EQ(maximum.take(text), i <= limit) << text << " maximum " << number;
        ASSERT_EQ(above.take(text), i > limit) << text << " exclusiveMinimum " << number;
        ASSERT_EQ(below.take(text), i < limit) << text << " exclusiveMaximum " << number;
        ASSERT_EQ(both.take(text), i > limit + 2 && i <= limit + 50) << text << " " << number;
      }
    }
    for (const char* text : {"-0", "-00", "00", "01", "1.0", "1e2", "", "-", "+1"}) {
      EXPECT_FALSE(minimum.take(text) || maximum.take(text)) << text;
    }
  }
}

TEST(JsonSchema, IntegersHaveLimitsOfAnySize) {
  Texts least(R"({"type": "integer", "minimum": 9007199254740991})");
  EXPECT_TRUE(least.take("9007199254740991"));
  EXPECT_FALSE(least.take("9007199254740990"));
  Texts time(R"({"type": "integer", "minimum": 1700000000000000})");
  EXPECT_TRUE(time.take("1700000000000001"));
  EXPECT_FALSE(time.take("1699999999999999"));
  Texts most(R"({"type": "integer", "maximum": -9007199254740991})");
  EXPECT_TRUE(most.take("-9007199254740991"));
  EXPECT_FALSE(most.take("-9007199254740990"));
  Texts all(R"({"type": "integer", "minimum": 18446744073709551614,
                "maximum": 18446744073709551615})");
  EXPECT_TRUE(all.take("18446744073709551615"));
  EXPECT_FALSE(all.take("18446744073709551616"));
  EXPECT_TRUE(takes(R"({"type": "integer", "maximum": 1e300})", "5"));
  EXPECT_TRUE(takes(R"({"type": "integer", "minimum": 2.5, "maximum": 3.5})", "3"));
  EXPECT_FALSE(takes(R"({"type": "integer", "minimum": 2.5, "maximum": 3.5})", "2"));
}

// FAULTS.md, S5: a float in [0, 1] came out as 5.
TEST(JsonSchema, NumbersAreWithinTheirLimits) {
  for (const auto& [low, high] :
       {std::pair("0", "1"), std::pair("-2.5", "-0.125"), std::pair("-0.5", "12.25"),
        std::pair("99.99", "100.01"), std::pair("0.001", "0.01"), std::pair("-10", "10")}) {
    Texts closed(std::string(R"({"type": "number", "minimum": )") + low + R"(, "maximum": )" +
                 high + "}");
    Texts open(std::string(R"({"type": "number", "exclusiveMinimum": )") + low +
               R"(, "exclusiveMaximum": )" + high + "}");
    const double from = std::strtod(low, nullptr);
    const double to = std::strtod(high, nullptr);
    for (int i = -13000; i <= 13000; ++i) {
      for (const int scale : {1, 100, 1000}) {
        std::string text = i < 0 ? "-" : "";
        text += std::to_string(std::abs(i) / scale);
        if (scale > 1) text += "." + std::to_string(std::abs(i) % scale + scale).substr(1);
        const double value = std::strtod(text.c_str(), nullptr);
        if (text == "-0" || value < from - 3 || value > to + 3) continue;
        ASSERT_EQ(closed.take(text), value >= from && value <= to) << text << " " << low;
        ASSERT_EQ(open.take(text), value > from && value < to) << text << " " << low;
      }
    }
  }
  EXPECT_FALSE(takes(R"({"type": "number", "minimum": 0})", "-0.1"));
  EXPECT_TRUE(takes(R"({"type": "number"})", "-1.5e-7"));
}

TEST(JsonSchema, MultiplesAreMultiples) {
  for (const int factor : {1, 2, 3, 5, 7, 10, 12, 100, 250, 1000}) {
    Texts texts(R"({"type": "integer", "multipleOf": )" + std::to_string(factor) + "}");
    for (int i = -2100; i <= 2100; ++i) {
      ASSERT_EQ(texts.take(std::to_string(i)), i % factor == 0) << i << " of " << factor;
    }
  }
  Texts cents(R"({"type": "number", "multipleOf": 0.01, "minimum": 1})");
  EXPECT_TRUE(cents.take("1.25"));
  EXPECT_TRUE(cents.take("7"));
  EXPECT_FALSE(cents.take("1.255"));
  Texts quarters(R"({"type": "number", "multipleOf": 0.25})");
  EXPECT_TRUE(quarters.take("1.5"));
  EXPECT_FALSE(quarters.take("1.6"));
  EXPECT_TRUE(takes(R"({"type": "integer", "multipleOf": 1000000})", "123000000"));
  EXPECT_THAT(refusal(R"({"type": "integer", "multipleOf": 123457})"),
              StartsWith("json_schema at #/multipleOf cannot be followed"));
}

// FAULTS.md, S4.
TEST(JsonSchema, PatternsAreOfTheTextNotOfItsJson) {
  EXPECT_TRUE(takes(R"({"type": "string", "pattern": "^\\\\$"})", R"("\\")"));
  EXPECT_FALSE(takes(R"({"type": "string", "pattern": "^\\\\$"})", "\"\\\""));
  EXPECT_TRUE(takes(R"({"type": "string", "pattern": "^\"$"})", R"("\"")"));
  EXPECT_FALSE(takes(R"({"type": "string", "pattern": "^\"$"})", R"(""")"));
  EXPECT_TRUE(takes(R"({"type": "string", "pattern": "^a\\nb$"})", R"("a\nb")"));
  EXPECT_FALSE(takes(R"({"type": "string", "pattern": "^a\\nb$"})", "\"a\nb\""));
  EXPECT_TRUE(takes(R"({"type": "string", "pattern": "^\\t$"})", R"("\t")"));
  EXPECT_TRUE(takes(R"({"type": "string", "pattern": "^[^a]$"})", R"("\n")"));
  EXPECT_FALSE(takes(R"({"type": "string", "pattern": "^[^a]$"})", "\"\n\""));
  EXPECT_TRUE(takes(R"({"type": "string", "pattern": "^\\u0001$"})", R"("\u0001")"));
  Texts accents("{\"type\": \"string\", \"pattern\": \"^\xC3\xA9{1,3}$\"}");
  EXPECT_TRUE(accents.take("\"\xC3\xA9\xC3\xA9\""));
  EXPECT_FALSE(accents.take("\"\xC3\""));
  EXPECT_FALSE(accents.take("\"\xC3\xA9\xA9\""));
  EXPECT_TRUE(takes(R"({"pattern": "b", "type": "string"})", R"("abc")")) << "not anchored";
  EXPECT_FALSE(takes(R"({"pattern": "b", "type": "string"})", R"("ac")"));
}

TEST(JsonSchema, PatternsMeetLengthsAndLists) {
  Texts texts(R"({"type": "string", "pattern": "^(ab)*$", "minLength": 3, "maxLength": 5})");
  EXPECT_TRUE(texts.take(R"("abab")"));
  EXPECT_FALSE(texts.take(R"("ab")"));
  EXPECT_FALSE(texts.take(R"("ababab")"));
  Texts list(R"({"pattern": "^a", "enum": ["ab", "ba", "a", 7]})");
  EXPECT_TRUE(list.take(R"("ab")"));
  EXPECT_TRUE(list.take("7")) << "a pattern says nothing of numbers";
  EXPECT_FALSE(list.take(R"("ba")"));
  EXPECT_TRUE(takes("{\"type\": \"string\", \"maxLength\": 1}", "\"\xF0\x9F\x98\x80\""));
  EXPECT_TRUE(takes(R"({"type": "string", "maxLength": 1})", R"("\ud83d\ude00")"))
      << "one character in two escapes";
  EXPECT_FALSE(takes(R"({"type": "string", "maxLength": 1})", R"("\ud83d")"));
}

// FAULTS.md, S5: keywords beside others, references, booleans.
TEST(JsonSchema, KeywordsHoldTogether) {
  EXPECT_FALSE(
      takes(R"({"$ref": "#/$defs/a", "maximum": 5, "$defs": {"a": {"type": "integer"}}})", "6"));
  EXPECT_FALSE(takes(R"({"anyOf": [{"type": "integer"}, {"type": "null"}], "maximum": 5})", "6"));
  Texts all(R"({"allOf": [{"type": "string", "minLength": 2}, {"maxLength": 3}]})");
  EXPECT_TRUE(all.take(R"("abc")"));
  EXPECT_FALSE(all.take(R"("abcd")"));
  EXPECT_FALSE(all.take("{ }"));
  Texts list(R"({"type": "array", "items": {"$ref": "#"}, "maxItems": 2})");
  EXPECT_TRUE(list.take("[[], [[]]]"));
  EXPECT_FALSE(list.take("[[], [], []]"));
  EXPECT_TRUE(takes(R"({"$ref": "#/$defs/a~1b~0c", "$defs": {"a/b~c": {"const": 1}}})", "1"));
  EXPECT_TRUE(
      takes(R"({"properties": {"a": true, "b": false}, "type": "object"})", R"({"a": [1]})"));
  EXPECT_FALSE(
      takes(R"({"properties": {"a": true, "b": false}, "type": "object"})", R"({"b": 1})"));
  Texts named(R"({"type": "object", "properties": {"a": {"const": 1}}, "required": ["b"]})");
  EXPECT_TRUE(named.take(R"({"a": 1, "b": null})"));
  EXPECT_FALSE(named.take(R"({"a": 1})"));
  EXPECT_FALSE(named.take(R"({"b": 1, "a": 2})")) << "no other member is called like one listed";
  Texts patterns(R"({"type": "object", "patternProperties": {"^n": {"type": "integer"}},
                     "additionalProperties": {"type": "string"}})");
  EXPECT_TRUE(patterns.take(R"({"n1": 1, "x": "n"})"));
  EXPECT_FALSE(patterns.take(R"({"n1": "1"})"));
  EXPECT_FALSE(patterns.take(R"({"x": 1})"));
  Texts count(R"({"type": "object", "minProperties": 2, "additionalProperties": false,
                  "properties": {"a": {"const": 1}, "b": {"const": 1}, "c": {"const": 1}}})");
  EXPECT_TRUE(count.take(R"({"a": 1, "c": 1})"));
  EXPECT_FALSE(count.take(R"({"c": 1})"));
  Texts depends(R"({"type": "object", "dependentRequired": {"a": ["b"]}, "properties":
                    {"a": {"const": 1}, "b": {"const": 1}}, "additionalProperties": false})");
  EXPECT_TRUE(depends.take(R"({"b": 1})"));
  EXPECT_FALSE(depends.take(R"({"a": 1})"));
  Texts unique(R"({"type": "array", "uniqueItems": true, "items": {"enum": ["a", "b"]}})");
  EXPECT_TRUE(unique.take(R"(["a", "b"])"));
  EXPECT_FALSE(unique.take(R"(["a", "a"])"));
  Texts contains(R"({"type": "array", "contains": {"const": 7}, "items": {"type": "integer"}})");
  EXPECT_TRUE(contains.take("[7, 1]"));
  EXPECT_FALSE(contains.take("[1, 2]"));
}

TEST(JsonSchema, WhatIsNotFollowedIsRefusedByPlaceAndKeyword) {
  for (const char* keyword : {"if", "then", "unevaluatedProperties", "unevaluatedItems",
                              "$dynamicRef", "maxContains", "nullable", "maxLenght", "id"}) {
    EXPECT_THAT(refusal(std::string(R"({"properties": {"a/b": {")") + keyword + "\": {}}}}"),
                StartsWith("json_schema at #/properties/a~1b has the keyword \"" +
                           std::string(keyword) + "\", which is not supported"));
  }
  EXPECT_THAT(refusal(R"({"items": {"format": "iban"}})"),
              StartsWith("json_schema at #/items/format is the format \"iban\""));
  EXPECT_THAT(refusal(R"({"type": "integer", "format": "iban"})"), HasSubstr("#/format"))
      << "not of strings either";
  EXPECT_THAT(refusal(R"({"properties": {"a": {"not": {"const": 1}}}})"),
              StartsWith("json_schema at #/properties/a/not is not what \"not\" takes"));
  EXPECT_THAT(refusal(R"({"$ref": "#/$defs/a/items", "$defs": {"a": {"$id": "x", "items": {}}}})"),
              HasSubstr("below an \"$id\" of its own"));
  EXPECT_THAT(refusal(R"({"minimum": "5"})"), StartsWith("json_schema at #/minimum is not what"));
  EXPECT_THAT(refusal(R"({"exclusiveMinimum": true})"), HasSubstr("#/exclusiveMinimum"));
  EXPECT_THAT(refusal(R"({"oneOf": [{"minimum": 1}, {"maximum": 5}]})"),
              HasSubstr("#/oneOf cannot be followed: a value may fit both 0 and 1"));
  EXPECT_THAT(refusal(R"({"oneOf": [{"type": "string"}, true]})"),
              HasSubstr("#/oneOf cannot be followed: a value may fit both 0 and 1"));
  EXPECT_THAT(refusal(R"({"uniqueItems": true})"), HasSubstr("#/uniqueItems"));
  EXPECT_THAT(refusal(R"({"$ref": "http://x/y"})"), HasSubstr("only references that begin with #"));
  EXPECT_THAT(refusal(R"({"$ref": "#"})"), HasSubstr("refers to itself"));
  for (const char* pattern : {"(?=a)", "(?<!a)", "^a(?!b)", "(^(?=a))", "^(?=a)*", "\\\\b",
                              "(a)\\\\1", "\\\\p{L}", "a**", "[z-a]", "(", "a{2,1}", "\\\\q"}) {
    EXPECT_THAT(refusal(std::string(R"({"pattern": ")") + pattern + "\"}"),
                StartsWith("json_schema at #/pattern cannot be followed: the pattern"))
        << pattern;
  }
  EXPECT_THAT(refusal(R"({"type": "string", "pattern": "(a|b)*a(a|b){20}$"})"),
              StartsWith("json_schema at #/pattern has a pattern that needs more than"));
}

// What stands right behind the first ^ is ECMA's; Zod writes e-mail addresses so, Pydantic
// decimals.
TEST(JsonSchema, PatternsLookAheadFromTheirBeginning) {
  Texts password(R"({"type": "string", "pattern": "^(?=.*[A-Z])(?=.*\\d)(?!.*\\s).{4,6}$"})");
  EXPECT_TRUE(password.take(R"("aB3d")"));
  for (const char* text : {R"("ab3d")", R"("aBcd")", R"("aB 3d")", R"("aB3")", R"("aB3defg")"}) {
    EXPECT_FALSE(password.take(text)) << text;
  }
  Texts mail(R"({"type": "string", "format": "email", "pattern":
      "^(?!\\.)(?!.*\\.\\.)([A-Za-z0-9_'+\\-\\.]*)[A-Za-z0-9_+-]@([A-Za-z0-9][A-Za-z0-9\\-]*\\.)+[A-Za-z]{2,}$"})");
  EXPECT_TRUE(mail.take(R"("a.b@c.de")"));
  EXPECT_FALSE(mail.take(R"(".a@c.de")"));
  EXPECT_FALSE(mail.take(R"("a..b@c.de")"));
  Texts decimal(R"({"type": "string", "pattern": "^(?!^[-+.]*$)[+-]?0*\\d*\\.?\\d*$"})");
  EXPECT_TRUE(decimal.take(R"("-12.5")"));
  EXPECT_FALSE(decimal.take(R"("-.")"));
  Texts either(R"({"type": "string", "pattern": "^(?!b)[abc]$|^(?=c)c+$|d"})");
  EXPECT_TRUE(either.take(R"("a")"));
  EXPECT_TRUE(either.take(R"("cc")"));
  EXPECT_TRUE(either.take(R"("bd")"));
  EXPECT_FALSE(either.take(R"("b")"));
}

// What OpenAPI, Pydantic and Zod write besides.
TEST(JsonSchema, FormatsOfNumbersAndWhatNeverFitsAreFollowed) {
  Texts byte(R"({"type": "number", "format": "uint8", "minimum": 200})");
  EXPECT_TRUE(byte.take("255"));
  EXPECT_FALSE(byte.take("256"));
  EXPECT_FALSE(byte.take("200.5"));
  EXPECT_FALSE(takes(R"({"format": "int64", "enum": [1.5, 1]})", "1.5"));
  EXPECT_TRUE(takes(R"({"type": "number", "format": "double"})", "0.5"));
  EXPECT_TRUE(takes(R"({"format": "int32"})", R"("any text")")) << "it is of numbers";
  EXPECT_TRUE(takes(R"({"type": "string", "format": "base64"})", R"("aGk=")"));
  EXPECT_FALSE(takes(R"({"type": "string", "format": "base64"})", R"("aG=")"));
  Texts never(R"({"type": "object", "properties": {"a": {"not": {}}, "b": {"not": false}},
                  "additionalProperties": {"not": true}})");
  EXPECT_TRUE(never.take(R"({"b": 1})"));
  EXPECT_FALSE(never.take(R"({"a": 1})"));
  EXPECT_FALSE(never.take(R"({"c": 1})"));
  EXPECT_THAT(refusal(R"({"not": {}})"), HasSubstr("no text that ends"));
  EXPECT_TRUE(takes(R"({"discriminator": {"propertyName": "k", "mapping": {}}, "oneOf": [
      {"type": "object", "properties": {"k": {"const": "a"}}, "required": ["k"]},
      {"type": "object", "properties": {"k": {"const": "b"}}, "required": ["k"]}]})",
                    R"({"k": "b"})"));
}

TEST(JsonSchema, EqualValuesAndNamesOfOtherTypesAreKept) {
  Texts unique(R"({"type": "array", "uniqueItems": true,
                   "items": {"anyOf": [{"const": 1}, {"const": 1.0}, {"const": {"a": 1, "b": 2}},
                                       {"const": {"b": 2, "a": 1}}]}})");
  EXPECT_TRUE(unique.take(R"([1, {"a": 1, "b": 2}])"));
  EXPECT_FALSE(unique.take("[1, 1.0]"));
  EXPECT_FALSE(unique.take(R"([{"a": 1, "b": 2}, {"b": 2, "a": 1}])"));
  Texts nameless(R"({"type": "object", "propertyNames": {"type": "integer"}})");
  EXPECT_TRUE(nameless.take("{ }"));
  EXPECT_FALSE(nameless.take(R"({"a": 1})"));
  Texts anchor(R"({"$ref": "#x", "properties": {"const": {"$anchor": "x", "type": "null"}},
                   "enum": [null, {"$anchor": "x"}]})");
  EXPECT_TRUE(anchor.take("null")) << "a value is no schema";
}

// FAULTS.md, S2: schemas that stopped every text. GrammarStates counts their work and would throw.
TEST(JsonSchema, AmbiguousPatternsAndLongListsTakeBoundedWork) {
  Texts pattern(R"({"type": "string", "pattern": "^((a?){40}){40}$"})");
  EXPECT_TRUE(pattern.take('"' + std::string(1600, 'a') + '"'));
  EXPECT_FALSE(pattern.take('"' + std::string(1601, 'a') + '"'));
  std::string list = R"({"enum": [")";
  for (int i = 0; i < 1500; ++i) list += "value " + std::to_string(i * 7919 % 100003) + R"(", ")";
  Texts texts(list + R"("]})");
  EXPECT_TRUE(texts.take(R"("value 7919")"));
  EXPECT_TRUE(texts.take(R"("")"));
  EXPECT_FALSE(texts.take(R"("value 3")"));
}

// FAULTS.md, S1.
TEST(JsonSchema, ContradictionsAreRefused) {
  for (const char* schema :
       {R"({"type": "string", "minLength": 3, "maxLength": 2})",
        R"({"type": "array", "minItems": 3, "maxItems": 2})",
        R"({"type": "integer", "minimum": 3, "maximum": 2})",
        R"({"type": "number", "minimum": 1, "exclusiveMaximum": 1})",
        R"({"allOf": [{"type": "string"}, {"type": "null"}]})",
        R"({"enum": [1], "type": "string"})",
        R"({"type": "object", "required": ["a"], "properties": {"a": false}})",
        R"({"type": "string", "pattern": "^a$", "minLength": 2})",
        R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})"}) {
    EXPECT_THAT(refusal(schema), HasSubstr("no text that ends fits all of it")) << schema;
  }
  EXPECT_THAT(refusal(R"({"type": "string", "pattern": "^a{5,2}$"})"), HasSubstr("#/pattern"));
  EXPECT_THAT(refusal("false"), HasSubstr("no text that ends"));
}

TEST(JsonSchema, ValuesOfAnyTypeHaveNoLimits) {
  Texts any("{}");
  for (const char* text : {"null", "true", "-1.5e3", R"("a\u00e9\n")", "[]", R"([1, {"a": []}])",
                           "{ }", R"({"a": 1, "a": 2})"}) {
    EXPECT_TRUE(any.take(text)) << text;
  }
  for (const char* text : {"nul", "01", R"("\x")", "[1,]", "{1: 2}", "\"\t\""}) {
    EXPECT_FALSE(any.take(text)) << text;
  }
}

}  // namespace
}  // namespace gumbelspec::structure
