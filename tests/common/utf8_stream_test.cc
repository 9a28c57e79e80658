#include "apps/common/utf8_stream.h"

#include <gtest/gtest.h>

#include <string>

namespace gumbelspec::apps {
namespace {

const std::string kReplacement = "\xEF\xBF\xBD";
// One, two, three and four bytes per character.
const std::string kMixed = "a\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";

TEST(Utf8Stream, HoldsBackACharacterUntilItIsComplete) {
  Utf8Stream stream;
  EXPECT_EQ(stream.append("x\xE2"), "x");
  EXPECT_EQ(stream.append("\x82"), "");
  EXPECT_EQ(stream.append("\xAC!"), "\xE2\x82\xAC!");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, GivesTheSameTextHoweverItIsCutUp) {
  for (std::size_t a = 0; a <= kMixed.size(); ++a) {
    for (std::size_t b = a; b <= kMixed.size(); ++b) {
      Utf8Stream stream;
      std::string text = stream.append(kMixed.substr(0, a));
      text += stream.append(kMixed.substr(a, b - a));
      text += stream.append(kMixed.substr(b));
      EXPECT_EQ(text + stream.finish(), kMixed);
    }
  }
}

TEST(Utf8Stream, ReplacesAnUnfinishedCharacterAtTheEnd) {
  Utf8Stream stream;
  EXPECT_EQ(stream.append("x\xF0\x9F\x98"), "x");
  EXPECT_EQ(stream.finish(), kReplacement);
  EXPECT_EQ(stream.finish(), "");
}

TEST(Utf8Stream, ReplacesIllFormedBytesAndKeepsWhatFollows) {
  const auto streamed = [](const std::string& bytes) {
    Utf8Stream stream;
    const std::string text = stream.append(bytes);
    return text + stream.finish();
  };
  EXPECT_EQ(streamed("a\xFFz"), "a" + kReplacement + "z");
  EXPECT_EQ(streamed("a\x80z"), "a" + kReplacement + "z");
  // Begun, then broken off by something else.
  EXPECT_EQ(streamed("\xE2\x82z"), kReplacement + "z");
  // Overlong, a surrogate, above U+10FFFF: no first part of them is well-formed.
  EXPECT_EQ(streamed("\xC0\xAF"), kReplacement + kReplacement);
  EXPECT_EQ(streamed("\xED\xA0\x80"), kReplacement + kReplacement + kReplacement);
  EXPECT_EQ(streamed("\xF4\x90\x80\x80"),
            kReplacement + kReplacement + kReplacement + kReplacement);
}

TEST(Utf8Stream, EverythingItGivesOutIsUtf8) {
  Utf8Stream stream;
  for (int first = 0; first < 256; ++first) {
    for (int second = 0; second < 256; ++second) {
      const std::string text =
          stream.append(std::string{static_cast<char>(first), static_cast<char>(second), 'x'});
      EXPECT_FALSE(first_invalid_utf8(text).has_value());
    }
  }
}

TEST(FirstInvalidUtf8, IsTheOffsetOfTheFirstBadByte) {
  EXPECT_FALSE(first_invalid_utf8("").has_value());
  EXPECT_FALSE(first_invalid_utf8(kMixed).has_value());
  EXPECT_EQ(first_invalid_utf8("ab\xFF"), 2U);
  EXPECT_EQ(first_invalid_utf8("ab\xC3"), 2U);
}

TEST(Visible, IsOneLineWithoutControlCharacters) {
  EXPECT_EQ(visible("a\nb\tc"), "a\\nb\\tc");
  EXPECT_EQ(visible(std::string("\0\x1B\x7F\xFF", 4)), "\\x00\\x1B\\x7F\\xFF");
  EXPECT_EQ(visible(kMixed), kMixed);
  EXPECT_EQ(in_quotes("x"), "\"x\"");
}

}  // namespace
}  // namespace gumbelspec::apps
