#include "apps/server/http/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/http/http_fixture.h"

namespace gumbelspec::server {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using testing::events_of;
using ::testing::HasSubstr;
using testing::HttpTest;
using testing::Json;
using ::testing::Not;
using testing::RawClient;
using ::testing::StartsWith;

constexpr const char* kCompletions = "/v1/completions";
constexpr const char* kJson = "application/json";
constexpr int kEndless = 1'000'000;

// The error object of an answer that must be one.
Json error_of(const httplib::Result& result, int status) {
  EXPECT_TRUE(result);
  EXPECT_EQ(result->status, status) << result->body;
  EXPECT_EQ(result->get_header_value("Content-Type"), kJson);
  const Json error = Json::parse(result->body).at("error");
  for (const char* field : {"code", "message", "type", "param"}) {
    EXPECT_TRUE(error.contains(field)) << field;
  }
  return error;
}

TEST_F(HttpTest, AnswersACompletion) {
  listen();
  serve();
  const auto result = client().Post(kCompletions, body("a", 4), kJson);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->status, 200);
  const Json json = Json::parse(result->body);
  EXPECT_EQ(json["choices"][0]["text"], "abcd");
  EXPECT_EQ(json["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(json["usage"]["completion_tokens"], 4);
}

TEST_F(HttpTest, StreamsEventsUpToDone) {
  listen();
  serve();
  const auto result = client().Post(kCompletions, body("k", 3, true), kJson);
  ASSERT_TRUE(result);
  EXPECT_EQ(result->get_header_value("Content-Type"), "text/event-stream; charset=utf-8");
  const std::vector<std::string> events = events_of(result->body);
  ASSERT_GE(events.size(), 2U);
  EXPECT_EQ(events.back(), "[DONE]");
  std::string text;
  for (std::size_t i = 0; i + 1 < events.size(); ++i) {
    const Json event = Json::parse(events[i]);
    for (const Json& choice : event["choices"]) text += choice["text"].get<std::string>();
  }
  EXPECT_EQ(text, "klm");
}

TEST_F(HttpTest, IsUnavailableUntilTheModelsAreLoaded) {
  listen();
  const auto early = client().Get("/health");
  ASSERT_TRUE(early);
  EXPECT_EQ(early->status, 503);
  EXPECT_EQ(Json::parse(early->body)["status"], "loading model");
  error_of(client().Post(kCompletions, body("a", 1), kJson), 503);
  error_of(client().Get("/v1/models"), 503);
  serve();
  EXPECT_EQ(client().Get("/health")->status, 200);
  EXPECT_EQ(client().Post(kCompletions, body("a", 1), kJson)->status, 200);
}

TEST_F(HttpTest, NamesItsModel) {
  listen();
  serve();
  const auto result = client().Get("/v1/models");
  ASSERT_TRUE(result);
  EXPECT_EQ(Json::parse(result->body)["data"][0]["id"], "bytes");
}

TEST_F(HttpTest, AnswersUnderThePathsOfLlamaCppsServer) {
  listen();
  EXPECT_EQ(client().Get("/v1/health")->status, 503);
  error_of(client().Get("/props"), 503);
  serve({.n_active = 2});
  for (const char* path : {"/v1/health", "/models", "/props", "/slots"}) {
    EXPECT_EQ(client().Get(path)->status, 200) << path;
  }
  EXPECT_EQ(Json::parse(client().Get("/v1/models/bytes")->body)["id"], "bytes");
  error_of(client().Get("/v1/models/no/such"), 404);
  EXPECT_EQ(Json::parse(client().Get("/slots")->body).size(), 2U);
  EXPECT_EQ(client().Post("/completions", body("a", 1), kJson)->status, 200);
  EXPECT_EQ(Json::parse(client().Post("/completion", body("a", 1), kJson)->body)["content"], "a");
  const std::string chat = R"({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 1})";
  for (const char* path :
       {"/chat/completions", "/v1/chat/completions/input_tokens", "/apply-template"}) {
    EXPECT_EQ(client().Post(path, chat, kJson)->status, 200) << path;
  }
}

TEST_F(HttpTest, SaysWhenNoSlotIsFree) {
  control_->hold();
  listen();
  serve({.n_active = 1, .n_waiting = 1});
  EXPECT_EQ(client().Get("/slots?fail_on_no_slot=1")->status, 200);
  RawClient first(port());
  first.post(kCompletions, body("a", 2));
  for (int i = 0; i < 500 && client().Get("/slots?fail_on_no_slot=1")->status == 200; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  error_of(client().Get("/slots?fail_on_no_slot=1"), 503);
  EXPECT_EQ(Json::parse(client().Get("/slots")->body)[0]["is_processing"], true);
  control_->release();
}

TEST_F(HttpTest, AnswersWithNoTokenWhereNoneIsAskedFor) {
  listen();
  serve();
  const auto result = client().Post(kCompletions, body("a", 0), kJson);
  ASSERT_EQ(result->status, 200);
  const Json answer = Json::parse(result->body);
  EXPECT_EQ(answer["usage"]["completion_tokens"], 0);
  EXPECT_EQ(answer["choices"][0]["text"], "");
  EXPECT_EQ(answer["choices"][0]["finish_reason"], "length");
}

TEST_F(HttpTest, TokenizesAndBack) {
  listen();
  serve();
  const auto tokens = client().Post("/tokenize", R"({"content": "ab"})", kJson);
  ASSERT_TRUE(tokens);
  EXPECT_EQ(Json::parse(tokens->body)["tokens"], Json({97, 98}));
  const auto text = client().Post("/detokenize", R"({"tokens": [97, 98]})", kJson);
  ASSERT_TRUE(text);
  EXPECT_EQ(Json::parse(text->body)["content"], "ab");
}

TEST_F(HttpTest, SaysWhatItIs) {
  listen();
  const auto accept = [&](const char* types) {
    return client().Get("/", httplib::Headers{{"Accept", types}})->body;
  };
  const std::string list = accept("text/plain");
  EXPECT_THAT(list, AllOf(StartsWith("gumbelspec"), HasSubstr("/v1/chat/completions")));
  EXPECT_EQ(accept("application/json"), list);
  for (const char* types : {"*/*", "text/html,application/xhtml+xml;q=0.9"}) {
    EXPECT_THAT(accept(types), StartsWith("<!doctype html>")) << types;
  }
}

TEST_F(HttpTest, RefusesWhatIsNotJson) {
  listen();
  serve();
  EXPECT_EQ(error_of(client().Post(kCompletions, "{", kJson), 400)["type"],
            "invalid_request_error");
}

TEST_F(HttpTest, RefusesUnknownPathsAndMethods) {
  listen();
  serve();
  error_of(client().Get("/v1/nothing"), 404);
  error_of(client().Post("/nothing", "{}", kJson), 404);
  const auto result = client().Get(kCompletions);
  error_of(result, 405);
  EXPECT_EQ(result->get_header_value("Allow"), "POST");
  error_of(client().Delete("/health"), 405);
}

TEST_F(HttpTest, RefusesABodyThatIsTooLong) {
  HttpOptions options;
  options.max_body_bytes = 1000;
  listen(options);
  serve();
  error_of(client().Post(kCompletions, body(std::string(1000, 'a'), 1), kJson), 413);
  EXPECT_EQ(client().Post(kCompletions, body(std::string(900, 'a'), 1), kJson)->status, 200);
}

TEST_F(HttpTest, NeedsTheKeyWhereThereIsOne) {
  HttpOptions options;
  options.keys = ApiKeys({"secret"});
  listen(options);
  serve();
  const auto post = [&](const httplib::Headers& headers) {
    return client().Post(kCompletions, headers, body("a", 1), kJson);
  };
  const auto refused = post({});
  EXPECT_EQ(error_of(refused, 401)["code"], "invalid_api_key");
  EXPECT_EQ(refused->get_header_value("WWW-Authenticate"), "Bearer");
  error_of(post({{"Authorization", "Bearer secre"}}), 401);
  error_of(post({{"Authorization", "secret"}}), 401);
  EXPECT_EQ(post({{"Authorization", "Bearer secret"}})->status, 200);
  EXPECT_EQ(post({{"X-Api-Key", "secret"}})->status, 200);
  error_of(client().Get("/metrics"), 401);
  error_of(client().Get("/v1/models"), 401);
  EXPECT_EQ(client().Get("/health")->status, 200);
}

TEST_F(HttpTest, WebPagesMayOnlyUseItWhereTheirOriginIsAllowed) {
  listen();
  const auto closed = client().Options(kCompletions);
  EXPECT_EQ(closed->status, 405);
  EXPECT_FALSE(closed->has_header("Access-Control-Allow-Origin"));
  http_.reset();
  HttpOptions options;
  options.origins.cors_origin = "https://page.example";
  options.keys = ApiKeys({"secret"});
  listen(options);
  // Browsers ask without the key.
  const auto open = client().Options(kCompletions);
  EXPECT_EQ(open->status, 200);
  EXPECT_EQ(open->get_header_value("Access-Control-Allow-Origin"), "https://page.example");
  EXPECT_EQ(open->get_header_value("Access-Control-Allow-Methods"), "GET, POST, DELETE, OPTIONS");
  EXPECT_FALSE(open->has_header("Access-Control-Allow-Credentials"));
}

TEST_F(HttpTest, PagesOfThisMachineMayUseItWhereTheyAreAllowed) {
  HttpOptions options;
  options.origins.cors_origin = "localhost";
  listen(options);
  const auto of = [&](const char* origin) {
    return client().Options(kCompletions, {{"Origin", origin}});
  };
  const auto open = of("http://localhost:3000");
  EXPECT_EQ(open->status, 200);
  EXPECT_EQ(open->get_header_value("Access-Control-Allow-Origin"), "http://localhost:3000");
  EXPECT_EQ(of("https://evil.example")->status, 200);
  EXPECT_FALSE(of("https://evil.example")->has_header("Access-Control-Allow-Methods"));
  const auto sent = client().Post(kCompletions, {{"Origin", "https://evil.example"}}, body("a", 1),
                                  "application/json");
  EXPECT_EQ(sent->status, 403);
  EXPECT_FALSE(of("https://evil.example")->has_header("Access-Control-Allow-Origin"));
}

TEST_F(HttpTest, RefusesRequestsWhileTheQueueIsFull) {
  control_->hold();
  listen();
  serve({.n_active = 1, .n_waiting = 1});
  RawClient first(port());
  RawClient second(port());
  first.post(kCompletions, body("a", 2));
  second.post(kCompletions, body("b", 2));
  while (service_->scheduler().n_texts() < 2) std::this_thread::yield();
  const auto result = client().Post(kCompletions, body("c", 1), kJson);
  error_of(result, 429);
  EXPECT_EQ(result->get_header_value("Retry-After"), "1");
  control_->release();
  EXPECT_THAT(first.read_until("\"length\""), HasSubstr("\"ab\""));
  EXPECT_THAT(second.read_until("\"length\""), HasSubstr("\"bc\""));
}

TEST_F(HttpTest, RefusesNewRequestsWhileItShutsDown) {
  listen();
  serve();
  http_->refuse_requests();
  error_of(client().Post(kCompletions, body("a", 1), kJson), 503);
  EXPECT_EQ(Json::parse(client().Get("/health")->body)["status"], "shutting down");
  EXPECT_EQ(client().Get("/metrics")->status, 200);
}

TEST_F(HttpTest, FinishesStreamsWithAnErrorWhenTheirTimeIsUp) {
  control_->hold();
  listen();
  serve({.n_active = 8, .n_waiting = 8});
  std::vector<std::unique_ptr<RawClient>> clients;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(std::make_unique<RawClient>(port()));
    clients.back()->post(kCompletions, body("a", kEndless, true));
  }
  while (service_->scheduler().n_texts() < 16) std::this_thread::yield();
  control_->allow(2);
  control_->wait_for_rounds(3);
  http_->refuse_requests();
  service_->scheduler().end_all();
  control_->release();
  int n_streams = 0;
  for (const auto& raw : clients) {
    // Those that still waited for a slot are told by the status.
    const std::string answer = raw->read_until("shutting_down");
    EXPECT_THAT(answer, HasSubstr("\"error\""));
    if (answer.find("text/event-stream") != std::string::npos) {
      ++n_streams;
      EXPECT_THAT(raw->read_until("\r\n0\r\n\r\n"), EndsWith("\r\n0\r\n\r\n"));
    } else {
      EXPECT_THAT(answer, StartsWith("HTTP/1.1 503"));
    }
  }
  EXPECT_EQ(n_streams, 8);
  EXPECT_TRUE(http_->wait_until_quiet(Clock::now() + std::chrono::minutes(1)));
  EXPECT_TRUE(http_->stop(Clock::now() + std::chrono::minutes(1)));
}

TEST_F(HttpTest, CountsWhatItAnswers) {
  listen();
  serve();
  client().Post(kCompletions, body("a", 3), kJson);
  client().Get("/made/up");
  std::string text;
  // The batch's counts come when its round is over, perhaps after the answer.
  while (text.find("gumbelspec:generation_tokens_total 3\n") == std::string::npos) {
    text = client().Get("/metrics")->body;
  }
  EXPECT_THAT(text, HasSubstr("requests_total{path=\"/v1/completions\",status=\"200\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("requests_total{path=\"other\",status=\"404\"} 1\n"));
  EXPECT_THAT(text, HasSubstr("gumbelspec:time_to_first_token_seconds_count 1\n"));
  EXPECT_THAT(text, HasSubstr("gumbelspec:inter_token_seconds_count 2\n"));
}

TEST_F(HttpTest, MeasuresTheGapsOfEachTextOfARequest) {
  listen();
  serve();
  client().Post(kCompletions, R"({"prompt": "a", "max_tokens": 3, "n": 2})", kJson);
  const std::string text = client().Get("/metrics")->body;
  EXPECT_THAT(text, HasSubstr("gumbelspec:time_to_first_token_seconds_count 2\n"));
  EXPECT_THAT(text, HasSubstr("gumbelspec:inter_token_seconds_count 4\n"));
}

TEST_F(HttpTest, LogsALinePerRequestWithoutPromptsAndKeys) {
  HttpOptions options;
  options.keys = ApiKeys({"topsecret"});
  listen(options);
  serve();
  const httplib::Headers key = {{"Authorization", "Bearer topsecret"}};
  client().Post(kCompletions, key, body("prompttext", 3), kJson);
  client().Post(kCompletions, key, body("prompttext", 3, true), kJson);
  client().Post(kCompletions, key, R"({"prompt": "prompttext", "max_tokens": "x"})", kJson);
  client().Post(kCompletions, {{"Authorization", "Bearer topsecreX"}}, "prompttext", kJson);
  client().Get("/health?key=topsecret");
  ASSERT_TRUE(http_->wait_until_quiet(Clock::now() + std::chrono::minutes(1)));
  const std::vector<std::string> lines = log();
  ASSERT_EQ(lines.size(), 5U);
  for (const std::string& line : lines) {
    EXPECT_THAT(line, AllOf(Not(HasSubstr("prompttext")), Not(HasSubstr("topsecre"))));
  }
  EXPECT_THAT(lines[0], AllOf(HasSubstr(" POST /v1/completions 200 prompt=10 generated=3 "),
                              HasSubstr(" first_token_ms="), HasSubstr(" finish=length")));
  EXPECT_THAT(lines[2], HasSubstr(" POST /v1/completions 400 total_ms="));
  EXPECT_THAT(lines[3], HasSubstr(" POST /v1/completions 401 total_ms="));
  EXPECT_THAT(lines[4], HasSubstr(" GET /health 200 total_ms="));
}

TEST(HttpServer, SaysWhyItCannotListen) {
  Metrics metrics(1);
  HttpOptions options;
  options.port = 0;
  const HttpServer first(options, metrics);
  options.port = first.port();
  EXPECT_THROW(HttpServer(options, metrics), Error);
  options.host = "192.0.2.1";  // nobody's
  options.port = 0;
  EXPECT_THROW(HttpServer(options, metrics), Error);
}

TEST(HttpServer, RefusesCertificatesThatAreNot) {
  Metrics metrics(1);
  HttpOptions options;
  options.port = 0;
  options.ssl_cert_file = "/nowhere/cert.pem";
  options.ssl_key_file = "/nowhere/key.pem";
  EXPECT_THROW(HttpServer(options, metrics), Error);
}

TEST(IsLoopback, KnowsWhoCanReachIt) {
  for (const char* host : {"127.0.0.1", "127.1.2.3", "::1", "localhost"}) {
    EXPECT_TRUE(is_loopback(host)) << host;
  }
  for (const char* host : {"0.0.0.0", "::", "192.168.0.1", "example.org"}) {
    EXPECT_FALSE(is_loopback(host)) << host;
  }
}

}  // namespace
}  // namespace gumbelspec::server
