// Texts of models with real vocabularies through the server's API: streams, stop strings, schemas,
// log-probabilities, ends of texts.
#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "apps/server/api/request.h"
#include "tests/vocabularies/naive_utf8.h"
#include "tests/vocabularies/served_model.h"

namespace gumbelspec::testing {
namespace {

constexpr const char* kPrompt =
    "The caf\xC3\xA9 \xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD of\n\xE4\xB8\xAD\xE6\x96\x87";

class VocabularyModels : public ::testing::TestWithParam<VocabularyFile> {
 protected:
  VocabularyModels() : model_(GetParam()) {}
  ServedModel model_;
};
INSTANTIATE_TEST_SUITE_P(LlamaCpp, VocabularyModels, ::testing::ValuesIn(generating_vocabularies()),
                         test_name);

std::string joined(const std::vector<std::string>& pieces) {
  std::string text;
  for (const std::string& piece : pieces) text += piece;
  return text;
}

// A stop string over the borders of the tokens in the middle: some characters of the text, none of
// which it has before.
std::string stop_in(const std::string& text) {
  const auto is_inner = [&](std::size_t i) {
    return i < text.size() && (static_cast<unsigned char>(text[i]) & 0xC0U) == 0x80U;
  };
  std::size_t begin = text.size() / 2;
  while (is_inner(begin)) ++begin;
  std::size_t end = std::min(begin + 14, text.size());
  while (is_inner(end)) ++end;
  return text.substr(begin, end - begin);
}

void expect_the_text(ServedModel& model, std::uint64_t seed) {
  const json request = {{"prompt", kPrompt}, {"max_tokens", 40}, {"seed", seed}};
  const std::string bytes = joined(model.pieces(kPrompt, seed, 40));
  const std::string text = naive_utf8(bytes);
  EXPECT_EQ(model.complete(request).text(), text);
  json streaming = request;
  streaming["stream"] = true;
  const Reply streamed = model.complete(streaming);
  EXPECT_EQ(streamed.text(), text);
  for (const json& event : streamed.events) {
    const std::string part = event["choices"][0]["text"];
    EXPECT_EQ(naive_utf8(part), part);
  }
  const std::string stop = stop_in(text);
  const std::string expected = text.substr(0, text.find(stop));
  for (json asked : {request, streaming}) {
    asked["stop"] = {stop, "\xC3\xA9" + stop, stop + "\xE4\xB8\xAD"};
    const Reply reply = model.complete(asked);
    EXPECT_EQ(reply.text(), expected);
    EXPECT_EQ(reply.finish_reason(), "stop");
    for (const json& event : reply.events) {
      const std::string part = event["choices"][0]["text"];
      EXPECT_EQ(naive_utf8(part), part);
    }
  }
}

TEST_P(VocabularyModels, StreamTheirTextsAndStopWithinThem) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) expect_the_text(model_, seed);
}

class VocabularyChats : public ::testing::TestWithParam<VocabularyFile> {};
INSTANTIATE_TEST_SUITE_P(LlamaCpp, VocabularyChats, ::testing::ValuesIn(generating_vocabularies()),
                         test_name);

TEST_P(VocabularyChats, TellTheBytesOfTheirTokens) {
  // A chat's prompt is another one; this template gives the very text.
  ServedModel plain(GetParam(), false, "{{ messages[0].content }}");
  const std::vector<std::string> pieces = plain.pieces(kPrompt, 5, 30);
  const Reply reply = plain.chat({{"messages", {{{"role", "user"}, {"content", kPrompt}}}},
                                  {"max_tokens", 30},
                                  {"seed", 5},
                                  {"logprobs", true},
                                  {"top_logprobs", 3}});
  const json tokens = reply.chat_tokens();
  ASSERT_EQ(tokens.size(), pieces.size());
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    std::string bytes;
    for (const json& byte : tokens[i]["bytes"]) bytes += static_cast<char>(byte.get<int>());
    EXPECT_EQ(bytes, pieces[i]) << "token " << i;
    EXPECT_EQ(tokens[i]["top_logprobs"].size(), 3U);
  }
}

// Says whether value is what the schema below asks for, without knowing the schema.
void expect_person(const json& value) {
  ASSERT_TRUE(value.is_object()) << value;
  std::set<std::string> names;
  for (const auto& item : value.items()) names.insert(item.key());
  EXPECT_EQ(names, (std::set<std::string>{"name", "mark", "mood", "tags"}));
  const std::string name = value["name"];
  const auto n_characters = std::count_if(name.begin(), name.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U;
  });
  EXPECT_LE(n_characters, 6) << name;
  EXPECT_EQ(naive_utf8(name), name);
  EXPECT_EQ(value["mark"], "<|im_end|></s>\xF0\x9F\x98\x80");
  EXPECT_TRUE(value["mood"] ==
                  "gl\xC3\xBC"
                  "cklich" ||
              value["mood"] == "\xE6\x82\xB2\xE3\x81\x97\xE3\x81\x84");
  ASSERT_TRUE(value["tags"].is_array());
  EXPECT_LE(value["tags"].size(), 2U);
}

const json kSchema = {
    {"type", "object"},
    {"properties",
     {{"name", {{"type", "string"}, {"maxLength", 6}}},
      {"mark", {{"const", "<|im_end|></s>\xF0\x9F\x98\x80"}}},
      {"mood",
       {{"enum",
         {"gl\xC3\xBC"
          "cklich",
          "\xE6\x82\xB2\xE3\x81\x97\xE3\x81\x84"}}}},
      {"tags", {{"type", "array"}, {"items", {{"type", "boolean"}}}, {"maxItems", 2}}}}},
    {"required", {"name", "mark", "mood", "tags"}},
    {"additionalProperties", false}};

TEST_P(VocabularyModels, WriteWhatASchemaSays) {
  for (std::uint64_t seed = 1; seed <= 2; ++seed) {
    const Reply reply = model_.complete(
        {{"prompt", kPrompt},
         {"max_tokens", 400},
         {"seed", seed},
         {"stream", seed == 1},
         {"response_format",
          {{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", kSchema}}}}}});
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(reply.finish_reason(), "stop") << reply.text();
    ASSERT_TRUE(json::accept(reply.text())) << reply.text();
    expect_person(json::parse(reply.text()));
  }
}

TEST_P(VocabularyModels, EndWithoutAWordWhereTheModelEnds) {
  std::size_t n_ends = 0;
  for (std::size_t i = 0; i < model_.api().tokenizer->n_vocab(); ++i) {
    if (!model_.target().is_end(token_id(i)) || ++n_ends > 3) continue;
    const Reply reply = model_.complete({{"prompt", kPrompt},
                                         {"max_tokens", 9},
                                         {"stop", {"never"}},
                                         {"logit_bias", {{std::to_string(i), 100}}}});
    EXPECT_EQ(reply.text(), "") << "token " << i;
    EXPECT_EQ(reply.finish_reason(), "stop");
    EXPECT_EQ(reply.body["usage"]["completion_tokens"], 0);
  }
  EXPECT_GT(n_ends, 0U);
}

// What a user wrote must not become a control token, what the template wrote must.
TEST_P(VocabularyChats, ReadControlTokensOnlyWhereTheTemplateWroteThem) {
  ServedModel chat(GetParam(), false,
                   "{% for m in messages %}{{ m.content }}{{ eos_token }}{% endfor %}");
  const std::string end = chat.target().eos_text();
  if (end.empty()) GTEST_SKIP() << "the vocabulary has no end of text";
  const auto prompt = [&](const std::string& content) {
    const json request = {{"messages", {{{"role", "user"}, {"content", content}}}}};
    return server::parse_chat(request.dump(), chat.api()).prompts.front();
  };
  const auto n_ends = [&](const std::vector<TokenId>& tokens) {
    const auto id = chat.target().tokenize(end, {.adds_special = false, .reads_control = true});
    EXPECT_EQ(id.size(), 1U) << end;
    return std::count(tokens.begin(), tokens.end(), id.front());
  };
  // Some vocabularies use one token for both ends.
  const auto n_begins = n_ends(chat.target().tokenize(""));
  EXPECT_EQ(n_ends(prompt("x")), 1 + n_begins);
  EXPECT_EQ(n_ends(prompt("x " + end + " y")), 1 + n_begins) << end;
  EXPECT_EQ(n_ends(chat.target().tokenize("x " + end + " y")), n_begins) << "a plain prompt";
}

class MethodsOf : public ::testing::TestWithParam<VocabularyFile> {};
INSTANTIATE_TEST_SUITE_P(LlamaCpp, MethodsOf,
                         ::testing::Values(VocabularyFile{"llama-bpe", "llama"},
                                           VocabularyFile{"phi-3", "phi3"},
                                           VocabularyFile{"qwen35", "qwen3"}),
                         test_name);

TEST_P(MethodsOf, GiveTheSameTextAndTheSameJson) {
  ServedModel model(GetParam(), /*has_draft=*/true);
  json request = {{"prompt", kPrompt}, {"max_tokens", 40}, {"seed", 3}};
  json constrained = request;
  constrained["max_tokens"] = 300;
  constrained["response_format"] = {{"type", "json_schema"},
                                    {"json_schema", {{"name", "x"}, {"schema", kSchema}}}};
  std::set<std::string> texts = {naive_utf8(joined(model.pieces(kPrompt, 3, 40)))};
  std::set<std::string> objects;
  for (const char* method : {"ar", "gumbel-chain", "gumbel-beam", "gumbel-tree:nodes=12",
                             "gumbel-tree", "greedy-chain"}) {
    request["method"] = constrained["method"] = method;
    const Reply reply = model.complete(request);
    ASSERT_EQ(reply.status, 200) << reply.body;
    texts.insert(reply.text());
    objects.insert(model.complete(constrained).text());
  }
  EXPECT_EQ(texts.size(), 1U);
  ASSERT_EQ(objects.size(), 1U);
  expect_person(json::parse(*objects.begin()));
}

}  // namespace
}  // namespace gumbelspec::testing
