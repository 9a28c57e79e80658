// What can be given out of a text, and when.
#include "apps/server/api/text_stream.h"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

namespace gumbelspec::server::testing {
namespace {

TEST(TextStream, GivesTextAsItComes) {
  TextStream stream({});
  EXPECT_TRUE(stream.append("ab"));
  EXPECT_EQ(stream.take(), "ab");
  EXPECT_TRUE(stream.append("c"));
  EXPECT_EQ(stream.take(), "c");
  EXPECT_EQ(stream.take(), "");
}

TEST(TextStream, HoldsPartsOfCharactersBack) {
  TextStream stream({});
  (void)stream.append("a\xE2\x82");
  EXPECT_EQ(stream.take(), "a");
  (void)stream.append("\xAC!");
  EXPECT_EQ(stream.take(), "\xE2\x82\xAC!");
  EXPECT_EQ(stream.n_characters(), 3U);
}

TEST(TextStream, ReplacesACharacterThatIsNeverCompleted) {
  TextStream stream({});
  (void)stream.append("a\xE2\x82");
  stream.finish();
  EXPECT_EQ(stream.take(), "a\xEF\xBF\xBD");
}

TEST(TextStream, EndsBeforeAStopString) {
  TextStream stream({"STOP"});
  EXPECT_FALSE(stream.append("one STOP two"));
  EXPECT_TRUE(stream.is_stopped());
  EXPECT_EQ(stream.take(), "one ");
}

TEST(TextStream, HoldsAPossibleStopStringBack) {
  TextStream stream({"STOP"});
  EXPECT_TRUE(stream.append("one ST"));
  EXPECT_EQ(stream.take(), "one ");
  EXPECT_TRUE(stream.append("ONE"));
  EXPECT_EQ(stream.take(), "STONE");
  EXPECT_TRUE(stream.append(" S"));
  EXPECT_EQ(stream.take(), " ");
  EXPECT_TRUE(stream.append("TO"));
  EXPECT_FALSE(stream.append("P"));
  EXPECT_EQ(stream.take(), "");
}

TEST(TextStream, GivesOutWhatOnlyLookedLikeAStopString) {
  TextStream stream({"STOP"});
  (void)stream.append("ST");
  stream.finish();
  EXPECT_EQ(stream.take(), "ST");
}

TEST(TextStream, FindsStopStringsThatBeginWithinThemselves) {
  TextStream stream({"aab"});
  EXPECT_TRUE(stream.append("aa"));
  EXPECT_EQ(stream.take(), "");
  EXPECT_TRUE(stream.append("a"));
  EXPECT_EQ(stream.take(), "a");
  EXPECT_FALSE(stream.append("b"));
  EXPECT_EQ(stream.take(), "");
}

TEST(TextStream, EndsAtTheFirstOfSeveralStopStrings) {
  TextStream stream({"two", "one"});
  EXPECT_FALSE(stream.append("zero one two"));
  EXPECT_EQ(stream.take(), "zero ");
}

TEST(TextStream, FindsStopStringsAcrossSplitCharacters) {
  TextStream stream({"\xE2\x82\xAC"});
  EXPECT_TRUE(stream.append("5 \xE2"));
  EXPECT_FALSE(stream.append("\x82\xAC"));
  EXPECT_EQ(stream.take(), "5 ");
}

// The oracle looks at the whole text.
TEST(TextStream, GivesTheSameTextHoweverItIsCutUp) {
  std::mt19937 random(1);
  std::size_t n_stopped = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 20; ++i) text += "abc"[random() % 3];
    const std::vector<std::string> stops = {text.substr(random() % 18, 2 + random() % 3), "cab"};
    std::size_t first = std::string::npos;
    // Several stop strings in one token: the earliest; over several tokens: the one that is
    // complete first. With tokens of one letter there is one answer.
    std::size_t end = text.size();
    for (std::size_t n = 1; n <= text.size() && first == std::string::npos; ++n) {
      for (const std::string& stop : stops) {
        first = std::min(first, text.substr(0, n).find(stop));
      }
      end = n;
    }
    TextStream stream(stops);
    std::string got;
    for (std::size_t i = 0; i < end; ++i) {
      const bool goes_on = stream.append(text.substr(i, 1));
      if (random() % 2 == 0) got += stream.take();
      ASSERT_EQ(goes_on, first == std::string::npos || i + 1 < end);
    }
    stream.finish();
    got += stream.take();
    ASSERT_EQ(got, text.substr(0, first));
    n_stopped += first != std::string::npos ? 1 : 0;
  }
  EXPECT_GT(n_stopped, 1000U);
}

}  // namespace
}  // namespace gumbelspec::server::testing
