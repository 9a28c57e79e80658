// docs/openapi.json says what the parser reads and what answers look like.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <set>
#include <string>

#include "apps/server/api/embeddings.h"
#include "apps/server/api/tokens.h"
#include "tests/server/api/fake_model.h"

namespace gumbelspec::server::testing {
namespace {

const json& openapi() {
  static const json kDocument = [] {
    std::ifstream file(GUMBELSPEC_SOURCE_DIR "/docs/openapi.json");
    return json::parse(file);
  }();
  return kDocument;
}

const json& schema_of(const std::string& name) { return openapi()["components"]["schemas"][name]; }

// Whether the value has the schema's type; a list of types is one of them.
bool has_type(const json& value, const json& type) {
  if (type.is_array()) {
    return std::any_of(type.begin(), type.end(), [&](const json& t) { return has_type(value, t); });
  }
  const std::string name = type.get<std::string>();
  return (name == "object" && value.is_object()) || (name == "array" && value.is_array()) ||
         (name == "string" && value.is_string()) || (name == "boolean" && value.is_boolean()) ||
         (name == "null" && value.is_null()) || (name == "number" && value.is_number()) ||
         (name == "integer" && value.is_number_integer());
}

// What is wrong with a value, "" for nothing. The part of JSON schema that our file uses.
std::string violation(const json& value, const json& schema, const std::string& at);

std::string object_violation(const json& value, const json& schema, const std::string& at) {
  for (const json& name : schema.value("required", json::array())) {
    if (!value.contains(name.get<std::string>())) return at + " has no " + name.get<std::string>();
  }
  const json properties = schema.value("properties", json::object());
  for (const auto& [name, member] : value.items()) {
    const std::string where = at + "." + name;
    if (properties.contains(name)) {
      if (auto v = violation(member, properties[name], where); !v.empty()) return v;
    } else if (schema.contains("additionalProperties")) {
      const json& others = schema["additionalProperties"];
      if (others == false) return where + " is not in the schema";
      if (auto v = violation(member, others, where); !v.empty()) return v;
    }
  }
  return "";
}

std::string violation(const json& value, const json& schema, const std::string& at) {
  if (schema.contains("$ref")) {
    const std::string ref = schema["$ref"];
    return violation(value, schema_of(ref.substr(ref.rfind('/') + 1)), at);
  }
  if (schema.contains("oneOf")) {
    const auto n = std::count_if(schema["oneOf"].begin(), schema["oneOf"].end(),
                                 [&](const json& s) { return violation(value, s, at).empty(); });
    return n == 1 ? "" : at + " fits " + std::to_string(n) + " of the alternatives";
  }
  if (schema.contains("type") && !has_type(value, schema["type"])) {
    return at + " is " + value.dump() + ", not " + schema["type"].dump();
  }
  if (schema.contains("enum") &&
      std::find(schema["enum"].begin(), schema["enum"].end(), value) == schema["enum"].end()) {
    return at + " is " + value.dump() + ", not one of " + schema["enum"].dump();
  }
  if (value.is_array() && schema.contains("items")) {
    for (std::size_t i = 0; i < value.size(); ++i) {
      auto v = violation(value[i], schema["items"], at + "[" + std::to_string(i) + "]");
      if (!v.empty()) return v;
    }
  }
  return value.is_object() ? object_violation(value, schema, at) : "";
}

void expect_valid(const json& value, const std::string& name) {
  EXPECT_EQ(violation(value, schema_of(name), name), "");
}

const json kChat = {{"messages", {{{"role", "user"}, {"content", "Hi"}}}}};

TEST(OpenApi, HasTheRequestsThatTheParserReads) {
  const auto expect_same = [](const std::string& name, Endpoint endpoint) {
    EXPECT_EQ(schema_of(name), json::parse(request_schema(endpoint)))
        << "put this into docs/openapi.json as " << name << ":\n"
        << request_schema(endpoint);
  };
  expect_same("CompletionRequest", Endpoint::completions);
  expect_same("ChatRequest", Endpoint::chat);
  // One with all of llama.cpp's fields is an answer of that form, too.
  Conversation c;
  c.ask_native({{"prompt", "Hi"}, {"n_probs", 1}, {"return_tokens", true}});
  (void)c.say(FakeRound(byte_tokens("a"), 1));
  c.end();
  EXPECT_EQ(violation(c.body(), schema_of("NativeCompletion"), "body"), "");
}

TEST(OpenApi, IsOfThisVersion) { EXPECT_EQ(openapi()["info"]["version"], GUMBELSPEC_VERSION); }

TEST(OpenApi, HasAllEndpoints) {
  std::set<std::string> paths;
  for (const auto& [path, methods] : openapi()["paths"].items()) paths.insert(path);
  EXPECT_EQ(paths, (std::set<std::string>{"/v1/completions",
                                          "/completion",
                                          "/completions",
                                          "/v1/chat/completions",
                                          "/chat/completions",
                                          "/v1/chat/completions/input_tokens",
                                          "/apply-template",
                                          "/v1/responses",
                                          "/responses",
                                          "/v1/responses/input_tokens",
                                          "/v1/messages",
                                          "/v1/messages/count_tokens",
                                          "/v1/models",
                                          "/v1/models/{id}",
                                          "/models",
                                          "/health",
                                          "/v1/health",
                                          "/props",
                                          "/slots",
                                          "/metrics",
                                          "/predict",
                                          "/models/load",
                                          "/models/unload",
                                          "/tokenize",
                                          "/detokenize",
                                          "/infill",
                                          "/chat/completions/input_tokens",
                                          "/slots/{id}",
                                          "/lora-adapters",
                                          "/v1/embeddings",
                                          "/embeddings",
                                          "/embedding",
                                          "/v1/rerank",
                                          "/v1/reranking",
                                          "/rerank",
                                          "/reranking",
                                          "/api/version",
                                          "/api/tags",
                                          "/api/show",
                                          "/api/chat",
                                          "/api/generate"}));
}

TEST(OpenApi, RefersToSchemasThatAreThere) {
  std::set<std::string> used;
  const std::string text = openapi().dump();
  const std::string prefix = "#/components/schemas/";
  for (auto at = text.find(prefix); at != std::string::npos; at = text.find(prefix, at + 1)) {
    const auto begin = at + prefix.size();
    used.insert(text.substr(begin, text.find('"', begin) - begin));
  }
  std::set<std::string> defined;
  for (const auto& [name, schema] : openapi()["components"]["schemas"].items()) {
    defined.insert(name);
  }
  EXPECT_EQ(used, defined);
}

TEST(OpenApi, CheckerFindsWhatIsWrong) {
  EXPECT_NE(violation(json::object(), schema_of("Usage"), "x"), "");
  json usage = {{"prompt_tokens", 1},
                {"completion_tokens", 1},
                {"total_tokens", 2},
                {"prompt_tokens_details", {{"cached_tokens", 0}}}};
  expect_valid(usage, "Usage");
  usage["prompt_tokens"] = "1";
  EXPECT_NE(violation(usage, schema_of("Usage"), "x"), "");
  usage["prompt_tokens"] = 1;
  usage["more"] = 1;
  EXPECT_NE(violation(usage, schema_of("Usage"), "x"), "");
}

TEST(OpenApi, DescribesCompletions) {
  for (const bool with_logprobs : {false, true}) {
    Conversation c;
    json body = {{"prompt", "Hi"}, {"n", 2}};
    if (with_logprobs) body["logprobs"] = 2;
    c.ask_completion(body);
    (void)c.say(FakeRound(byte_tokens("ab"), 2), 0);
    (void)c.say(FakeRound(byte_tokens("c"), 2), 1);
    c.end(Outcome::eos, 0);
    c.end(Outcome::length, 1);
    expect_valid(c.body(), "Completion");
  }
}

TEST(OpenApi, DescribesVectorsAndRanks) {
  const ApiModel model = fake_model();
  EmbeddingModel embeddings;
  embeddings.n_dimensions = 2;
  EmbeddingRequest request;
  request.texts = {byte_tokens("a"), byte_tokens("b")};
  const std::vector<std::vector<float>> vectors = {{1.0F, 2.0F}, {3.0F, 4.0F}};
  const auto answer = [&] {
    return json::parse(embeddings_answer(request, vectors, model, embeddings));
  };
  expect_valid(answer(), "Embeddings");
  request.is_base64 = true;
  expect_valid(answer(), "Embeddings");
  request.is_native = true;
  expect_valid(answer(), "NativeEmbeddings");
  RankRequest ranks;
  ranks.documents = {"a", "b"};
  ranks.n_best = 2;
  ranks.returns_texts = true;
  for (const bool is_tei : {false, true}) {
    ranks.is_tei = is_tei;
    expect_valid(json::parse(rank_answer(ranks, vectors, model)), "Ranks");
  }
}

TEST(OpenApi, DescribesLlamaCppsForm) {
  Conversation c;
  c.ask_native({{"prompt", "Hi"}, {"logprobs", 1}});
  (void)c.say("a");
  c.end();
  expect_valid(c.body(), "NativeCompletion");
  Conversation stream;
  stream.ask_native({{"prompt", "Hi"}, {"stream", true}});
  (void)stream.say("a");
  stream.end();
  for (std::size_t i = 0; i < 2; ++i) expect_valid(stream.event(i), "NativeCompletion");
}

TEST(OpenApi, DescribesChats) {
  Conversation c;
  json body = kChat;
  body.update({{"logprobs", true}, {"top_logprobs", 1}});
  c.ask_chat(body);
  (void)c.say(FakeRound(byte_tokens("ab"), 1));
  c.end();
  expect_valid(c.body(), "ChatCompletion");
}

TEST(OpenApi, DescribesCallsAndTheOtherFormsOfAChat) {
  constexpr const char* kCall = "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n</tool_call>";
  const json function = {{"name", "f"}, {"parameters", {{"type", "object"}}}};
  json body = kChat;
  body["tools"] = {{{"type", "function"}, {"function", function}}};
  Conversation c;
  c.ask_chat(body);
  (void)c.say(kCall);
  c.end();
  expect_valid(c.body(), "ChatCompletion");
  EXPECT_EQ(c.body()["choices"][0]["finish_reason"], "tool_calls");
  body["stream"] = true;
  Conversation stream;
  stream.ask_chat(body);
  (void)stream.say(kCall);
  stream.end();
  for (std::size_t i = 0; i + 1 < stream.events.size(); ++i) {
    expect_valid(stream.event(i), "ChatCompletionChunk");
  }
  Conversation response;
  response.ask({{"input", "Hi"}}, Endpoint::responses);
  (void)response.say("a");
  response.end();
  expect_valid(response.body(), "Response");
  Conversation message;
  message.ask(kChat, Endpoint::messages);
  (void)message.say("a");
  message.end();
  expect_valid(message.body(), "MessagesAnswer");
  expect_valid(json::parse(answer_input_tokens(kChat.dump(), fake_model(), Endpoint::messages)),
               "InputTokens");
}

void expect_valid_events(const Conversation& c, const std::string& name) {
  ASSERT_GT(c.events.size(), 2U);
  for (std::size_t i = 0; i + 1 < c.events.size(); ++i) expect_valid(c.event(i), name);
  EXPECT_EQ(c.events.back(), "data: [DONE]\n\n");
}

TEST(OpenApi, DescribesEvents) {
  for (const bool includes_usage : {false, true}) {
    const json options = {{"stream", true},
                          {"gumbelspec_trace", true},
                          {"stream_options", {{"include_usage", includes_usage}}}};
    Conversation completion;
    json body = {{"prompt", "Hi"}, {"logprobs", 0}};
    body.update(options);
    completion.ask_completion(body);
    (void)completion.say("ab");
    completion.end();
    expect_valid_events(completion, "CompletionChunk");
    Conversation chat;
    body = kChat;
    body.update(options);
    chat.ask_chat(body);
    (void)chat.say("ab");
    chat.end();
    expect_valid_events(chat, "ChatCompletionChunk");
  }
}

TEST(OpenApi, DescribesErrors) {
  expect_valid(json::parse(bad_request("no", "n").body()), "Error");
  expect_valid(json::parse(bad_request("no", "n").tell("n_ctx", 5).body()), "Error");
  expect_valid(json::parse(still_loading().body()), "Error");
}

TEST(OpenApi, DescribesTheSmallEndpoints) {
  const ApiModel model = fake_model();
  expect_valid(json::parse(answer_models(model)), "Models");
  expect_valid(json::parse(answer_model(model, "fake")), "Model");
  expect_valid(json::parse(answer_props(model, 2)), "Props");
  expect_valid(json::parse(answer_slots(model, 2, 1)), "Slots");
  expect_valid(json::parse(answer_health()), "Health");
  expect_valid(json::parse(answer_tokenize(R"({"content": "a"})", model)), "TokenizeAnswer");
  expect_valid(
      json::parse(answer_tokenize("{\"content\": \"\xC3\xA9\", \"with_pieces\": true}", model)),
      "TokenizeAnswer");
  expect_valid(json::parse(answer_detokenize(R"({"tokens": [65]})", model)), "DetokenizeAnswer");
}

// A value that fits a field's schema: the parser takes it, or refuses it for another reason than
// its form.
TEST(OpenApi, HasDefaultsThatTheParserTakes) {
  for (const FieldDoc& field : request_fields()) {
    if (field.default_value.empty()) continue;
    const json value = json::parse(field.default_value);
    EXPECT_EQ(violation(value, json::parse(field.schema), std::string(field.name)), "");
    if (field.in_completions) {
      const json body = {{"prompt", "Hi"}, {std::string(field.name), value}};
      EXPECT_NO_THROW((void)parse_completion(body.dump(), fake_model())) << field.name;
    }
    if (field.in_chat) {
      json body = kChat;
      body[std::string(field.name)] = value;
      EXPECT_NO_THROW((void)parse_chat(body.dump(), fake_model())) << field.name;
    }
  }
}

TEST(OpenApi, HasNoFieldTwice) {
  std::set<std::string_view> names;
  for (const FieldDoc& field : request_fields()) {
    EXPECT_TRUE(names.insert(field.name).second) << field.name;
    EXPECT_TRUE(field.in_completions || field.in_chat) << field.name;
    EXPECT_FALSE(field.description.empty()) << field.name;
  }
}

}  // namespace
}  // namespace gumbelspec::server::testing
