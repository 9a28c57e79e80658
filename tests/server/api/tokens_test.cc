// The small endpoints.
#include "apps/server/api/tokens.h"

#include <gtest/gtest.h>

#include "apps/server/api/request.h"
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

TEST(Models, TellsOneByItsName) {
  EXPECT_EQ(json::parse(answer_model(fake_model(), "fake"))["meta"]["n_ctx"], 1000);
  try {
    (void)answer_model(fake_model(), "other");
    ADD_FAILURE();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 404);
    EXPECT_EQ(error.code(), "model_not_found");
  }
}

TEST(Models, TellAliasesAndTags) {
  ApiModel model = fake_model();
  model.aliases = {"code", "fake"};
  model.tags = {"small"};
  const json body = json::parse(answer_models(model));
  EXPECT_EQ(body["data"][0]["aliases"], (json{"code", "fake"}));
  EXPECT_EQ(body["data"][0]["tags"], json{"small"});
  EXPECT_EQ(body["models"][0]["model"], "fake") << "Ollama's clients";
  EXPECT_EQ(json::parse(answer_model(model, "code"))["id"], "fake");
}

TEST(ApplyTemplate, TellsThePromptAndItsLength) {
  const json body{{"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
  const std::string prompt =
      json::parse(answer_apply_template(body.dump(), fake_model()))["prompt"];
  EXPECT_EQ(prompt, "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(json::parse(answer_input_tokens(body.dump(), fake_model()))["input_tokens"],
            parse_chat(body.dump(), fake_model()).prompts.front().size());
  EXPECT_EQ(param_of(json::object(), answer_apply_template), "messages");
  EXPECT_EQ(param_of({{"messages", 1}}, answer_input_tokens), "messages");
}

TEST(Props, TellWhatClientsLookFor) {
  const json props = json::parse(answer_props(fake_model(), 3));
  EXPECT_EQ(props["default_generation_settings"]["n_ctx"], 1000);
  EXPECT_EQ(props["total_slots"], 3);
  EXPECT_EQ(props["model_alias"], "fake");
  EXPECT_EQ(props["default_generation_settings"]["params"]["seed"], -1);
  ApiModel model = fake_model();
  model.seed = 42;
  model.path = "dir/model.gguf";
  const json other = json::parse(answer_props(model, 3));
  EXPECT_EQ(other["default_generation_settings"]["params"]["seed"], 42);
  EXPECT_EQ(other["model_path"], "dir/model.gguf");
  EXPECT_EQ(props["bos_token"], "<s>");
  EXPECT_NE(props["chat_template"].get<std::string>().find("im_start"), std::string::npos);
}

TEST(Slots, TellWhichAreBusy) {
  const json slots = json::parse(answer_slots(fake_model(), 3, 2));
  ASSERT_EQ(slots.size(), 3U);
  EXPECT_EQ(slots[1]["is_processing"], true);
  EXPECT_EQ(slots[2]["is_processing"], false);
  EXPECT_EQ(slots[2]["id"], 2);
}

TEST(Health, IsAnErrorWhileTheModelIsLoading) {
  EXPECT_EQ(json::parse(answer_health())["status"], "ok");
  EXPECT_EQ(still_loading().status(), 503);
}

}  // namespace
}  // namespace gumbelspec::server::testing
