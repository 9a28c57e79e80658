// The small endpoints.
#include "apps/server/api/tokens.h"

#include <gtest/gtest.h>

#include "tests/server/api/fake_model.h"

namespace gumbelspec::server::testing {
namespace {

json tokenize(const json& body) {
  return json::parse(answer_tokenize(body.dump(), fake_model()))["tokens"];
}

std::string param_of(const json& body, std::string (*answer)(std::string_view, const ApiModel&)) {
  try {
    (void)answer(body.dump(), fake_model());
    return "accepted";
  } catch (const ApiError& error) {
    return error.param();
  }
}

TEST(Tokenize, GivesTheTokensOfAText) { EXPECT_EQ(tokenize({{"content", "Hi"}}), (json{72, 105})); }

TEST(Tokenize, ReadsControlTokensUnlessToldNotTo) {
  EXPECT_EQ(tokenize({{"content", "<s>"}}), json::array({256}));
  EXPECT_EQ(tokenize({{"content", "<s>"}, {"parse_special", false}}).size(), 3U);
  EXPECT_EQ(tokenize({{"content", "a"}, {"add_special", true}}), (json{256, 97}));
}

TEST(Tokenize, GivesPiecesAsTextOrAsBytes) {
  EXPECT_EQ(tokenize({{"content", "a\xC3\xA9"}, {"with_pieces", true}}),
            (json{{{"id", 97}, {"piece", "a"}},
                  {{"id", 0xC3}, {"piece", json::array({0xC3})}},
                  {{"id", 0xA9}, {"piece", json::array({0xA9})}}}));
}

TEST(Tokenize, RefusesWhatIsNoText) {
  EXPECT_EQ(param_of({{"content", 1}}, answer_tokenize), "content");
  EXPECT_EQ(param_of(json::object(), answer_tokenize), "content");
  EXPECT_EQ(param_of({{"content", "x"}, {"add_special", 1}}, answer_tokenize), "add_special");
}

TEST(Detokenize, GivesTheTextOfTokens) {
  EXPECT_EQ(answer_detokenize(R"({"tokens": [72, 105, 259]})", fake_model()),
            R"({"content":"Hiab"})");
  EXPECT_EQ(answer_detokenize(R"({"tokens": []})", fake_model()), R"({"content":""})");
}

TEST(Detokenize, ReplacesPartsOfCharacters) {
  EXPECT_EQ(json::parse(answer_detokenize(R"({"tokens": [260]})", fake_model()))["content"],
            "\xEF\xBF\xBD");
}

TEST(Detokenize, RefusesWhatIsNoToken) {
  EXPECT_EQ(param_of({{"tokens", {1, 261}}}, answer_detokenize), "tokens[1]");
  EXPECT_EQ(param_of({{"tokens", "x"}}, answer_detokenize), "tokens");
}

TEST(Models, ListsTheModel) {
  const json body = json::parse(answer_models(fake_model()));
  EXPECT_EQ(body["object"], "list");
  EXPECT_EQ(body["data"][0]["id"], "fake");
  EXPECT_EQ(body["data"][0]["object"], "model");
  EXPECT_EQ(body["data"][0]["created"], 1700000000);
  EXPECT_EQ(body["data"][0]["meta"]["n_ctx"], 1000);
  EXPECT_EQ(body["data"][0]["meta"]["same_seed"], true);
  ApiModel broken = fake_model();
  broken.keeps_seed = false;
  EXPECT_EQ(json::parse(answer_models(broken))["data"][0]["meta"]["same_seed"], false);
}

TEST(Health, IsAnErrorWhileTheModelIsLoading) {
  EXPECT_EQ(json::parse(answer_health())["status"], "ok");
  EXPECT_EQ(still_loading().status(), 503);
}

}  // namespace
}  // namespace gumbelspec::server::testing
