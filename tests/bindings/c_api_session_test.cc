// One text through the C API; the program is the oracle.
#include <gmock/gmock.h>

#include <chrono>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>

#include "tests/bindings/c_api_fixture.h"
#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using CApiSession = CApi;

TEST_F(CApiSession, AllMethodsGiveTheTextOfTheProgramsPlainDecoding) {
  const ProcessResult program =
      run_program({"generate", "-p", "The old house", "-n", "24", "--seed", "7", "--temp", "0.8",
                   "--top-p", "0.9", "--method", "ar", "--json"});
  const auto json = nlohmann::json::parse(program.out);
  for (const std::string method :
       {"ar", "greedy-chain", "gumbel-chain", "gumbel-beam:width=2,length=3", "gumbel-tree"}) {
    const SessionText text =
        text_of(pair_, "The old house",
                R"({"seed": 7, "max_tokens": 24, "temperature": 0.8, "top_p": 0.9, "method": ")" +
                    method + "\"}");
    EXPECT_EQ(text.text, json["text"].get<std::string>()) << method;
    EXPECT_EQ(text.tokens, json["tokens"].get<std::vector<int>>()) << method;
    EXPECT_EQ(text.outcome, GUMBELSPEC_LENGTH) << method;
  }
}

TEST_F(CApiSession, TheAcceptedNodesAreTheRoundsTokens) {
  const SessionPtr session =
      new_session(pair_, R"({"seed": 1, "max_tokens": 40, "method": "gumbel-beam:width=3"})");
  const std::vector<int> prompt = tokenize(pair_, "It was");
  const gumbelspec_round* round = nullptr;
  ASSERT_EQ(gumbelspec_session_start(session.get(), prompt.data(), prompt.size(), &round), 0);
  EXPECT_EQ(round->n_nodes, 0U);
  std::size_t n_accepted = 0;
  int root = prompt.back();
  while (round->outcome == GUMBELSPEC_RUNNING) {
    ASSERT_EQ(gumbelspec_session_step(session.get(), &round), 0);
    ASSERT_GE(round->n_nodes, 1U);
    EXPECT_EQ(round->nodes[0].token, root);
    EXPECT_EQ(round->nodes[0].parent, -1);
    std::size_t depth = 0;
    int last = 0;
    for (std::size_t i = 1; i < round->n_nodes; ++i) {
      const gumbelspec_node& node = round->nodes[i];
      EXPECT_LT(node.parent, static_cast<int>(i));
      EXPECT_EQ(node.depth, round->nodes[node.parent].depth + 1);
      if (node.is_accepted == 0) continue;
      EXPECT_EQ(node.parent, last);
      last = static_cast<int>(i);
      if (depth < round->n_tokens) {
        EXPECT_EQ(node.token, round->tokens[depth].token);
        EXPECT_EQ(round->tokens[depth].was_drafted, 1);
      }
      ++depth;
    }
    n_accepted += depth;
    root = round->tokens[round->n_tokens - 1].token;
  }
  EXPECT_GT(n_accepted, 5U);
}

TEST_F(CApiSession, LogprobsAreSortedAndThoseOfTheTokens) {
  const SessionPtr session =
      new_session(pair_, R"({"seed": 4, "max_tokens": 12, "logprobs": 50, "method": "ar"})");
  const std::vector<int> prompt = tokenize(pair_, "It was");
  const gumbelspec_round* round = nullptr;
  ASSERT_EQ(gumbelspec_session_start(session.get(), prompt.data(), prompt.size(), &round), 0);
  EXPECT_EQ(round->logprobs, nullptr);
  while (round->outcome == GUMBELSPEC_RUNNING) {
    ASSERT_EQ(gumbelspec_session_step(session.get(), &round), 0);
    ASSERT_EQ(round->n_top, 50U);
    for (std::size_t i = 0; i < round->n_tokens; ++i) {
      EXPECT_EQ(round->logprobs[i].token, round->tokens[i].token);
      const gumbelspec_logprob* const top = round->top_logprobs + i * round->n_top;
      for (std::size_t j = 1; j < round->n_top; ++j) EXPECT_LE(top[j].logprob, top[j - 1].logprob);
      EXPECT_LE(round->logprobs[i].logprob, top[0].logprob);
      EXPECT_LE(top[0].logprob, 0.0F);
    }
  }
}

TEST_F(CApiSession, AStopTextEndsTheTextBeforeIt) {
  const std::string options = R"("seed": 7, "max_tokens": 40, "method": "gumbel-beam:width=2")";
  const std::string whole = text_of(pair_, "The old house", "{" + options + "}").text;
  const std::string stop = whole.substr(30, 5);
  nlohmann::json json = nlohmann::json::parse("{" + options + "}");
  json["stop"] = {stop};
  const SessionText text = text_of(pair_, "The old house", json.dump());
  EXPECT_EQ(text.outcome, GUMBELSPEC_STOP);
  EXPECT_EQ(text.text, whole.substr(0, whole.find(stop)));
}

TEST_F(CApiSession, TextsOfAGrammarCanBeBegunAgain) {
  const SessionPtr session = new_session(
      pair_, R"({"seed": 3, "max_tokens": 20, "grammar": "root ::= \"yes\" | \"no\""})");
  const std::vector<int> prompt = tokenize(pair_, "Answer:");
  const SessionText first = text_of(session.get(), prompt);
  EXPECT_TRUE(first.text == "yes" || first.text == "no") << first.text;
  EXPECT_EQ(text_of(session.get(), prompt).text, first.text);
}

TEST_F(CApiSession, ASessionIsAsNewAfterItWasCancelled) {
  const std::string options = R"({"seed": 5, "max_tokens": 30, "method": "gumbel-beam:width=2"})";
  const SessionPtr session = new_session(pair_, options);
  const std::vector<int> prompt = tokenize(pair_, "The old house");
  const std::string whole = text_of(session.get(), prompt).text;
  const gumbelspec_round* round = nullptr;
  // Before a call, which it then ends.
  gumbelspec_session_cancel(session.get());
  ASSERT_EQ(gumbelspec_session_start(session.get(), prompt.data(), prompt.size(), &round), 0);
  EXPECT_EQ(round->outcome, GUMBELSPEC_CANCELLED);
  EXPECT_EQ(gumbelspec_session_step(session.get(), &round), GUMBELSPEC_WRONG_STATE);
  // Between two rounds.
  ASSERT_EQ(gumbelspec_session_start(session.get(), prompt.data(), prompt.size(), &round), 0);
  ASSERT_EQ(gumbelspec_session_step(session.get(), &round), 0);
  gumbelspec_session_cancel(session.get());
  ASSERT_EQ(gumbelspec_session_step(session.get(), &round), 0);
  EXPECT_EQ(round->outcome, GUMBELSPEC_CANCELLED);
  EXPECT_EQ(round->n_tokens, 0U);
  EXPECT_EQ(text_of(session.get(), prompt).text, whole);
}

TEST_F(CApiSession, AnotherThreadCancelsInTheMiddleOfAPass) {
  const SessionPtr session = new_session(pair_, R"({"seed": 5, "max_tokens": 8})");
  std::vector<int> prompt = tokenize(pair_, "The old house");
  const std::string whole = text_of(session.get(), prompt).text;
  std::vector<int> long_prompt;
  while (long_prompt.size() < 480) {
    long_prompt.insert(long_prompt.end(), prompt.begin(), prompt.end());
  }
  // Wherever it comes, the session is fit for the next text.
  for (const int delay_us : {0, 300, 1000, 3000}) {
    const gumbelspec_round* round = nullptr;
    std::thread other([&] {
      std::this_thread::sleep_for(std::chrono::microseconds(delay_us));
      gumbelspec_session_cancel(session.get());
    });
    ASSERT_EQ(
        gumbelspec_session_start(session.get(), long_prompt.data(), long_prompt.size(), &round), 0)
        << gumbelspec_last_error();
    EXPECT_TRUE(round->outcome == GUMBELSPEC_CANCELLED || round->outcome == GUMBELSPEC_RUNNING);
    other.join();
    // What came after the call ends the next one.
    ASSERT_EQ(gumbelspec_session_start(session.get(), prompt.data(), prompt.size(), &round), 0);
    EXPECT_EQ(text_of(session.get(), prompt).text, whole);
  }
}

TEST_F(CApiSession, TokensAndTextsGoBothWays) {
  const std::string text = "The old house\nwas l\xC3\xB6nely \xE2\x82\xAC <s>";
  const std::vector<int> tokens = tokenize(pair_, text, GUMBELSPEC_NO_SPECIAL);
  std::size_t n = 0;
  std::vector<char> out(2 * text.size());
  ASSERT_EQ(gumbelspec_detokenize(pair_, tokens.data(), tokens.size(), out.data(), 3, &n),
            GUMBELSPEC_TOO_SMALL);
  ASSERT_EQ(gumbelspec_detokenize(pair_, tokens.data(), tokens.size(), out.data(), out.size(), &n),
            0);
  EXPECT_THAT(std::string(out.data(), n), ::testing::EndsWith(text));
  int is_end = -1;
  ASSERT_EQ(gumbelspec_is_end(pair_, tokens[0], &is_end), 0);
  EXPECT_EQ(is_end, 0);
}

TEST_F(CApiSession, AChatIsAPromptByTheTemplate) {
  const std::string chat = R"({"messages": [{"role": "system", "content": "Be kind."},
                                            {"role": "user", "content": "Who are you? </s>"}]})";
  std::vector<int> tokens(200);
  std::size_t n = 0;
  ASSERT_EQ(gumbelspec_chat_tokens(pair_, chat.c_str(), tokens.data(), tokens.size(), &n), 0);
  std::vector<char> text(1000);
  std::size_t n_text = 0;
  ASSERT_EQ(gumbelspec_detokenize(pair_, tokens.data(), n, text.data(), text.size(), &n_text), 0);
  EXPECT_THAT(std::string(text.data(), n_text), HasSubstr("Who are you? </s>"));
  EXPECT_THAT(std::string(text.data(), n_text), HasSubstr("Be kind."));
}

TEST_F(CApiSession, ReportAndInfoAreJson) {
  const SessionPtr session = new_session(pair_, R"({"max_tokens": 5, "method": "ar"})");
  (void)text_of(session.get(), tokenize(pair_, "It"));
  const char* text = nullptr;
  ASSERT_EQ(gumbelspec_session_report(session.get(), &text), 0);
  const auto report = nlohmann::json::parse(text);
  EXPECT_EQ(report["stats"]["n_generated"], 5);
  EXPECT_EQ(report["stop_reason"], "length");
  EXPECT_TRUE(report["seed"].is_number_unsigned());
  ASSERT_EQ(gumbelspec_pair_info(pair_, &text), 0);
  const auto info = nlohmann::json::parse(text);
  EXPECT_TRUE(info["has_draft"].get<bool>());
  EXPECT_EQ(info["n_context"], 512);
}

TEST(CApiLifetime, ASessionKeepsItsPair) {
  PairPtr pair = load_demo();
  const SessionPtr session = new_session(pair.get(), R"({"max_tokens": 4, "method": "ar"})");
  const std::vector<int> prompt = tokenize(pair.get(), "It was");
  pair.reset();
  EXPECT_EQ(text_of(session.get(), prompt).tokens.size(), 4U);
}

TEST(CApiExample, IsC89AndRuns) {
  const ProcessResult example = Process(GUMBELSPEC_C_EXAMPLE, {model_path("demo-target-q8_0.gguf"),
                                                               model_path("demo-draft-q8_0.gguf")})
                                    .finish();
  EXPECT_EQ(example.exit_code, 0) << example.err;
  const ProcessResult program =
      run_program({"generate", "-p", "The old house", "-n", "32", "--seed", "7", "--method", "ar"});
  EXPECT_THAT(example.out, StartsWith(program.out));
  EXPECT_THAT(example.out, HasSubstr("text 2 ended: {\"seed\""));
  const ProcessResult wrong = Process(GUMBELSPEC_C_EXAMPLE, {"no-such.gguf"}).finish();
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.err, StartsWith("example: error 3: "));
}

}  // namespace
}  // namespace gumbelspec::testing
