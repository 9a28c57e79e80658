// Requests of web pages: by their headers, and through the server.
#include "apps/server/http/origins.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "gumbelspec/error.h"
#include "tests/server/http/http_fixture.h"

namespace gumbelspec::testing {
namespace {

using server::hides_json;
using server::OriginRules;
using server::why_host_refused;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(Origins, AddressesAndLocalhostAreHostsOfEveryServer) {
  for (const char* host :
       {"", "127.0.0.1", "127.0.0.1:8080", "192.168.1.7:1", "[::1]", "[::1]:8080", "[fe80::1]:80",
        "localhost", "localhost:8080", "LocalHost:80", "localhost."}) {
    EXPECT_EQ(why_host_refused({}, host), "") << host;
  }
}

TEST(Origins, OtherNamesAreNot) {
  for (const char* host :
       {"evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil.example",
        "127.0.0.1:80:80", "::1", "127.0.0.1evil", "[::1", "[evil.example]", "1.2.3", "0x7f.1",
        "localhost:80@evil.example", "evil.example:localhost", "."}) {
    const std::string why = why_host_refused({}, host);
    EXPECT_THAT(why, HasSubstr("--allowed-hosts")) << host;
    EXPECT_THAT(why, HasSubstr(host));
  }
  EXPECT_THAT(why_host_refused({}, "a\nb\x80"), HasSubstr("\"a?b?\""));
}

TEST(Origins, NamesThatAreAllowedAreHosts) {
  const OriginRules rules{"", {"gpu.example", "box"}};
  EXPECT_EQ(why_host_refused(rules, "gpu.example"), "");
  EXPECT_EQ(why_host_refused(rules, "GPU.example:443"), "");
  EXPECT_EQ(why_host_refused(rules, "box:8080"), "");
  EXPECT_NE(why_host_refused(rules, "other.example"), "");
  EXPECT_NE(why_host_refused(rules, "x.gpu.example"), "");
  EXPECT_EQ(why_host_refused({"", {"*"}}, "any.example"), "");
}

TEST(Origins, ListsOfHostsAreReadOrRefused) {
  EXPECT_THAT(server::host_names("A.example, box,,*"), ElementsAre("a.example", "box", "*"));
  EXPECT_TRUE(server::host_names("").empty());
  for (const char* wrong : {"http://a.example", "a.example:80", "a b", "a/b", "ü.example"}) {
    EXPECT_THROW((void)server::host_names(wrong), Error) << wrong;
  }
}

std::string why(const OriginRules& rules, const char* origin, const char* host = "127.0.0.1:80") {
  return why_origin_refused(rules, {host, origin, "application/json", true});
}

TEST(Origins, OnlyTheServersOwnPageAndThoseAllowedMayUseIt) {
  EXPECT_EQ(why({}, ""), "");
  EXPECT_EQ(why({}, "http://127.0.0.1:80"), "");
  EXPECT_EQ(why({}, "https://127.0.0.1:80"), "");
  EXPECT_EQ(why({}, "http://Box:1", "box:1"), "");
  for (const char* origin :
       {"http://evil.example", "null", "http://127.0.0.1", "file://", "http://127.0.0.1:8080",
        "ftp://127.0.0.1:80", "127.0.0.1:80", "http://evil.example/http://127.0.0.1:80"}) {
    EXPECT_THAT(why({}, origin), HasSubstr("--cors-origin")) << origin;
    EXPECT_EQ(why({"*", {}}, origin), "");
  }
  const OriginRules rules{"https://page.example", {}};
  EXPECT_EQ(why(rules, "https://page.example"), "");
  EXPECT_EQ(why(rules, "http://127.0.0.1:80"), "");
  EXPECT_NE(why(rules, "http://page.example"), "");
  EXPECT_NE(why(rules, "https://page.example.evil.example"), "");
  EXPECT_NE(why({}, "http://", ""), "");
}

TEST(Origins, AnyPageIsAllowedByItsName) {
  EXPECT_EQ(server::allowed_origin({"*", {}}, "https://page.example"), "https://page.example");
  EXPECT_EQ(server::allowed_origin({"*", {}}, ""), "*");
}

TEST(Origins, PagesOfThisMachineMayBeAllowedTogether) {
  const OriginRules rules{"localhost", {}};
  for (const char* origin : {"http://localhost", "http://localhost:3000", "https://127.0.0.1:5173",
                             "http://[::1]:8080", "HTTP://LocalHost:1"}) {
    EXPECT_EQ(why(rules, origin), "") << origin;
    EXPECT_EQ(server::allowed_origin(rules, origin), origin);
  }
  for (const char* origin : {"http://localhost.evil.example", "http://evil.example", "null",
                             "file://localhost", "http://localhost@evil.example", "localhost"}) {
    EXPECT_NE(why(rules, origin), "") << origin;
    EXPECT_EQ(server::allowed_origin(rules, origin), "");
  }
}

TEST(Origins, RulesAreWhatBrowsersSend) {
  for (const char* rule : {"", "*", "localhost", "https://page.example", "http://127.0.0.1:3000",
                           "chrome-extension://abcdef", "http://[::1]:1"}) {
    EXPECT_TRUE(server::is_origin_rule(rule)) << rule;
  }
  for (const char* rule : {"page.example", "https://page.example/", "https://", "://x", "**",
                           "https://a b", "http://user@page.example"}) {
    EXPECT_FALSE(server::is_origin_rule(rule)) << rule;
  }
}

TEST(Origins, PagesSendJsonUnderItsName) {
  const auto hides = [](const char* origin, const char* type, bool has_body = true) {
    return hides_json({"h", origin, type, has_body});
  };
  EXPECT_FALSE(hides("", "text/plain"));
  EXPECT_FALSE(hides("http://h", "application/json"));
  EXPECT_FALSE(hides("http://h", "Application/JSON ; charset=utf-8"));
  EXPECT_FALSE(hides("http://h", "", false));
  for (const char* type : {"", "text/plain", "text/plain;application/json", "application/jsonx",
                           "application/x-www-form-urlencoded", "multipart/form-data"}) {
    EXPECT_TRUE(hides("http://h", type)) << type;
  }
}

class OriginsHttp : public HttpTest {
 protected:
  // Returns: the status of a completion with these headers.
  int post(const httplib::Headers& headers, const char* type = "application/json") {
    const auto result = client().Post("/v1/completions", headers, body("a", 3), type);
    if (!result) return -1;
    const Json json = Json::parse(result->body);
    if (result->status == 200) {
      EXPECT_EQ(json["choices"][0]["text"], "abc");
    } else {
      said_ = json["error"]["message"];
      EXPECT_EQ(result->body.find("abc"), std::string::npos);
    }
    return result->status;
  }
  std::string own_origin() const { return "http://127.0.0.1:" + std::to_string(port()); }
  std::string said_;
};

TEST_F(OriginsHttp, OtherPagesAreRefusedBeforeAnythingIsDone) {
  listen();
  serve();
  EXPECT_EQ(post({}), 200);
  EXPECT_EQ(post({}, "text/plain"), 200);  // programs may
  EXPECT_EQ(post({{"Origin", own_origin()}}), 200);
  EXPECT_EQ(post({{"Origin", own_origin()}}, "text/plain"), 415);
  EXPECT_THAT(said_, HasSubstr("application/json"));
  EXPECT_EQ(post({{"Origin", "http://evil.example"}}, "text/plain"), 403);
  EXPECT_EQ(post({{"Origin", "http://evil.example"}}), 403);
  EXPECT_THAT(said_, HasSubstr("--cors-origin"));
  EXPECT_EQ(post({{"Origin", "null"}}), 403);
  EXPECT_EQ(post({{"Host", "evil.example"}}), 403);
  EXPECT_THAT(said_, HasSubstr("--allowed-hosts"));
  // Not even its own page under that name.
  EXPECT_EQ(post({{"Host", "evil.example:80"}, {"Origin", "http://evil.example:80"}}), 403);
  for (const char* path : {"/", "/health", "/metrics", "/v1/models", "/nowhere"}) {
    EXPECT_EQ(client().Get(path, httplib::Headers{{"Host", "evil.example"}})->status, 403) << path;
    EXPECT_EQ(client().Get(path, httplib::Headers{{"Origin", "http://evil.example"}})->status, 403)
        << path;
  }
  EXPECT_EQ(client()
                .Options("/v1/completions", httplib::Headers{{"Origin", "http://evil.example"}})
                ->status,
            403);
}

TEST_F(OriginsHttp, WhatIsAllowedIsServed) {
  server::HttpOptions options;
  options.origins = {"https://page.example", {"gpu.example"}};
  listen(std::move(options));
  serve();
  EXPECT_EQ(post({{"Origin", "https://page.example"}}), 200);
  EXPECT_EQ(post({{"Origin", "https://page.example"}}, "text/plain"), 415);
  EXPECT_EQ(post({{"Host", "gpu.example"}}), 200);
  EXPECT_EQ(post({{"Host", "gpu.example"}, {"Origin", "https://gpu.example"}}), 200);
  EXPECT_EQ(post({{"Origin", "https://other.example"}}), 403);
  const httplib::Headers page = {{"Origin", "https://page.example"}};
  EXPECT_EQ(client().Options("/v1/completions", page)->status, 200);
  const httplib::Headers other = {{"Origin", "https://other.example"}};
  const auto refused = client().Options("/v1/completions", other);
  EXPECT_EQ(refused->status, 200);
}

}  // namespace
}  // namespace gumbelspec::testing
