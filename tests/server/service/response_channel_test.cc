#include "apps/server/service/response_channel.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace gumbelspec::server {
namespace {

using State = ResponseChannel::State;
constexpr std::chrono::milliseconds kNow{0};
constexpr std::chrono::minutes kLong{1};

TEST(ResponseChannel, GivesEventsInTheirOrder) {
  ResponseChannel channel(100);
  EXPECT_EQ(channel.wait(kNow), State::waiting);
  EXPECT_TRUE(channel.write("a"));
  EXPECT_TRUE(channel.write("b"));
  EXPECT_EQ(channel.wait(kNow), State::events);
  EXPECT_EQ(channel.take(), "ab");
  EXPECT_EQ(channel.wait(kNow), State::waiting);
}

TEST(ResponseChannel, EndsOnlyWhenEverythingIsTaken) {
  ResponseChannel channel(100);
  EXPECT_TRUE(channel.write("a"));
  channel.end({.status = 200, .body = ""});
  EXPECT_EQ(channel.wait(kNow), State::events);
  EXPECT_EQ(channel.take(), "a");
  EXPECT_EQ(channel.wait(kNow), State::ended);
}

TEST(ResponseChannel, KeepsTheAnswer) {
  ResponseChannel channel(100);
  channel.end({.status = 400, .body = "{}"});
  ASSERT_EQ(channel.wait(kNow), State::ended);
  EXPECT_EQ(channel.answer().status, 400);
  EXPECT_EQ(channel.answer().body, "{}");
}

TEST(ResponseChannel, TakesNothingMoreThanItsBound) {
  ResponseChannel channel(3);
  EXPECT_TRUE(channel.write("ab"));
  EXPECT_FALSE(channel.write("cd"));
  // Events are lost, so none may follow.
  EXPECT_FALSE(channel.write("e"));
  EXPECT_EQ(channel.wait(kNow), State::too_slow);
}

TEST(ResponseChannel, TakesNothingForAClientThatHasGone) {
  ResponseChannel channel(100);
  channel.close();
  EXPECT_FALSE(channel.write("a"));
}

TEST(ResponseChannel, WakesTheConnection) {
  ResponseChannel channel(100);
  std::thread engine([&] {
    EXPECT_TRUE(channel.write("a"));
    AnswerSummary summary;
    summary.n_generated = 7;
    channel.finish(summary);
  });
  EXPECT_EQ(channel.wait(kLong), State::events);
  EXPECT_EQ(channel.wait_until_finished().n_generated, 7U);
  engine.join();
}

}  // namespace
}  // namespace gumbelspec::server
