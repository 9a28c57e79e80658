// What clients do with their connections.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/http/http_fixture.h"

namespace gumbelspec::server {
namespace {

using testing::events_of;
using ::testing::HasSubstr;
using testing::HttpTest;
using testing::Json;
using testing::RawClient;
using ::testing::StartsWith;

constexpr const char* kCompletions = "/v1/completions";
constexpr const char* kJson = "application/json";
constexpr int kEndless = 1'000'000;

TEST_F(HttpTest, AnswersSeveralRequestsOnOneConnection) {
  listen();
  serve();
  auto connection = client();
  connection.set_keep_alive(true);
  for (const char* letter : {"a", "b", "c"}) {
    const auto result = connection.Post(kCompletions, body(letter, 1), kJson);
    ASSERT_TRUE(result);
    EXPECT_EQ(Json::parse(result->body)["choices"][0]["text"], letter);
  }
}

// HTTP/1.0 knows no chunks.
TEST_F(HttpTest, StreamsToOldClientsUntilTheConnectionEnds) {
  listen();
  serve();
  const std::string text = body("k", 3, true);
  RawClient old(port());
  old.send(std::string("POST ") + kCompletions + " HTTP/1.0\r\nHost: localhost\r\nContent-Type: " +
           kJson + "\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text);
  const std::string answer = old.read_until("no such text");
  const std::size_t begin = answer.find("\r\n\r\n");
  ASSERT_NE(begin, std::string::npos) << answer;
  EXPECT_EQ(answer.substr(0, begin).find("chunked"), std::string::npos) << answer;
  EXPECT_EQ(answer.compare(begin + 4, 6, "data: "), 0) << answer;
  EXPECT_EQ(events_of(answer.substr(begin + 4)).back(), "[DONE]");
}

// What comes behind a request before its answer is lost (docs/server.md), and nothing else.
TEST_F(HttpTest, AnswersTheFirstOfPipelinedRequests) {
  listen();
  serve();
  RawClient pipelining(port());
  std::string all;
  const std::string text = body("a", 2);
  for (int i = 0; i < 3; ++i) {
    all += std::string("POST ") + kCompletions +
           " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + kJson +
           "\r\nContent-Length: " + std::to_string(text.size()) + "\r\n\r\n" + text;
  }
  pipelining.send(all);
  EXPECT_THAT(pipelining.read_until("\"ab\""), StartsWith("HTTP/1.1 200"));
  EXPECT_EQ(client().Post(kCompletions, body("a", 1), kJson)->status, 200);
}

// TCP does not tell whoever only sends no more from whoever has gone.
TEST_F(HttpTest, AClientThatSendsNoMoreIsTakenForGone) {
  control_->hold();
  listen();
  serve();
  RawClient half(port());
  half.post(kCompletions, body("a", 2'000'000'000));
  control_->wait_for_rounds(1);
  half.end_sending();
  control_->release();
  control_->wait_for_ends(1);
  while (log().empty()) std::this_thread::yield();
  EXPECT_THAT(log().front(), HasSubstr(" 499 "));
}

TEST_F(HttpTest, RefusesWhatIsNotHttp) {
  listen();
  RawClient raw(port());
  raw.send("nonsense\r\n\r\n");
  EXPECT_THAT(raw.read_until("}"), AllOf(StartsWith("HTTP/1.1 400"), HasSubstr("\"error\"")));
}

// That it takes no more than one round is the scheduler's test.
TEST_F(HttpTest, ADisconnectedStreamFreesItsSlot) {
  control_->hold();
  listen();
  serve({.n_active = 1, .n_waiting = 0});
  RawClient raw(port());
  raw.post(kCompletions, body("a", kEndless, true));
  control_->allow(1);
  raw.read_until("data: ");
  control_->wait_for_rounds(2);
  raw.close();
  control_->release();
  control_->wait_for_ends(1);
  ASSERT_TRUE(service_->scheduler().wait_until_idle(Clock::now() + std::chrono::minutes(1)));
  EXPECT_EQ(client().Post(kCompletions, body("a", 1), kJson)->status, 200);
}

TEST_F(HttpTest, ADisconnectedRequestFreesItsSlot) {
  listen();
  serve({.n_active = 1, .n_waiting = 0});
  control_->hold();
  {
    RawClient raw(port());
    raw.post(kCompletions, body("a", kEndless));
    control_->wait_for_rounds(1);
  }
  control_->release();
  control_->wait_for_ends(1);
  // The slot is free.
  ASSERT_TRUE(service_->scheduler().wait_until_idle(Clock::now() + std::chrono::minutes(1)));
  EXPECT_EQ(client().Post(kCompletions, body("a", 1), kJson)->status, 200);
}

TEST_F(HttpTest, AClientThatDoesNotReadIsGivenUp) {
  HttpOptions options;
  options.io_timeout = std::chrono::seconds(1);
  listen(options);
  serve({.n_active = 1, .n_waiting = 1, .max_event_bytes = 10000});
  RawClient raw(port(), true);
  raw.post(kCompletions, body("a", kEndless, true));
  control_->wait_for_ends(1);
  EXPECT_EQ(client().Post(kCompletions, body("a", 1), kJson)->status, 200);
}

TEST_F(HttpTest, IdleConnectionsAreInNobodysWay) {
  listen();
  serve();
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 100; ++i) {
    idle.push_back(std::make_unique<RawClient>(port()));
    idle.back()->send("POST /v1/completions HTTP/1.1\r\n");
  }
  EXPECT_EQ(client().Post(kCompletions, body("a", 1), kJson)->status, 200);
}

}  // namespace
}  // namespace gumbelspec::server
