// Answers as server-sent events.
#include <gtest/gtest.h>

#include <string>

#include "tests/server/api/fake_model.h"

namespace gumbelspec::server::testing {
namespace {

const json kMessages = json::array({{{"role", "user"}, {"content", "Hi"}}});

TEST(AnswerStream, IsTheseBytes) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}});
  (void)c.say("ab");
  ASSERT_EQ(c.events.size(), 1U);
  EXPECT_EQ(c.events[0],
            "data: {\"id\":\"cmpl-1\",\"object\":\"text_completion\",\"created\":1700000001,"
            "\"model\":\"fake\",\"system_fingerprint\":\"gumbelspec-test\",\"choices\":[{\"index\":"
            "0,\"text\":\"ab\",\"logprobs\":null,\"finish_reason\":null}]}\n\n");
}

TEST(AnswerStream, EndsWithReasonTotalsAndDone) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}});
  (void)c.say("abcd");
  c.end();
  ASSERT_EQ(c.events.size(), 3U);
  const json last = c.event(1);
  EXPECT_EQ(last["choices"][0]["finish_reason"], "stop");
  EXPECT_EQ(last["choices"][0]["text"], "");
  EXPECT_EQ(last["usage"]["completion_tokens"], 4);
  EXPECT_EQ(last["timings"]["predicted_n"], 4);
  EXPECT_EQ(last["gumbelspec"]["seed"], 77);
  EXPECT_EQ(c.events[2], "data: [DONE]\n\n");
  ASSERT_EQ(c.ends.size(), 1U);
  EXPECT_EQ(c.ends[0].status, 200);
  EXPECT_TRUE(c.ends[0].body.empty());
}

TEST(AnswerStream, HasTheTotalsInAnEventOfTheirOwnWhereTheClientAsks) {
  Conversation c;
  c.ask_completion(
      {{"prompt", "Hi"}, {"stream", true}, {"stream_options", {{"include_usage", true}}}});
  (void)c.say("abcd");
  c.end();
  ASSERT_EQ(c.events.size(), 4U);
  EXPECT_TRUE(c.event(0)["usage"].is_null());
  EXPECT_TRUE(c.event(1)["usage"].is_null());
  EXPECT_FALSE(c.event(1).contains("timings"));
  EXPECT_EQ(c.event(2)["choices"], json::array());
  EXPECT_EQ(c.event(2)["usage"]["total_tokens"], 7);
  EXPECT_TRUE(c.event(2).contains("timings"));
  EXPECT_TRUE(c.event(2).contains("gumbelspec"));
}

TEST(AnswerStream, HasOpenAisFormOfChats) {
  Conversation c;
  c.ask_chat({{"messages", kMessages}, {"stream", true}});
  (void)c.say("a");
  (void)c.say("b");
  c.end(Outcome::length);
  EXPECT_EQ(c.event(0)["id"], "chatcmpl-1");
  EXPECT_EQ(c.event(0)["object"], "chat.completion.chunk");
  EXPECT_EQ(c.event(0)["choices"][0]["delta"], (json{{"role", "assistant"}, {"content", nullptr}}));
  EXPECT_EQ(c.event(1)["choices"][0]["delta"], (json{{"content", "a"}}));
  EXPECT_EQ(c.event(2)["choices"][0]["delta"], (json{{"content", "b"}}));
  EXPECT_EQ(c.event(3)["choices"][0]["delta"], json::object());
  EXPECT_EQ(c.event(3)["choices"][0]["finish_reason"], "length");
}

TEST(AnswerStream, HasLlamaCppsOwnForm) {
  Conversation c;
  c.ask_native({{"prompt", "Hi"}, {"stream", true}, {"echo", true}});
  (void)c.say("ab");
  (void)c.say("c");
  c.end(Outcome::length);
  ASSERT_EQ(c.events.size(), 3U) << "no [DONE]";
  EXPECT_EQ(c.event(0)["content"], "Hiab");
  EXPECT_EQ(c.event(0)["stop"], false);
  EXPECT_EQ(c.event(1)["content"], "c");
  EXPECT_EQ(c.event(2)["content"], "");
  EXPECT_EQ(c.event(2)["stop"], true);
  EXPECT_EQ(c.event(2)["stop_type"], "limit");
  EXPECT_TRUE(c.event(2)["timings"].is_object());
}

TEST(AnswerStream, SaysWhoSpeaksEvenWhereNothingIsSaid) {
  Conversation c;
  c.ask_chat({{"messages", kMessages}, {"stream", true}});
  c.end();
  EXPECT_EQ(c.event(0)["choices"][0]["delta"], (json{{"role", "assistant"}, {"content", nullptr}}));
  EXPECT_EQ(c.event(1)["choices"][0]["delta"], json::object());
  EXPECT_EQ(c.event(1)["choices"][0]["finish_reason"], "stop");
}

TEST(AnswerStream, NeverWritesAPartOfAStopString) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}, {"stop", "STOP"}});
  EXPECT_TRUE(c.say("one S"));
  EXPECT_TRUE(c.say("TO"));
  EXPECT_EQ(c.events.size(), 1U) << "nothing to say";
  EXPECT_FALSE(c.say("Pxy"));
  c.end(Outcome::stop);
  EXPECT_EQ(c.streamed(), "one ");
  EXPECT_EQ(c.event(1)["choices"][0]["finish_reason"], "stop");
}

TEST(AnswerStream, WritesAtTheEndWhatItHeldBack) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}, {"stop", "STOP"}});
  EXPECT_TRUE(c.say("one ST"));
  c.end();
  EXPECT_EQ(c.streamed(), "one ST");
}

TEST(AnswerStream, WritesWholeCharacters) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}});
  EXPECT_TRUE(c.say(FakeRound({kHalfEuro})));
  EXPECT_TRUE(c.events.empty());
  EXPECT_TRUE(c.say("\xAC"));
  EXPECT_EQ(c.event(0)["choices"][0]["text"], "\xE2\x82\xAC");
}

TEST(AnswerStream, EchoesThePromptOnce) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}, {"echo", true}, {"n", 2}});
  (void)c.say(" a", 0);
  (void)c.say(" b", 0);
  (void)c.say(" c", 1);
  EXPECT_EQ(c.streamed(0), "Hi a b");
  EXPECT_EQ(c.streamed(1), "Hi c");
}

TEST(AnswerStream, MixesChoicesAndEndsWithTheLastOne) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}, {"n", 2}});
  (void)c.say("a", 1);
  (void)c.say("b", 0);
  c.end(Outcome::eos, 1);
  EXPECT_FALSE(c.event(2).contains("usage"));
  (void)c.say("c", 0);
  c.end(Outcome::length, 0);
  EXPECT_EQ(c.streamed(0), "bc");
  EXPECT_EQ(c.streamed(1), "a");
  EXPECT_EQ(c.event(2)["choices"][0]["index"], 1);
  EXPECT_TRUE(c.event(4).contains("usage"));
  EXPECT_EQ(c.events.back(), "data: [DONE]\n\n");
  EXPECT_EQ(c.ends.size(), 1U);
}

TEST(AnswerStream, HasLogprobsWithTheTextTheyBelongTo) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}, {"logprobs", 0}, {"stop", "cd"}});
  (void)c.say("abc");
  EXPECT_EQ(c.event(0)["choices"][0]["text"], "ab");
  EXPECT_EQ(c.event(0)["choices"][0]["logprobs"]["tokens"], (json::array({"a", "b"})));
  (void)c.say("e");
  EXPECT_EQ(c.event(1)["choices"][0]["logprobs"]["tokens"], (json::array({"c", "e"})));
  EXPECT_EQ(c.event(1)["choices"][0]["logprobs"]["text_offset"], (json::array({2, 3})));
}

TEST(AnswerStream, EndsItsTextsWhenTheClientHasGone) {
  Conversation c;
  c.max_events = 1;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}});
  EXPECT_TRUE(c.say("a"));
  EXPECT_FALSE(c.say("b"));
  EXPECT_TRUE(c.answer->is_over());
  c.end(Outcome::stop);
  EXPECT_TRUE(c.ends.empty()) << "there is nobody to tell";
  EXPECT_EQ(c.answer->summary().finish, "disconnected");
}

TEST(AnswerStream, WritesAnErrorInTheMiddleAsAnEvent) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}});
  (void)c.say("a");
  const Error error(ErrorCode::evaluation_failed, "no pass");
  c.end(Outcome::cancelled, 0, &error);
  EXPECT_EQ(c.event(1)["error"]["message"], "no pass");
  ASSERT_EQ(c.ends.size(), 1U);
  EXPECT_EQ(c.ends[0].status, 500);
  EXPECT_TRUE(c.ends[0].body.empty());
}

TEST(AnswerStream, IsAPlainErrorBeforeTheFirstEvent) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}});
  c.answer->fail(ApiError(429, "overloaded_error", "full"));
  EXPECT_TRUE(c.events.empty());
  EXPECT_EQ(c.ends[0].status, 429);
  EXPECT_EQ(c.body()["error"]["message"], "full");
}

TEST(AnswerTrace, IsWhatThePageReads) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}, {"gumbelspec_trace", true}});
  (void)c.say("ab");
  (void)c.say("c");
  const json trace = c.event(0)["gumbelspec_trace"];
  EXPECT_EQ(trace["round"], 0);
  EXPECT_EQ(trace["text_start"], 0);
  EXPECT_EQ(trace["path"], (json{0, 1}));
  ASSERT_EQ(trace["nodes"].size(), 3U);
  EXPECT_EQ(
      trace["nodes"][0],
      (json{
          {"id", 0}, {"parent", -1}, {"token", 'R'}, {"text", "R"}, {"depth", 0}, {"value", 1.0}}));
  EXPECT_EQ(trace["nodes"][1]["text"], "a");
  EXPECT_NEAR(trace["nodes"][1]["value"], 0.7788, 1e-4);
  EXPECT_EQ(trace["nodes"][2]["parent"], 0);
  EXPECT_EQ(trace["tokens"][0], (json{{"token", 'a'},
                                      {"text", "a"},
                                      {"depth", 0},
                                      {"margin", 1.5},
                                      {"drafted", true},
                                      {"runner_up", {{"token", 'Z'}, {"text", "Z"}}}}));
  EXPECT_EQ(trace["tokens"][1]["drafted"], false);
  EXPECT_EQ(trace["ms"], (json{{"draft", 1.0}, {"target", 2.0}, {"own", 0.5}}));
  EXPECT_EQ(c.event(1)["gumbelspec_trace"]["round"], 1);
  EXPECT_EQ(c.event(1)["gumbelspec_trace"]["text_start"], 2);
}

TEST(AnswerTrace, HasAnEventForEveryRound) {
  Conversation c;
  c.ask_completion(
      {{"prompt", "Hi"}, {"stream", true}, {"gumbelspec_trace", true}, {"stop", "abc"}});
  (void)c.say("a");
  EXPECT_EQ(c.events.size(), 1U);
  EXPECT_EQ(c.event(0)["choices"][0]["text"], "");
}

TEST(AnswerTrace, IsLeftOutWhereNobodyAsks) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"stream", true}});
  (void)c.say("a");
  EXPECT_FALSE(c.event(0).contains("gumbelspec_trace"));
}

}  // namespace
}  // namespace gumbelspec::server::testing
