#include "apps/server/service/request_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace gumbelspec::server {
namespace {

using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using Json = nlohmann::json;

RequestRecord completion() {
  RequestRecord record;
  record.time = "2026-01-31T12:00:00.123Z";
  record.method = "POST";
  record.path = "/v1/completions";
  record.status = 200;
  record.total_ms = 250.04;
  record.n_prompt = 12;
  record.n_generated = 64;
  record.tokens_per_pass = 2.345;
  record.first_token_ms = 20.0;
  record.finish = "length";
  return record;
}

TEST(RequestLog, IsALineOfText) {
  EXPECT_EQ(log_line(completion(), LogFormat::text),
            "2026-01-31T12:00:00.123Z POST /v1/completions 200 prompt=12 generated=64 "
            "tokens_per_pass=2.35 first_token_ms=20.0 total_ms=250.0 finish=length");
}

TEST(RequestLog, IsAJsonObject) {
  const Json json = Json::parse(log_line(completion(), LogFormat::json));
  EXPECT_EQ(json["time"], "2026-01-31T12:00:00.123Z");
  EXPECT_EQ(json["status"], 200);
  EXPECT_EQ(json["prompt_tokens"], 12);
  EXPECT_EQ(json["generated_tokens"], 64);
  EXPECT_DOUBLE_EQ(json["total_ms"].get<double>(), 250.0);
  EXPECT_EQ(json["finish"], "length");
}

TEST(RequestLog, LeavesOutWhatOtherRequestsDoNotHave) {
  RequestRecord record;
  record.time = "T";
  record.method = "GET";
  record.path = "/health";
  record.status = 200;
  EXPECT_EQ(log_line(record, LogFormat::text), "T GET /health 200 total_ms=0.0");
  EXPECT_FALSE(Json::parse(log_line(record, LogFormat::json)).contains("prompt_tokens"));
}

TEST(RequestLog, AClientCannotForgeLines) {
  RequestRecord record = completion();
  record.path = "/a\nb\x1B[31m\"c\xC3\xA4" + std::string(1000, 'x');
  for (const LogFormat format : {LogFormat::text, LogFormat::json}) {
    const std::string line = log_line(record, format);
    EXPECT_THAT(line, Not(HasSubstr("\n")));
    EXPECT_THAT(line, Not(HasSubstr("\x1B")));
    EXPECT_LT(line.size(), 400U);
  }
  EXPECT_THAT(log_line(record, LogFormat::text), HasSubstr("/a?b?[31m?c??xx"));
}

TEST(RequestLog, TellsTheTimeInUtc) {
  EXPECT_THAT(log_time(),
              MatchesRegex("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\.[0-9]{3}Z"));
}

}  // namespace
}  // namespace gumbelspec::server
