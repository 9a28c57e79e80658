// What /health tells of the engine.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <string>
#include <thread>

#include "tests/server/http/http_fixture.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;

TEST_F(HttpTest, AFailedEngineShowsInItsHealth) {
  listen();
  serve();
  control_->break_engine();
  EXPECT_EQ(client().Post("/v1/completions", body("a", 1), "application/json")->status, 500);
  EXPECT_EQ(client().Get("/health")->status, 503);
  EXPECT_EQ(client().Post("/v1/completions", body("a", 1), "application/json")->status, 500);
}

TEST(Health, TenSecondsInOneRoundAreTooLong) {
  EXPECT_EQ(server::HttpOptions{}.longest_round, std::chrono::seconds(10));
}

TEST_F(HttpTest, AnEngineThatDoesNotComeBackShowsInItsHealth) {
  control_->hold();
  server::HttpOptions options;
  options.longest_round = std::chrono::milliseconds(1);
  listen(std::move(options));
  serve();
  EXPECT_EQ(client().Get("/health")->status, 200) << "it has nothing to do";
  std::thread waiting([&] {
    EXPECT_EQ(client().Post("/v1/completions", body("a", 1), "application/json")->status, 200);
  });
  httplib::Result stuck = client().Get("/health");
  while (stuck->status == 200) stuck = client().Get("/health");
  EXPECT_EQ(stuck->status, 503);
  const Json said = Json::parse(stuck->body);
  EXPECT_EQ(said["status"], "stuck");
  EXPECT_THAT(said["error"]["message"].get<std::string>(), HasSubstr("in one round for"));
  EXPECT_EQ(client().Get("/v1/health")->status, 503);
  control_->release();
  waiting.join();
  // What follows a round may be told a moment later than its answer.
  while (client().Get("/health")->status != 200) std::this_thread::yield();
}

}  // namespace
}  // namespace gumbelspec::testing
