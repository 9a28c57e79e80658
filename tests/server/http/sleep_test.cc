// A service that is taken away while nobody uses it, and brought back for the next one who does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/server/http/http_fixture.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kJson = "application/json";
constexpr std::chrono::hours kLong{24};
constexpr std::chrono::seconds kNow{0};

class SleepTest : public HttpTest {
 protected:
  void start() {
    server::HttpOptions options;
    options.wake = [this] {
      ++n_wakings_;
      if (!failure_.empty()) throw Error(ErrorCode::file_not_found, failure_);
      serve();
    };
    listen(std::move(options));
    serve();
  }
  // Returns: whether it sleeps now.
  bool sleep_after(server::Clock::duration idle) {
    if (!http_->take_service_after(idle)) return false;
    service_.reset();
    metrics_.begin_batch();
    return true;
  }
  // A stream's last word comes a moment before its end is noticed.
  void fall_asleep() {
    while (!sleep_after(kNow)) std::this_thread::yield();
  }
  [[nodiscard]] bool is_asleep() const {
    return Json::parse(client().Get("/props")->body)["is_sleeping"];
  }

  std::atomic<int> n_wakings_{0};
  std::string failure_;
};

TEST_F(SleepTest, AnswersWhatNeedsNoModelWithoutWaking) {
  start();
  const auto get = [&](const char* path) { return client().Get(path)->body; };
  const std::string models = get("/models");
  const std::string one = get("/v1/models/bytes");
  EXPECT_FALSE(is_asleep());
  ASSERT_TRUE(sleep_after(kNow));
  EXPECT_TRUE(is_asleep());
  EXPECT_EQ(get("/models"), models);
  EXPECT_EQ(get("/v1/models"), models);
  EXPECT_EQ(get("/v1/models/bytes"), one);
  for (const char* path : {"/health", "/v1/health", "/metrics", "/api/tags", "/api/version"}) {
    EXPECT_EQ(client().Get(path)->status, 200) << path;
  }
  // Nor does what is refused before it comes to the models.
  EXPECT_EQ(client().Post("/nowhere", "{}", kJson)->status, 404);
  EXPECT_EQ(client().Get("/tokenize")->status, 405);
  EXPECT_TRUE(is_asleep());
  EXPECT_EQ(n_wakings_, 0);
}

TEST_F(SleepTest, EveryRequestToTheModelWakesItOnce) {
  start();
  const std::vector<std::pair<const char*, std::string>> posts = {
      {"/completion", body("a", 2)},
      {"/v1/completions", body("a", 2, true)},
      {"/tokenize", R"({"content": "a"})"},
      {"/chat/completions/input_tokens", R"({"messages": [{"role": "user", "content": "a"}]})"},
      {"/v1/responses/input_tokens", R"({"input": "a"})"},
      {"/slots/0?action=erase", ""},
      {"/api/show", "{}"}};
  int n = 0;
  for (const auto& [path, sent] : posts) {
    fall_asleep();
    EXPECT_EQ(client().Post(path, sent, kJson)->status, 200) << path;
    EXPECT_EQ(n_wakings_, ++n) << path;
    EXPECT_FALSE(is_asleep());
  }
  fall_asleep();
  EXPECT_EQ(client().Get("/slots")->status, 200);
  EXPECT_EQ(n_wakings_, ++n);
}

TEST_F(SleepTest, DoesNotFallAsleepWhileItIsUsed) {
  start();
  EXPECT_FALSE(sleep_after(kLong)) << "just now";
  control_->hold();
  RawClient stream(port());
  stream.post("/v1/completions", body("a", 3, true));
  // A client that has gone leaves its text for a moment; this one is there, and waits.
  while (service_->scheduler().n_texts() == 0) std::this_thread::yield();
  EXPECT_FALSE(sleep_after(kNow));
  control_->release();
  EXPECT_THAT(stream.read_until("[DONE]"), HasSubstr("[DONE]"));
  fall_asleep();
  EXPECT_TRUE(is_asleep());
}

TEST_F(SleepTest, ManyAtOnceWakeItOnceAndAreAllAnswered) {
  start();
  for (int turn = 1; turn <= 5; ++turn) {
    fall_asleep();
    std::atomic<int> n_answered{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&] {
        const auto result = client().Post("/tokenize", R"({"content": "a"})", kJson);
        if (result && result->status == 200) ++n_answered;
      });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(n_answered, 4);
    EXPECT_EQ(n_wakings_, turn);
  }
}

// A change of the adapters' scales is another service: nothing of the one before is kept.
TEST_F(SleepTest, AdaptersGetOtherScalesOnceNobodyUsesTheModel) {
  std::vector<std::vector<float>> given;
  server::HttpOptions options;
  options.adapters = {{"a.gguf", 1.0F}, {"b.gguf", 0.5F}};
  options.set_scales = [&](const std::vector<float>& scales) {
    given.push_back(scales);
    service_.reset();
    if (!failure_.empty()) throw Error(ErrorCode::invalid_model, failure_);
    serve();
  };
  options.wake = [this] { serve(); };
  listen(std::move(options));
  EXPECT_EQ(client().Post("/lora-adapters", "[]", kJson)->status, 503);
  serve();
  const auto set = [&](const Json& list) {
    return client().Post("/lora-adapters", list.dump(), kJson)->status;
  };
  const auto scales = [&] {
    std::vector<float> out;
    for (const Json& one : Json::parse(client().Get("/lora-adapters")->body)) {
      out.push_back(one["scale"]);
    }
    return out;
  };
  EXPECT_EQ(scales(), (std::vector<float>{1.0F, 0.5F}));
  EXPECT_EQ(set({{{"id", 1}, {"scale", 0.5}}, {{"id", 0}, {"scale", 1}}}), 200);
  EXPECT_TRUE(given.empty()) << "as they are";
  for (const Json& wrong : {Json{{{"id", 2}, {"scale", 1}}}, Json{{{"id", -1}, {"scale", 1}}},
                            Json{{{"id", 0}, {"scale", "x"}}}, Json{{{"scale", 1}}}}) {
    EXPECT_EQ(set(wrong), 400) << wrong;
  }
  // A text under way ends first; one that comes meanwhile waits.
  control_->hold();
  RawClient stream(port());
  stream.post("/v1/completions", body("a", 3, true));
  while (service_->scheduler().n_texts() == 0) std::this_thread::yield();
  std::thread changing([&] { EXPECT_EQ(set({{{"id", 1}, {"scale", 0.25}}}), 200); });
  control_->release();
  EXPECT_THAT(stream.read_until("[DONE]"), HasSubstr("[DONE]"));
  changing.join();
  EXPECT_EQ(given, (std::vector<std::vector<float>>{{0.0F, 0.25F}}));
  EXPECT_EQ(scales(), given.back());
  EXPECT_EQ(client().Post("/completion", body("a", 1), kJson)->status, 200);
  // Where it fails, that is said, and the next request tries to have the models back.
  failure_ = "the file has gone";
  EXPECT_GE(set(Json::array()), 400);
  EXPECT_EQ(scales(), (std::vector<float>{0.0F, 0.0F}));
  EXPECT_EQ(client().Post("/completion", body("a", 1), kJson)->status, 200);
}

TEST_F(SleepTest, TellsWhyItCannotWakeAndTriesAgain) {
  start();
  ASSERT_TRUE(sleep_after(kNow));
  failure_ = "the file has gone";
  const auto refused = client().Post("/completion", body("a", 1), kJson);
  EXPECT_EQ(refused->status, 503);
  EXPECT_THAT(refused->body, HasSubstr("the file has gone"));
  // Ollama's clients read errors as text.
  const auto ollama = client().Post("/api/generate", R"({"prompt": "a"})", kJson);
  EXPECT_EQ(ollama->status, 503);
  EXPECT_THAT(Json::parse(ollama->body)["error"].get<std::string>(), HasSubstr("has gone"));
  EXPECT_TRUE(is_asleep());
  failure_.clear();
  EXPECT_EQ(client().Post("/completion", body("a", 1), kJson)->status, 200);
  EXPECT_EQ(n_wakings_, 3);
}

}  // namespace
}  // namespace gumbelspec::testing
