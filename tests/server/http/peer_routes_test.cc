// What llama.cpp's server and Ollama have besides OpenAI's endpoints, over HTTP; and where a server
// listens.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/server/http/http_fixture.h"

namespace gumbelspec::server {
namespace {

using ::testing::HasSubstr;
using testing::HttpTest;
using testing::Json;

constexpr const char* kJson = "application/json";

class Folder {
 public:
  Folder()
      : path_(std::filesystem::temp_directory_path() / ("peer_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(const char* name) const { return (path_ / name).string(); }
  [[nodiscard]] std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

TEST_F(HttpTest, SavesRestoresAndErasesSlots) {
  const Folder folder;
  listen();
  ServiceOptions options{.n_active = 2, .n_waiting = 2};
  options.slot_folder = folder.path();
  serve(options);
  const auto act = [&](const char* path, const char* body) {
    return client().Post(path, body, kJson);
  };
  const auto saved = act("/slots/1?action=save", R"({"filename": "one.bin"})");
  ASSERT_EQ(saved->status, 200) << saved->body;
  const Json told = Json::parse(saved->body);
  EXPECT_EQ(told["id_slot"], 1);
  EXPECT_EQ(told["n_saved"], 1);
  EXPECT_EQ(told["n_written"], std::filesystem::file_size(folder / "one.bin"));
  EXPECT_EQ(Json::parse(act("/slots/0?action=erase", "")->body)["n_erased"], 1);
  const auto restored = act("/slots/0?action=restore", R"({"filename": "one.bin"})");
  ASSERT_EQ(restored->status, 200) << restored->body;
  EXPECT_EQ(Json::parse(restored->body)["n_restored"], 1);
  EXPECT_EQ(Json::parse(restored->body)["n_read"], told["n_written"]);
  // Nothing outside of the folder, no other action, no other slot.
  for (const char* wrong : {R"({"filename": "../one.bin"})", R"({"filename": "two.bin"})",
                            R"({"filename": 1})", "{}", "x"}) {
    EXPECT_EQ(act("/slots/0?action=restore", wrong)->status, 400) << wrong;
  }
  EXPECT_EQ(act("/slots/0?action=save", R"({"filename": "/tmp/one.bin"})")->status, 400);
  EXPECT_EQ(act("/slots/0?action=copy", "{}")->status, 400);
  EXPECT_EQ(act("/slots/0", "{}")->status, 400);
  EXPECT_EQ(act("/slots/2?action=erase", "")->status, 400);
  EXPECT_EQ(act("/slots/x?action=erase", "")->status, 400);
  std::ofstream(folder / "one.bin", std::ios::app) << "x";
  EXPECT_EQ(act("/slots/0?action=restore", R"({"filename": "one.bin"})")->status, 400);
}

TEST_F(HttpTest, KeepsNoSlotsInFilesUnlessItHasAFolder) {
  listen();
  serve();
  const auto refused = client().Post("/slots/0?action=save", R"({"filename": "a"})", kJson);
  EXPECT_EQ(refused->status, 501);
  EXPECT_THAT(refused->body, HasSubstr("--slot-save-path"));
  EXPECT_EQ(client().Post("/slots/0?action=erase", "", kJson)->status, 200);
}

TEST_F(HttpTest, SaysWhatIsNotServed) {
  HttpOptions options;
  options.has_slots = false;
  options.has_metrics = false;
  options.has_page = false;
  listen(options);
  serve();
  EXPECT_EQ(client().Get("/slots")->status, 501);
  EXPECT_EQ(client().Post("/slots/0?action=erase", "", kJson)->status, 200) << "as llama.cpp's";
  EXPECT_EQ(client().Get("/metrics")->status, 501);
  for (const char* path : {"/models/load", "/models/unload"}) {
    EXPECT_EQ(client().Post(path, R"({"model": "bytes"})", kJson)->status, 501);
  }
  EXPECT_EQ(client().Get("/", httplib::Headers{{"Accept", "text/html"}})->status, 404);
  for (const char* path : {"/v1/embeddings", "/embeddings"}) {
    const auto refused = client().Post(path, R"({"input": "a"})", kJson);
    EXPECT_EQ(refused->status, 501);
    EXPECT_THAT(refused->body, HasSubstr("embeddings"));
  }
  EXPECT_EQ(client().Post("/rerank", R"({"query": "a", "documents": ["b"]})", kJson)->status, 501);
  EXPECT_EQ(client().Post("/infill", R"({"input_prefix": "", "input_suffix": ""})", kJson)->status,
            501);
}

class OneNumber final : public TextEmbedder {
 public:
  std::vector<std::vector<float>> embed(std::span<const std::vector<TokenId>> texts) override {
    return std::vector<std::vector<float>>(texts.size(), {2.0F});
  }
  [[nodiscard]] std::vector<TokenId> pair_tokens(std::string_view /*query*/,
                                                 std::string_view /*document*/) const override {
    return {token_id(1)};
  }
};

TEST_F(HttpTest, MakesVectorsInsteadOfTexts) {
  listen();
  EmbeddingService embeddings(testing::byte_model(),
                              {std::make_shared<OneNumber>(), Pooling::rank, 1, 8}, 0, metrics_);
  http_->set_embeddings(embeddings);
  EXPECT_EQ(client().Post("/v1/embeddings", R"({"input": "ab"})", kJson)->status, 503)
      << "before it is ready";
  serve();
  const auto vectors = client().Post("/v1/embeddings", R"({"input": ["ab", "c"]})", kJson);
  ASSERT_EQ(vectors->status, 200) << vectors->body;
  EXPECT_EQ(Json::parse(vectors->body)["data"][1]["embedding"], Json({1.0}));
  for (const char* path : {"/embeddings", "/embedding"}) {
    const auto native = client().Post(path, R"({"content": "ab"})", kJson);
    EXPECT_EQ(Json::parse(native->body), Json::parse(R"([{"index": 0, "embedding": [[1.0]]}])"));
  }
  for (const char* path : {"/v1/rerank", "/v1/reranking", "/rerank", "/reranking"}) {
    const auto ranks = client().Post(path, R"({"query": "a", "documents": ["b"]})", kJson);
    EXPECT_EQ(Json::parse(ranks->body)["results"][0]["relevance_score"], 2.0) << path;
  }
  EXPECT_EQ(client().Post("/v1/embeddings", R"({"input": "123456789"})", kJson)->status, 400);
  for (const char* path : {"/v1/completions", "/completion"}) {
    const auto refused = client().Post(path, R"({"prompt": "a"})", kJson);
    EXPECT_EQ(refused->status, 501) << path;
    EXPECT_THAT(refused->body, HasSubstr("--embeddings"));
  }
  EXPECT_THAT(client().Get("/metrics")->body, HasSubstr("llamacpp:prompt_tokens_total 11"));
  http_.reset();  // before what it asks
}

TEST_F(HttpTest, HasNoAdapters) {
  listen();
  serve();
  EXPECT_EQ(client().Get("/lora-adapters")->body, "[]");
  EXPECT_EQ(client().Post("/lora-adapters", "[]", kJson)->status, 200);
  EXPECT_EQ(client().Post("/lora-adapters", R"([{"id": 0, "scale": 1}])", kJson)->status, 400);
  for (const char* wrong : {"x", "{}", "1", "[1]", R"([{"id": 0}])"}) {
    EXPECT_EQ(client().Post("/lora-adapters", wrong, kJson)->status, 400) << wrong;
  }
  const auto wrong = client().Delete("/lora-adapters");
  EXPECT_EQ(wrong->status, 405);
  EXPECT_EQ(wrong->get_header_value("Allow"), "GET, HEAD, POST");
}

TEST_F(HttpTest, AnswersOllamasClients) {
  listen();
  EXPECT_EQ(client().Get("/api/tags")->status, 503);
  serve();
  EXPECT_TRUE(Json::parse(client().Get("/api/version")->body)["version"].is_string());
  EXPECT_EQ(Json::parse(client().Get("/api/tags")->body)["models"][0]["name"], "bytes");
  EXPECT_EQ(Json::parse(
                client().Post("/api/show", R"({"model": "x"})", kJson)->body)["details"]["format"],
            "gguf");
  const auto lines = client().Post(
      "/api/generate", R"({"prompt": "a", "raw": true, "options": {"num_predict": 3}})", kJson);
  ASSERT_EQ(lines->status, 200);
  EXPECT_EQ(lines->get_header_value("Content-Type"), "application/x-ndjson");
  std::istringstream stream(lines->body);
  std::string text;
  Json last;
  for (std::string line; std::getline(stream, line);) {
    last = Json::parse(line);
    text += last["response"].get<std::string>();
  }
  EXPECT_EQ(text, "abc");
  EXPECT_EQ(last["done"], true);
  EXPECT_EQ(last["done_reason"], "length");
  const auto whole =
      client().Post("/api/chat",
                    R"({"messages": [{"role": "user", "content": "a"}], "stream": false,
          "options": {"num_predict": 2}})",
                    kJson);
  EXPECT_EQ(Json::parse(whole->body)["message"]["role"], "assistant");
  EXPECT_EQ(Json::parse(whole->body)["eval_count"], 2);
  // Its clients read errors as text.
  const auto wrong = client().Post("/api/chat", R"({"messages": 1})", kJson);
  EXPECT_EQ(wrong->status, 400);
  EXPECT_TRUE(Json::parse(wrong->body)["error"].is_string()) << wrong->body;
  EXPECT_EQ(client().Post("/api/generate", R"({"options": {"mirostat": 3}})", kJson)->status, 400);
}

TEST_F(HttpTest, ListensOnSeveralAddressesAndASocket) {
  const Folder folder;
  const std::string socket = folder / "server.sock";
  HttpOptions options;
  options.host = "127.0.0.1, 127.0.0.2," + socket;
  listen(options);
  serve();
  EXPECT_THAT(http_->url(), HasSubstr(", http://127.0.0.2:"));
  EXPECT_THAT(http_->url(), HasSubstr("http+unix://" + socket));
  for (const char* host : {"127.0.0.1", "127.0.0.2"}) {
    httplib::Client client(host, port());
    EXPECT_EQ(client.Post("/completion", body("a", 1), kJson)->status, 200) << host;
  }
  const auto over_socket = [&] {
    httplib::Client local(socket);
    local.set_address_family(AF_UNIX);
    const auto result = local.Get("/health");
    return result ? result->status : 0;
  };
  EXPECT_EQ(over_socket(), 200);
  // A socket that is in use is nobody else's; a dead one is taken.
  HttpOptions again;
  again.host = socket;
  EXPECT_THROW(HttpServer(again, metrics_), Error);
  EXPECT_EQ(over_socket(), 200);
  http_.reset();
  EXPECT_FALSE(std::filesystem::exists(socket));
  EXPECT_THROW((void)listed_hosts("127.0.0.1,"), Error);
}

TEST_F(HttpTest, ServesBelowAPrefix) {
  HttpOptions options;
  options.prefix = "/llm.v1";
  options.keys = ApiKeys({"secret"});
  listen(options);
  serve();
  EXPECT_EQ(client().Get("/llm.v1/health")->status, 200);
  EXPECT_EQ(client().Get("/health")->status, 401) << "no such path, and no key";
  EXPECT_EQ(client().Get("/llmxv1/health")->status, 401);
  EXPECT_EQ(client().Get("/llm.v1/models")->status, 401);
  const httplib::Headers key = {{"Authorization", "Bearer secret"}};
  EXPECT_EQ(client().Get("/llm.v1/v1/models/bytes", key)->status, 200);
  EXPECT_EQ(client().Get("/v1/models", key)->status, 404);
  EXPECT_EQ(client().Get("/llm.v1", key)->status, 200) << "the list";
}

TEST_F(HttpTest, PredictsForVertex) {
  HttpOptions options;
  options.predict_path = "/v1/models/x:predict";
  options.health_path = "/ping";
  options.keys = ApiKeys({"secret"});
  listen(options);
  serve();
  const httplib::Headers key = {{"Authorization", "Bearer secret"}};
  EXPECT_EQ(client().Get("/ping")->status, 200);
  EXPECT_EQ(client().Post("/predict", key, "{}", kJson)->status, 404);
  EXPECT_EQ(client().Post(options.predict_path, "{}", kJson)->status, 401);
  const auto predict = [&](const Json& instances) {
    return client().Post(options.predict_path, key, Json{{"instances", instances}}.dump(), kJson);
  };
  // More than there are places, whole also where a stream is asked for, each with its own errors.
  Json instances = Json::array();
  for (int i = 0; i < 8; ++i) {
    instances.push_back({{"@requestFormat", i % 2 == 0 ? "completion" : "/completion"},
                         {"prompt", std::string(1, static_cast<char>('a' + i))},
                         {"n_predict", 2},
                         {"stream", true}});
  }
  instances.push_back({{"@requestFormat", "chatCompletions"},
                       {"max_tokens", 2},
                       {"messages", {{{"role", "user"}, {"content", "a"}}}}});
  instances.push_back({{"@requestFormat", "tokenize"}, {"content", "a"}});
  instances.push_back({{"@requestFormat", "completions"}, {"prompt", 1}});
  for (const char* format : {"apiChat", "/api/chat", "health", "", "predict", "slots"}) {
    instances.push_back({{"@requestFormat", format}});
  }
  instances.push_back({{"prompt", "a"}});
  instances.push_back(1);
  const auto result = predict(instances);
  ASSERT_EQ(result->status, 200) << result->body;
  const Json predictions = Json::parse(result->body)["predictions"];
  ASSERT_EQ(predictions.size(), instances.size());
  for (std::size_t i = 0; i < 8; ++i) {
    const char first = static_cast<char>('a' + i);
    EXPECT_EQ(predictions[i]["content"], (std::string{first, static_cast<char>(first + 1)}));
  }
  EXPECT_EQ(predictions[8]["object"], "chat.completion");
  EXPECT_EQ(predictions[9]["tokens"], Json({97}));
  for (std::size_t i = 10; i < predictions.size(); ++i) {
    EXPECT_EQ(predictions[i]["error"]["type"], "invalid_request_error") << i << predictions[i];
  }
  for (const Json& wrong : {Json(1), Json(nullptr), Json::object(), Json(std::vector<int>(129))}) {
    EXPECT_EQ(predict(wrong)->status, 400) << wrong;
  }
  EXPECT_EQ(client().Post(options.predict_path, key, "{}", kJson)->status, 400);
  EXPECT_EQ(Json::parse(predict(Json::array())->body)["predictions"], Json::array());
}

TEST_F(HttpTest, CountsUnderLlamaCppsNames) {
  listen();
  serve();
  (void)client().Post("/completion", body("ab", 3), kJson);
  const auto metrics = client().Get("/metrics");
  EXPECT_TRUE(metrics->has_header("Process-Start-Time-Unix"));
  EXPECT_THAT(metrics->body, HasSubstr("\nllamacpp:prompt_tokens_total 2\n"));
  EXPECT_THAT(metrics->body, HasSubstr("\nllamacpp:n_tokens_max 5\n"));
  EXPECT_THAT(metrics->body, HasSubstr("\nllamacpp:requests_processing 0\n"));
}

}  // namespace
}  // namespace gumbelspec::server
