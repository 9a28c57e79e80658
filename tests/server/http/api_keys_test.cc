#include "apps/server/http/api_keys.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gumbelspec::server {
namespace {

using ::testing::ElementsAre;

TEST(ApiKeys, WithoutKeysEverybodyMayCome) {
  EXPECT_TRUE(ApiKeys().accept(""));
  EXPECT_TRUE(ApiKeys({""}).accept("anything"));
}

TEST(ApiKeys, AcceptsEachOfThem) {
  const ApiKeys keys({"first", "second key"});
  EXPECT_TRUE(keys.accept("first"));
  EXPECT_TRUE(keys.accept("second key"));
}

TEST(ApiKeys, AcceptsNothingElse) {
  const ApiKeys keys({"secret"});
  for (const char* wrong : {"", "secre", "secret ", "secret\1", "Secret", "secretsecret", "x"}) {
    EXPECT_FALSE(keys.accept(wrong)) << wrong;
  }
  EXPECT_FALSE(keys.accept(std::string_view("secret\0", 7)));
}

TEST(ApiKeys, ComeBehindTheirSchemeHoweverItIsWritten) {
  for (const char* value :
       {"Bearer k y", "Bearer  k y", "bearer k y", "BEARER \t k y ", " Bearer k y"}) {
    EXPECT_EQ(key_of_authorization(value), "k y") << value;
  }
  for (const char* value : {"", "Bearer", "Bearer ", "Basic k", "Bearerk", "k", "Bear k"}) {
    EXPECT_EQ(key_of_authorization(value), "") << value;
  }
}

TEST(ApiKeys, AFileHasOnePerLine) {
  EXPECT_THAT(keys_of_lines("one\r\n\n  two\t\n# not one\nthree"),
              ElementsAre("one", "two", "three"));
}

}  // namespace
}  // namespace gumbelspec::server
