// The API over the demo pair: its tokenizer, its chat template, and texts that follow a grammar.
#include "apps/server/api/api_model.h"

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "apps/server/api/request.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/walk.h"

namespace gumbelspec::server::testing {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxTokens = 200;

std::unique_ptr<LlamaModel> load(const char* name) {
  LlamaModelOptions options{.path = std::string(GUMBELSPEC_MODELS_DIR) + "/" + name};
  options.n_context = 512;
  options.n_threads = 1;
  return LlamaModel::load(options);
}

struct Demo {
  std::unique_ptr<LlamaModel> target = load("demo-target-q8_0.gguf");
  std::unique_ptr<LlamaModel> draft = load("demo-draft-q8_0.gguf");
  ApiModel api = make_api_model(*target);

  static Demo& get() {
    static Demo demo;
    return demo;
  }
};

// A text under a grammar, as decoding makes it.
struct Text {
  std::vector<TokenId> prompt;
  std::vector<TokenId> generated = {};
  std::uint64_t seed = 1;
  std::shared_ptr<TokenConstraint> grammar = {};
  bool has_ended = false;

  [[nodiscard]] std::vector<TokenId> all() const {
    std::vector<TokenId> tokens = prompt;
    tokens.insert(tokens.end(), generated.begin(), generated.end());
    return tokens;
  }
  [[nodiscard]] bool goes_on() const { return !has_ended && generated.size() < kMaxTokens; }
  void append(const LanguageModel& model, TokenId token) {
    if (!goes_on()) return;
    has_ended = model.is_end(token);
    if (!has_ended) generated.push_back(token);
  }
};

Choice choose_at(const LanguageModel& model, std::size_t row, const Text& text,
                 const std::vector<TokenId>& path) {
  const std::size_t n_vocab = model.limits().n_vocab;
  const std::vector<TokenId> accepted = text.all();
  std::vector<float> noise(n_vocab);
  fill_noise({.seed = text.seed}, position_after(accepted.size() + path.size()), noise);
  LogWeights weights({}, n_vocab);
  return choose(weights(model.row(row), TextView{accepted, path},
                        text.grammar->allowed(text.generated, path)),
                noise);
}

Text decode_plainly(Text text) {
  LlamaModel& target = *Demo::get().target;
  const SeqId seq = target.open();
  EXPECT_EQ(target.extend(seq, std::span(text.prompt).first(text.prompt.size() - 1)),
            PassOutcome::ok);
  while (text.goes_on()) {
    const PassNode node{seq, kCommitted, text.all().back()};
    EXPECT_EQ(target.evaluate({&node, 1}), PassOutcome::ok);
    text.append(target, choose_at(target, 0, text, {}).token);
    const PendingId committed = pending_id(0);
    target.commit(seq, {&committed, 1});
  }
  target.close(seq);
  return text;
}

// The draft's own text below the root, and beside each of its tokens the second best.
DraftTree draft_tree(const Text& text, int length) {
  LlamaModel& draft = *Demo::get().draft;
  const std::vector<TokenId> all = text.all();
  const SeqId seq = draft.open();
  EXPECT_EQ(draft.extend(seq, std::span(all).first(all.size() - 1)), PassOutcome::ok);
  DraftTree tree;
  tree.reset(all.back());
  NodeId node = kRoot;
  std::vector<TokenId> path;
  for (int depth = 0; depth < length; ++depth) {
    const PassNode pass{seq,
                        depth == 0 ? kCommitted : pending_id(static_cast<std::size_t>(depth) - 1),
                        tree.token(node)};
    EXPECT_EQ(draft.evaluate({&pass, 1}), PassOutcome::ok);
    const Choice choice = choose_at(draft, 0, text, path);
    if (choice.runner_up != choice.token) (void)tree.add(node, choice.runner_up, -9.0F);
    node = tree.add(node, choice.token, -1.0F * static_cast<float>(depth));
    path.push_back(choice.token);
    if (draft.is_end(choice.token)) break;
  }
  draft.close(seq);
  return tree;
}

Text decode_with_trees(Text text, std::size_t* n_rounds) {
  LlamaModel& target = *Demo::get().target;
  const SeqId seq = target.open();
  EXPECT_EQ(target.extend(seq, std::span(text.prompt).first(text.prompt.size() - 1)),
            PassOutcome::ok);
  for (*n_rounds = 0; text.goes_on(); ++*n_rounds) {
    const DraftTree tree = draft_tree(text, 4);
    std::vector<PassNode> nodes;
    for (std::size_t i = 0; i < tree.size(); ++i) {
      const PendingId parent = i == 0 ? kCommitted : pending_id(index(tree.parent(node_id(i))));
      nodes.push_back({seq, parent, tree.token(node_id(i))});
    }
    EXPECT_EQ(target.evaluate(nodes), PassOutcome::ok);
    WalkResult result;
    walk(
        tree,
        [&](NodeId node) {
          std::vector<TokenId> path(static_cast<std::size_t>(tree.depth(node)));
          tree.path_tokens(node, path);
          return choose_at(target, index(node), text, path);
        },
        result);
    std::vector<PendingId> committed;
    for (std::size_t i = 0; i < result.path.size() && text.goes_on(); ++i) {
      committed.push_back(pending_id(index(result.path[i])));
      text.append(target, result.choices[i].token);
    }
    target.commit(seq, committed);
  }
  target.close(seq);
  return text;
}

std::string written(const Text& text) {
  std::string out;
  for (const TokenId token : text.generated) out += Demo::get().target->piece(token);
  return out;
}

const json kSchema = {{"type", "object"},
                      {"properties",
                       {{"name", {{"type", "string"}, {"maxLength", 8}}},
                        {"age", {{"type", "integer"}, {"minimum", 0}, {"maximum", 99}}},
                        {"mood", {{"enum", {"glad", "sad"}}}}}},
                      {"required", {"name", "age", "mood"}},
                      {"additionalProperties", false}};

TEST(ApiModel, WritesWhatTheSchemaSaysAndTheSameWithTrees) {
  Demo& demo = Demo::get();
  const json body = {
      {"prompt", "The boy was called"},
      {"response_format", {{"type", "json_schema"}, {"json_schema", {{"schema", kSchema}}}}}};
  const ParsedRequest request = parse_completion(body.dump(), demo.api);
  std::size_t n_tokens = 0;
  std::size_t n_rounds = 0;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Text text{request.prompts.front(), {}, seed, request.grammar->matcher()};
    const Text plain = decode_plainly(text);
    ASSERT_TRUE(plain.has_ended) << written(plain);
    const json value = json::parse(written(plain));
    EXPECT_TRUE(value["name"].is_string());
    EXPECT_GE(value["age"], 0);
    EXPECT_LE(value["age"], 99);
    EXPECT_TRUE(value["mood"] == "glad" || value["mood"] == "sad");
    text.grammar = request.grammar->matcher();
    std::size_t rounds = 0;
    EXPECT_EQ(decode_with_trees(text, &rounds).generated, plain.generated) << "seed " << seed;
    n_tokens += plain.generated.size();
    n_rounds += rounds;
  }
  EXPECT_LT(n_rounds, n_tokens) << "the drafts are accepted";
}

TEST(ApiModel, WritesSomethingElseWithoutTheGrammar) {
  Demo& demo = Demo::get();
  Text text{demo.api.tokenizer->tokenize("The boy was called", {}),
            {},
            1,
            demo.api.compile_grammar("root ::= [^\\x00]*", {})->matcher()};
  EXPECT_FALSE(json::accept(written(decode_plainly(text))));
}

json with_tools(const std::string& choice) {
  const json parameters = {{"type", "object"},
                           {"properties",
                            {{"mood", {{"enum", {"glad", "sad", "calm"}}}},
                             {"age", {{"type", "integer"}, {"minimum", 0}, {"maximum", 99}}}}},
                           {"required", {"mood", "age"}}};
  return {{"messages", {{{"role", "user"}, {"content", "The boy was"}}}},
          {"tools",
           {{{"type", "function"}, {"function", {{"name", "note"}, {"parameters", parameters}}}}}},
          {"tool_choice", choice},
          {"parallel_tool_calls", false}};
}

// The control: another seed gives another call.
TEST(ApiModel, CallsToolsAlikeWithTreesAndWithout) {
  Demo& demo = Demo::get();
  // This model would go on with a second call.
  json body = with_tools("required");
  body["parallel_tool_calls"] = false;
  const ParsedRequest request = parse_chat(body.dump(), demo.api);
  ASSERT_NE(request.chat, nullptr);
  ASSERT_NE(request.grammar, nullptr);
  std::set<std::string> calls;
  std::size_t n_tokens = 0;
  std::size_t n_rounds = 0;
  for (std::uint64_t seed = 1; seed <= 3; ++seed) {
    Text text{request.prompts.front(), {}, seed, request.grammar->matcher()};
    const Text plain = decode_plainly(text);
    // It may have so much white space that it is not whole.
    const Message message = request.chat->format->read(written(plain), !plain.has_ended);
    ASSERT_EQ(message.tool_calls.size(), 1U) << written(plain);
    EXPECT_EQ(message.tool_calls[0].name, "note");
    if (plain.has_ended) EXPECT_LE(json::parse(message.tool_calls[0].arguments)["age"], 99);
    text.grammar = request.grammar->matcher();
    std::size_t rounds = 0;
    EXPECT_EQ(decode_with_trees(text, &rounds).generated, plain.generated) << "seed " << seed;
    calls.insert(written(plain));
    n_tokens += plain.generated.size();
    n_rounds += rounds;
  }
  EXPECT_GT(calls.size(), 1U);
  EXPECT_LT(n_rounds, n_tokens) << "the drafts are accepted";
}

// A text that calls no tool, though it might: that of the same prompt without the grammar, in as
// many rounds.
TEST(ApiModel, LosesNoRoundsToToolsThatAreNotCalled) {
  Demo& demo = Demo::get();
  const ParsedRequest request = parse_chat(with_tools("auto").dump(), demo.api);
  ASSERT_NE(request.grammar, nullptr);
  Text text{request.prompts.front(), {}, 1, request.grammar->matcher()};
  std::size_t n_rounds = 0;
  const Text with = decode_with_trees(text, &n_rounds);
  text.grammar = demo.api.compile_grammar("root ::= [^\\x00]*", {})->matcher();
  std::size_t n_rounds_without = 0;
  const Text without = decode_with_trees(text, &n_rounds_without);
  EXPECT_EQ(with.generated, without.generated);
  EXPECT_EQ(n_rounds, n_rounds_without);
  EXPECT_LT(n_rounds, with.generated.size());
}

TEST(ApiModel, KnowsTheModel) {
  const ApiModel& api = Demo::get().api;
  EXPECT_EQ(api.n_context, 512U);
  EXPECT_EQ(api.tokenizer->n_vocab(), Demo::get().target->limits().n_vocab);
  EXPECT_STREQ(api.chat_template->origin(), "plain");
  EXPECT_EQ(api.fingerprint.substr(0, 18), "b0.5.0-gumbelspec-");
}

TEST(ApiModel, TellsWhatIsWrongInAGrammar) {
  try {
    (void)parse_completion(R"({"prompt": "a", "grammar": "root ::= word"})", Demo::get().api);
    FAIL();
  } catch (const ApiError& error) {
    EXPECT_EQ(error.param(), "grammar");
    EXPECT_NE(std::string(error.what()).find("\"word\" is used but not defined"),
              std::string::npos);
  }
}

TEST(ApiModel, AnswersChatsAsLinesOfText) {
  const ParsedRequest request =
      parse_chat(R"({"messages": [{"role": "user", "content": "Hi"}]})", Demo::get().api);
  EXPECT_EQ(request.prompts.front(), Demo::get().target->tokenize("User: Hi\nAssistant:"));
}

}  // namespace
}  // namespace gumbelspec::server::testing
