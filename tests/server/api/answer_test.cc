// Answers as one JSON object.
#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>

#include "gumbelspec/noise.h"
#include "tests/server/api/fake_model.h"

namespace gumbelspec::server::testing {
namespace {

TEST(Answer, GivesABatchWhatTheRequestSays) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"n", 2}, {"seed", 5}, {"max_tokens", 9}, {"logprobs", 2}});
  ASSERT_EQ(c.jobs.size(), 2U);
  EXPECT_EQ(c.jobs[1].prompt, c.jobs[0].prompt);
  EXPECT_EQ(c.jobs[0].options.seed, 5U);
  EXPECT_EQ(c.jobs[0].options.stream, 0U);
  EXPECT_EQ(c.jobs[1].options.stream, 1U);
  EXPECT_EQ(c.jobs[1].options.max_tokens, 9U);
  EXPECT_EQ(c.jobs[1].options.n_logprobs, 2);
  EXPECT_EQ(c.jobs[1].options.constraint, nullptr);
}

TEST(Answer, CompilesAGrammarOnceAndGivesEachTextAMatcherOfItsOwn) {
  Conversation c;
  int n_compilations = 0;
  std::shared_ptr<const FakeGrammar> grammar;
  c.model.compile_grammar = [&](const std::string& gbnf, const GrammarTrigger&) {
    ++n_compilations;
    grammar = std::make_shared<const FakeGrammar>(gbnf);
    return grammar;
  };
  for (const json& fields : {json{{"grammar", "root ::= \"a\""}},
                             json{{"response_format", {{"type", "json_object"}}}}}) {
    n_compilations = 0;
    json body = {{"prompt", "Hi"}, {"n", 4}};
    body.update(fields);
    c.ask_completion(body);
    EXPECT_EQ(n_compilations, 1) << "of the request, not of its choices";
    EXPECT_EQ(grammar->n_matchers, 4);
    std::set<const TokenConstraint*> matchers;
    for (const TextJob& job : c.jobs) matchers.insert(job.options.constraint.get());
    EXPECT_EQ(matchers.size(), 4U);
    EXPECT_EQ(matchers.count(nullptr), 0U);
  }
}

TEST(Answer, NumbersTheStreamsOfEachPromptFromZero) {
  Conversation c;
  c.ask_completion({{"prompt", {"a", "b"}}, {"n", 2}});
  ASSERT_EQ(c.jobs.size(), 4U);
  EXPECT_EQ(c.jobs[2].options.stream, 0U) << "as if the second prompt had been sent alone";
  EXPECT_EQ(c.jobs[3].options.stream, 1U);
  EXPECT_EQ(c.jobs[2].prompt.back(), token_id('b'));
}

TEST(Answer, HasOpenAisFormOfCompletions) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}});
  EXPECT_TRUE(c.say(" the"));
  EXPECT_TRUE(c.say("re"));
  EXPECT_TRUE(c.ends.empty());
  c.end(Outcome::length);
  EXPECT_EQ(c.ends.front().status, 200);
  const json body = c.body();
  EXPECT_EQ(body["id"], "cmpl-1");
  EXPECT_EQ(body["object"], "text_completion");
  EXPECT_EQ(body["created"], 1700000001);
  EXPECT_EQ(body["model"], "fake");
  EXPECT_EQ(body["system_fingerprint"], "gumbelspec-test");
  EXPECT_EQ(body["choices"], (json::array({{{"index", 0},
                                            {"text", " there"},
                                            {"logprobs", nullptr},
                                            {"finish_reason", "length"}}})));
  EXPECT_TRUE(c.events.empty());
}

TEST(Answer, HasOpenAisFormOfChats) {
  Conversation c;
  c.ask_chat({{"messages", {{{"role", "user"}, {"content", "Hi"}}}}});
  (void)c.say("Yes");
  c.end();
  const json body = c.body();
  EXPECT_EQ(body["id"], "chatcmpl-1");
  EXPECT_EQ(body["object"], "chat.completion");
  EXPECT_EQ(body["choices"][0]["message"],
            (json{{"role", "assistant"}, {"content", "Yes"}, {"refusal", nullptr}}));
  EXPECT_EQ(body["choices"][0]["finish_reason"], "stop");
}

TEST(Answer, CountsWhatItUsed) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"n", 2}});
  c.jobs[0].sink->on_prompt(3, 3, 1);
  c.jobs[1].sink->on_prompt(3, 3, 2);
  (void)c.say("abcd", 0);
  (void)c.say("ef", 1);
  c.end(Outcome::eos, 0);
  c.end(Outcome::eos, 1, nullptr, 2);
  EXPECT_EQ(c.body()["usage"], (json{{"prompt_tokens", 3},
                                     {"completion_tokens", 6},
                                     {"total_tokens", 9},
                                     {"prompt_tokens_details", {{"cached_tokens", 1}}}}));
}

TEST(Answer, HasLlamaCppsTimings) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}});
  c.jobs[0].sink->on_prompt(3, 3, 1);
  (void)c.say("abcd");
  c.end();
  EXPECT_EQ(c.body()["timings"], (json{{"cache_n", 1},
                                       {"prompt_n", 2},
                                       {"prompt_ms", 500.0},
                                       {"prompt_per_token_ms", 250.0},
                                       {"prompt_per_second", 4.0},
                                       {"predicted_n", 4},
                                       {"predicted_ms", 2000.0},
                                       {"predicted_per_token_ms", 500.0},
                                       {"predicted_per_second", 2.0},
                                       {"draft_n", 4},
                                       {"draft_n_accepted", 2}}));
}

TEST(Answer, TellsSeedNoiseMethodAndTokensPerPass) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"method", "gumbel-chain:length=4"}});
  (void)c.say("abcd");
  c.end();
  EXPECT_EQ(c.body()["gumbelspec"], (json{{"seed", 77},
                                          {"noise_version", kNoiseVersion},
                                          {"guarantee", "seed"},
                                          {"method", "gumbel-chain:length=4"},
                                          {"tokens_per_pass", 2.0}}));
}

TEST(Answer, WaitsForAllChoices) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"n", 2}});
  (void)c.say("b", 1);
  c.end(Outcome::eos, 1);
  EXPECT_TRUE(c.ends.empty());
  (void)c.say("a", 0);
  c.end(Outcome::length, 0);
  const json choices = c.body()["choices"];
  EXPECT_EQ(choices[0]["text"], "a");
  EXPECT_EQ(choices[0]["finish_reason"], "length");
  EXPECT_EQ(choices[1]["text"], "b");
  EXPECT_EQ(choices[1]["finish_reason"], "stop");
}

TEST(Answer, EndsATextAtAStopString) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stop", {"!?", "zz"}}});
  EXPECT_TRUE(c.say("ab!"));
  EXPECT_FALSE(c.say("?cd"));
  c.end(Outcome::stop);
  EXPECT_EQ(c.body()["choices"][0]["text"], "ab");
  EXPECT_EQ(c.body()["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(c.body()["usage"]["completion_tokens"], 4) << "those behind it do not count";
}

TEST(Answer, JoinsSplitCharacters) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}});
  (void)c.say(FakeRound({kHalfEuro}));
  (void)c.say("\xAC");
  c.end();
  EXPECT_EQ(c.body()["choices"][0]["text"], "\xE2\x82\xAC");
}

TEST(Answer, EchoesThePrompt) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"echo", true}});
  (void)c.say(" you");
  c.end();
  EXPECT_EQ(c.body()["choices"][0]["text"], "Hi you");
}

TEST(Answer, HasLlamaCppsOwnForm) {
  Conversation c;
  c.ask_native({{"prompt", "Hi"}, {"stop", {"!"}}, {"logprobs", 1}, {"seed", 5}});
  (void)c.say(FakeRound(byte_tokens("ab"), 1));
  (void)c.say(FakeRound(byte_tokens("!"), 1));
  c.end(Outcome::stop);
  const json body = c.body();
  EXPECT_EQ(body["content"], "ab");
  EXPECT_EQ(body["stop"], true);
  EXPECT_EQ(body["stop_type"], "word");
  EXPECT_EQ(body["stopping_word"], "!");
  EXPECT_EQ(body["prompt"], "Hi");
  EXPECT_EQ(body["tokens_evaluated"], 3);
  EXPECT_EQ(body["tokens_predicted"], 3);
  EXPECT_EQ(body["completion_probabilities"].size(), 2U);
  EXPECT_EQ(body["gumbelspec"]["seed"], 5);
  Conversation both;
  both.ask_native({{"prompt", {"a", "b"}}});
  for (const std::size_t i : {0U, 1U}) {
    (void)both.say("x", i);
    both.end(i == 0 ? Outcome::length : Outcome::eos, i);
  }
  ASSERT_EQ(both.body().size(), 2U);
  EXPECT_EQ(both.body()[0]["stop_type"], "limit");
  EXPECT_EQ(both.body()[1]["stop_type"], "eos");
  EXPECT_EQ(both.body()[1]["prompt"], "b");
}

TEST(Answer, HasLogprobsOfCompletions) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"logprobs", 2}});
  (void)c.say(FakeRound({kHalfEuro, token_id(0xAC), token_id('B')}, 2));
  c.end();
  const json logprobs = c.body()["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], (json{"bytes:\\xe2\\x82", "bytes:\\xac", "B"}));
  EXPECT_EQ(logprobs["token_logprobs"], (json{-0.5, -0.5, -0.5}));
  EXPECT_EQ(logprobs["text_offset"], (json{0, 0, 1}));
  EXPECT_EQ(logprobs["top_logprobs"][0],
            (json{{"A", -1.0}, {"B", -2.0}, {"bytes:\\xe2\\x82", -0.5}}));
}

TEST(Answer, HasLogprobsOfChats) {
  Conversation c;
  c.ask_chat({{"messages", {{{"role", "user"}, {"content", "Hi"}}}},
              {"logprobs", true},
              {"top_logprobs", 1}});
  (void)c.say(FakeRound({kAb}, 1));
  c.end();
  EXPECT_EQ(
      c.body()["choices"][0]["logprobs"]["content"],
      (json::array(
          {{{"id", 259},
            {"token", "ab"},
            {"logprob", -0.5},
            {"bytes", {97, 98}},
            {"top_logprobs",
             json::array({{{"id", 65}, {"token", "A"}, {"logprob", -1.0}, {"bytes", {65}}}})}}})));
}

TEST(Answer, HasNoLogprobsOfAStopString) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"logprobs", 0}, {"stop", "!!"}});
  EXPECT_FALSE(c.say("a!!"));
  c.end(Outcome::stop);
  EXPECT_EQ(c.body()["choices"][0]["logprobs"]["tokens"], json::array({"a"}));
  EXPECT_TRUE(c.body()["choices"][0]["logprobs"]["top_logprobs"].is_null());
}

TEST(Answer, IsAnErrorWhereAPassFailed) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}});
  (void)c.say("ab");
  const Error error(ErrorCode::evaluation_failed, "no pass");
  c.end(Outcome::cancelled, 0, &error);
  EXPECT_EQ(c.ends.front().status, 500);
  EXPECT_EQ(c.body()["error"]["message"], "no pass");
  EXPECT_EQ(c.answer->summary().finish, "error");
}

TEST(Answer, IsAnErrorWhereTheServerCancelledIt) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}});
  c.end(Outcome::cancelled);
  EXPECT_EQ(c.ends.front().status, 503);
}

TEST(Answer, EndsOnceWithTheFirstError) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"n", 2}});
  c.answer->fail(ApiError(408, "timeout_error", "too slow"));
  EXPECT_TRUE(c.answer->is_over());
  c.answer->fail(ApiError(500, "server_error", "later"));
  EXPECT_FALSE(c.say("x", 1)) << "its texts are told to end";
  c.end(Outcome::stop, 0);
  c.end(Outcome::stop, 1);
  EXPECT_EQ(c.ends.front().status, 408);
  EXPECT_EQ(c.body()["error"]["message"], "too slow");
}

TEST(Answer, SumsUpForTheLog) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}});
  (void)c.say("ab");
  (void)c.say("cd");
  c.end();
  const AnswerSummary summary = c.answer->summary();
  EXPECT_EQ(summary.n_prompt, 3U);
  EXPECT_EQ(summary.n_generated, 4U);
  EXPECT_EQ(summary.n_rounds, 2U);
  EXPECT_EQ(summary.n_accepted, 2U);
  EXPECT_EQ(summary.finish, "stop");
}

}  // namespace
}  // namespace gumbelspec::server::testing
