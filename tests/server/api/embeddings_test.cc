// Requests for vectors and ranks, and the forms of their answers.
#include "apps/server/api/embeddings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/api/fake_model.h"

namespace gumbelspec::server::testing {
namespace {

using ::testing::HasSubstr;
using Texts = std::vector<std::vector<TokenId>>;
using Vectors = std::vector<std::vector<float>>;

class FakeEmbedder final : public TextEmbedder {
 public:
  Vectors embed(std::span<const std::vector<TokenId>> texts) override {
    return Vectors(texts.size(), {3.0F, -4.0F});
  }
  [[nodiscard]] std::vector<TokenId> pair_tokens(std::string_view query,
                                                 std::string_view document) const override {
    std::vector<TokenId> tokens = byte_tokens(query);
    for (const TokenId token : byte_tokens(document)) tokens.push_back(token);
    return tokens;
  }
};

EmbeddingModel embedding_model(Pooling pooling = Pooling::mean) {
  return {std::make_shared<FakeEmbedder>(), pooling, 2, 10};
}

EmbeddingRequest parsed(const json& body, bool is_native = false, Pooling pooling = Pooling::mean) {
  return parse_embeddings(body.dump(), fake_model(), embedding_model(pooling), is_native);
}

std::string refusal(const json& body, bool is_native = false, Pooling pooling = Pooling::mean) {
  try {
    (void)parsed(body, is_native, pooling);
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    return error.what();
  }
  return "taken";
}

TEST(Embeddings, TakeTextsTokensAndListsOfThem) {
  const std::vector<TokenId> ab = {kBos, token_id('a'), token_id('b')};
  EXPECT_EQ(parsed({{"input", "ab"}}).texts, Texts{ab});
  EXPECT_EQ(parsed({{"input", {256, 97, "b"}}}).texts, Texts{ab});
  EXPECT_EQ(parsed({{"input", {"ab", json::array({256, 97, 98})}}}).texts, (Texts{ab, ab}));
  EXPECT_EQ(parsed({{"input", {{{"prompt_string", "ab"}}, "ab"}}}).texts, (Texts{ab, ab}));
  EXPECT_EQ(parsed({{"content", "ab"}}).texts, Texts{ab});
  EXPECT_EQ(parsed({{"input", ""}}).texts, Texts{std::vector<TokenId>{kBos}});
  EXPECT_EQ(parsed({{"input", std::string(9, 'a')}}).n_tokens(), 10U) << "as many as fit";
  EXPECT_EQ(parsed({{"input", json(std::vector<std::string>(kMaxInputs, "a"))}}).texts.size(),
            kMaxInputs);
}

TEST(Embeddings, AreRefusedInOneLine) {
  EXPECT_THAT(refusal({{"model", "x"}}), HasSubstr("there is no input"));
  EXPECT_THAT(refusal({{"input", nullptr}}), HasSubstr("there is no input"));
  EXPECT_THAT(refusal({{"input", 5}}), HasSubstr("input is 5"));
  EXPECT_THAT(refusal({{"input", json::array()}}), HasSubstr("input is an array of 0"));
  EXPECT_THAT(refusal({{"input", {"a", true}}}), HasSubstr("input[1] is true"));
  EXPECT_THAT(refusal({{"input", {97, 261}}}), HasSubstr("input[1] is 261"));
  EXPECT_THAT(refusal({{"input", json(std::vector<std::string>(kMaxInputs + 1, "a"))}}),
              HasSubstr("1 to 2048"));
  EXPECT_THAT(refusal({{"input", {"a", std::string(10, 'a')}}}),
              HasSubstr("input[1] has 11 tokens, which is too large"));
  EXPECT_THAT(refusal({{"input", json(std::vector<int>(11, 97))}}), HasSubstr("too large"));
  EXPECT_THAT(refusal({{"input", "a"}, {"encoding_format", "hex"}}), HasSubstr("float or base64"));
  EXPECT_THAT(refusal({{"input", "a"}, {"encoding_format", 1}}), HasSubstr("a string"));
  EXPECT_THAT(refusal({{"input", "a"}, {"embd_normalize", -2}}), HasSubstr("embd_normalize is -2"));
  EXPECT_THAT(refusal({{"input", "a"}, {"dimensions", 1}}), HasSubstr("must be 2"));
  EXPECT_THAT(refusal({{"input", {{"prompt_string", "a"}, {"multimodal_data", {"x"}}}}}),
              HasSubstr("text only"));
  EXPECT_THAT(refusal({{"input", "a"}}, false, Pooling::none), HasSubstr("--pooling"));
  EXPECT_EQ(refusal({{"input", "a"}}, true, Pooling::none), "taken");
  EXPECT_THAT(refusal({{"input", "a"}, {"encoding_format", "base64"}}, true),
              HasSubstr("/v1/embeddings"));
  EXPECT_EQ(refusal({{"input", "a"}, {"dimensions", 2}, {"user", "u"}}), "taken");
}

TEST(Embeddings, OfNothingAreRefused) {
  ApiModel model = fake_model();
  class NoTokens final : public Tokenizer {
   public:
    std::vector<TokenId> tokenize(std::string_view /*text*/,
                                  const TokenizeOptions& /*options*/) const override {
      return {};
    }
    std::string piece(TokenId /*token*/) const override { return {}; }
    std::size_t n_vocab() const override { return 1; }
  };
  model.tokenizer = std::make_shared<NoTokens>();
  EXPECT_THROW((void)parse_embeddings(R"({"input": ""})", model, embedding_model(), false),
               ApiError);
}

TEST(Embeddings, RefuseUnknownFieldsWhereTheModelDoes) {
  ApiModel model = fake_model();
  EXPECT_NO_THROW(
      (void)parse_embeddings(R"({"input": "a", "x": 1})", model, embedding_model(), false));
  model.refuses_unknown_fields = true;
  EXPECT_THROW((void)parse_embeddings(R"({"input": "a", "x": 1})", model, embedding_model(), false),
               ApiError);
}

TEST(Embeddings, AreAnsweredInOpenAisForm) {
  const EmbeddingRequest request = parsed({{"input", {"ab", "c"}}});
  const json answer = json::parse(
      embeddings_answer(request, {{3.0F, -4.0F}, {0.0F, 2.0F}}, fake_model(), embedding_model()));
  EXPECT_EQ(answer["object"], "list");
  EXPECT_EQ(answer["model"], "fake");
  EXPECT_EQ(answer["usage"], json({{"prompt_tokens", 5}, {"total_tokens", 5}}));
  ASSERT_EQ(answer["data"].size(), 2U);
  EXPECT_EQ(answer["data"][1]["index"], 1);
  EXPECT_EQ(answer["data"][1]["object"], "embedding");
  EXPECT_EQ(answer["data"][1]["embedding"], json({0.0, 1.0}));
  EXPECT_NEAR(answer["data"][0]["embedding"][1].get<double>(), -0.8, 1e-6);
}

// By Python: base64.b64encode(struct.pack("<2f", 1.5, -2)), and of three numbers.
TEST(Embeddings, AreAnsweredAsBase64) {
  const EmbeddingRequest request =
      parsed({{"input", "a"}, {"encoding_format", "base64"}, {"embd_normalize", -1}});
  const auto encoded = [&](const std::vector<float>& vector) {
    return json::parse(embeddings_answer(request, {vector}, fake_model(),
                                         embedding_model()))["data"][0]["embedding"];
  };
  EXPECT_EQ(encoded({1.5F, -2.0F}), "AADAPwAAAMA=");
  EXPECT_EQ(encoded({1.5F, -2.0F, 0.25F}), "AADAPwAAAMAAAIA+");
  EXPECT_EQ(encoded({1.0F}), "AACAPw==");
}

TEST(Embeddings, AreAnsweredInLlamaCppsForm) {
  const EmbeddingRequest request = parsed({{"input", "ab"}}, true, Pooling::none);
  const Vectors vectors = {{1.0F, 2.0F, 3.0F, 4.0F, 5.0F, 6.0F}};
  EXPECT_EQ(json::parse(
                embeddings_answer(request, vectors, fake_model(), embedding_model(Pooling::none))),
            json::parse(R"([{"index": 0, "embedding": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]}])"));
}

RankRequest ranked(const json& body) {
  return parse_rank(body.dump(), fake_model(), embedding_model(Pooling::rank));
}

TEST(Ranks, AreAnsweredInJinasForm) {
  const RankRequest request =
      ranked({{"query", "q"}, {"documents", {"a", {{"text", "bc"}}, "d"}}, {"top_n", 2}});
  EXPECT_EQ(request.pairs[1], byte_tokens("qbc"));
  const json answer = json::parse(rank_answer(request, {{0.5F}, {-1.0F}, {0.5F}}, fake_model()));
  EXPECT_EQ(answer["usage"], json({{"prompt_tokens", 7}, {"total_tokens", 7}}));
  EXPECT_EQ(answer["results"], json::parse(R"([{"index": 0, "relevance_score": 0.5},
                                               {"index": 2, "relevance_score": 0.5}])"));
}

TEST(Ranks, AreAnsweredInTheOtherForm) {
  const RankRequest request =
      ranked({{"query", "q"}, {"texts", {"a", "b"}}, {"return_text", true}});
  EXPECT_EQ(json::parse(rank_answer(request, {{0.5F}, {2.0F}}, fake_model())),
            json::parse(R"([{"index": 1, "score": 2.0, "text": "b"},
                            {"index": 0, "score": 0.5, "text": "a"}])"));
}

TEST(Ranks, AreRefusedInOneLine) {
  const auto why = [](const json& body) -> std::string {
    try {
      (void)ranked(body);
    } catch (const ApiError& error) {
      EXPECT_EQ(error.status(), 400);
      return error.what();
    }
    return "taken";
  };
  EXPECT_THAT(why({{"documents", {"a"}}}), HasSubstr("no query"));
  EXPECT_THAT(why({{"query", "q"}}), HasSubstr("no documents"));
  EXPECT_THAT(why({{"query", 1}, {"documents", {"a"}}}), HasSubstr("query is 1"));
  for (const json& documents : {json::array(), json(123), json({1, 2}), json("a")}) {
    EXPECT_THAT(why({{"query", "q"}, {"documents", documents}}), HasSubstr("documents"));
  }
  EXPECT_THAT(why({{"query", "q"}, {"documents", {std::string(10, 'a')}}}), HasSubstr("too large"));
  EXPECT_THAT(why({{"query", "q"}, {"documents", {"a"}}, {"texts", {"a"}}}), HasSubstr("both"));
  EXPECT_THAT(why({{"query", "q"}, {"documents", {"a"}}, {"top_n", 0}}), HasSubstr("top_n is 0"));
  try {
    (void)parse_rank("{}", fake_model(), embedding_model());
    ADD_FAILURE() << "an embedding model ranks";
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 501);
    EXPECT_THAT(error.what(), HasSubstr("--reranking"));
  }
}

}  // namespace
}  // namespace gumbelspec::server::testing
