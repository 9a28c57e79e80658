// Repositories, the cache, and what the hub refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tests/hub/fake_hub.h"

namespace gumbelspec::hub::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class HubRepo : public ::testing::Test {
 protected:
  std::string fetch_it(const std::string& name, const std::string& file = "") {
    return fetch(parse_name(name), file, settings_);
  }
  std::string failure(const std::string& name, const std::string& file = "") {
    try {
      (void)fetch_it(name, file);
    } catch (const Error& error) {
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      return error.what();
    }
    ADD_FAILURE() << "it did not fail";
    return {};
  }

  FakeHub hub_{{{"README.md", "text"},
                {"m-Q4_K_M.gguf", "four"},
                {"m-Q8_0.gguf", "eight"},
                {"big/m-F16-00001-of-00002.gguf", "one"},
                {"big/m-F16-00002-of-00002.gguf", "two"},
                {"odd/m-BF16-00001-of-00002.gguf", "half"},
                {"../../evil-Q5_0.gguf", "evil"}}};
  Settings settings_ = hub_.settings();
};

TEST_F(HubRepo, HasTheLayoutOfHuggingFacesTools) {
  const fs::path path = fetch_it("user/model");
  const fs::path repo = hub_.folder() / "hub/models--user--model";
  EXPECT_EQ(path, repo / "snapshots" / kCommit / "m-Q4_K_M.gguf");
  EXPECT_EQ(content_of(path), "four");
  EXPECT_EQ(fs::read_symlink(path), fs::path("../../blobs") / sha256_of("four"));
  EXPECT_EQ(content_of(repo / "refs/main"), kCommit);
}

TEST_F(HubRepo, NothingIsFetchedTwice) {
  (void)fetch_it("user/model");
  const std::size_t n = hub_.n_requests("/blob/");
  (void)fetch_it("user/model");
  EXPECT_EQ(hub_.n_requests("/blob/"), n);
}

TEST_F(HubRepo, AQuantAndAFile) {
  EXPECT_EQ(content_of(fetch_it("user/model:q8_0")), "eight");
  EXPECT_EQ(content_of(fetch_it("user/model", "m-Q8_0.gguf")), "eight");
  EXPECT_THAT(failure("user/model:Q2_K"),
              AllOf(HasSubstr("has no file of quantization Q2_K; it has "), HasSubstr("Q8_0")));
  EXPECT_THAT(failure("user/model", "other.gguf"), HasSubstr("has no file \"other.gguf\""));
}

TEST_F(HubRepo, AllPartsOfASplitModel) {
  const fs::path path = fetch_it("user/model:F16");
  EXPECT_THAT(path.string(), EndsWith("big/m-F16-00001-of-00002.gguf"));
  EXPECT_EQ(content_of(path.parent_path() / "m-F16-00002-of-00002.gguf"), "two");
  EXPECT_THAT(failure("user/model:BF16"), HasSubstr("does not have all parts of"));
}

TEST_F(HubRepo, NamesDoNotLeaveTheCache) {
  EXPECT_THAT(failure("user/model:Q5_0"), HasSubstr("has no file of quantization Q5_0"));
}

TEST_F(HubRepo, OnlyTheEndpointSeesTheToken) {
  settings_.token = "secret";
  hub_.needs_token = true;
  (void)fetch_it("user/model");
  for (const Request& request : hub_.requests()) {
    EXPECT_EQ(request.token, request.path.rfind("/blob/", 0) == 0 ? "" : "Bearer secret")
        << request.path;
  }
}

TEST_F(HubRepo, RefusalsSayWhatToDo) {
  hub_.needs_token = true;
  EXPECT_THAT(failure("user/model"), HasSubstr("give a token with HF_TOKEN or -hft"));
  settings_.token = "wrong";
  EXPECT_THAT(failure("user/model"), HasSubstr("check the token, and accept the terms"));
  hub_.needs_token = false;
  EXPECT_THAT(failure("user/nothing"),
              HasSubstr("the repository user/nothing is not there (HTTP 404); check the spelling"));
  hub_.api_status = 429;
  EXPECT_THAT(failure("user/model"), HasSubstr("too many requests (HTTP 429)"));
  hub_.api_status = 200;
  hub_.is_not_json = true;
  EXPECT_THAT(failure("user/model"), HasSubstr("something that is not JSON; check HF_ENDPOINT"));
  hub_.is_not_json = false;
  hub_.redirects_forever = true;
  EXPECT_THAT(failure("user/model"), HasSubstr("more than 10 redirections"));
}

TEST_F(HubRepo, WithoutAHubTheCacheIsUsed) {
  const std::string path = fetch_it("user/model");
  std::string notice;
  settings_.on_notice = [&](const std::string& line) { notice = line; };
  hub_.api_status = 503;
  EXPECT_EQ(fetch_it("user/model"), path);
  EXPECT_EQ(notice, "the hub cannot be reached; user/model is taken from the cache");
  EXPECT_THAT(failure("user/model:Q8_0"), HasSubstr("in the cache"));
  // Nobody listens at this port.
  settings_.endpoint = "http://127.0.0.1:1/";
  EXPECT_EQ(fetch_it("user/model"), path);
  EXPECT_THAT(failure("user/other"), HasSubstr("cannot be reached at http://127.0.0.1:1/"));
}

TEST_F(HubRepo, OfflineNothingIsAsked) {
  settings_.is_offline = true;
  EXPECT_THAT(failure("user/model"), HasSubstr("fetch it once without --offline"));
  settings_.is_offline = false;
  const std::string path = fetch_it("user/model:F16");
  const std::size_t n = hub_.requests().size();
  settings_.is_offline = true;
  EXPECT_EQ(fetch_it("user/model:F16"), path);
  fs::remove(fs::path(path).parent_path() / "m-F16-00002-of-00002.gguf");
  EXPECT_THAT(failure("user/model:F16"), HasSubstr("2 parts, which are not all in the cache"));
  EXPECT_EQ(hub_.requests().size(), n);
}

TEST_F(HubRepo, IsListedAndRemoved) {
  EXPECT_THAT(cached_models(settings_), IsEmpty());
  (void)fetch_it("user/model:F16");
  (void)fetch_it("user/model:Q8_0");
  const auto models = cached_models(settings_);
  ASSERT_THAT(models, SizeIs(2));
  EXPECT_EQ(models[0].name, "user/model:F16");
  EXPECT_EQ(models[0].n_bytes, 6U);
  EXPECT_EQ(models[0].n_files, 2);
  EXPECT_TRUE(models[0].is_complete);
  EXPECT_EQ(remove_model(parse_name("user/model:F16"), settings_), 6U);
  ASSERT_THAT(cached_models(settings_), SizeIs(1));
  EXPECT_EQ(content_of(cached_models(settings_)[0].path), "eight");
  EXPECT_THROW((void)remove_model(parse_name("user/model:F16"), settings_), Error);
  EXPECT_GE(remove_model(parse_name("user/model"), settings_), 5U);
  EXPECT_FALSE(fs::exists(hub_.folder() / "hub/models--user--model"));
  EXPECT_THROW((void)remove_model(parse_name("user/model"), settings_), Error);
}

TEST_F(HubRepo, AUrlIsFetchedOnce) {
  const std::string url = hub_.cdn_url() + "blob/big/m-F16-00001-of-00002.gguf";
  const fs::path path = fetch_url(url, settings_);
  EXPECT_EQ(content_of(path), "one");
  EXPECT_EQ(content_of(path.parent_path() / "m-F16-00002-of-00002.gguf"), "two");
  const std::size_t n = hub_.requests().size();
  EXPECT_EQ(fetch_url(url, settings_), path.string());
  EXPECT_EQ(hub_.requests().size(), n);
  settings_.is_offline = true;
  EXPECT_EQ(fetch_url(url, settings_), path.string());
  EXPECT_THROW((void)fetch_url(url + "?x=1", settings_), Error);
  settings_.is_offline = false;
  for (const char* bad : {"", "x", "http://127.0.0.1", "http://127.0.0.1/", "ftp://a/b.gguf",
                          "http://127.0.0.1/a/..", "http:///b.gguf"}) {
    EXPECT_THROW((void)fetch_url(bad, settings_), Error) << bad;
  }
}

TEST(HubEnvironment, FoldersAreThoseOfHuggingFacesTools) {
  const auto cache_with = [](const char* name, const char* value) {
    for (const char* other : {"LLAMA_CACHE", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_HOME",
                              "XDG_CACHE_HOME", "HF_ENDPOINT", "HF_TOKEN"}) {
      ::unsetenv(other);
    }
    ::setenv("HOME", "/home/me", 1);
    if (name != nullptr) ::setenv(name, value, 1);
    return settings_of_environment().cache;
  };
  EXPECT_EQ(cache_with(nullptr, nullptr), "/home/me/.cache/huggingface/hub");
  EXPECT_EQ(cache_with("XDG_CACHE_HOME", "/x"), "/x/huggingface/hub");
  EXPECT_EQ(cache_with("HF_HOME", "/y"), "/y/hub");
  EXPECT_EQ(cache_with("HF_HUB_CACHE", "/z"), "/z");
  EXPECT_EQ(cache_with("LLAMA_CACHE", "/l"), "/l");
  (void)cache_with("HF_ENDPOINT", "http://hub.example");
  EXPECT_EQ(settings_of_environment().endpoint, "http://hub.example/");
}

}  // namespace
}  // namespace gumbelspec::hub::testing
