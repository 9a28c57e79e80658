// llama.cpp's own fields and forms.
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "apps/server/api/ollama.h"
#include "tests/server/api/fake_model.h"

namespace gumbelspec::server::testing {
namespace {

ParsedRequest native(const json& body, const ApiModel& model = fake_model()) {
  return parse_native(body.dump(), model);
}

std::string refusal(const json& body, Endpoint endpoint = Endpoint::native,
                    const ApiModel& model = fake_model()) {
  try {
    (void)parse_request(body.dump(), model, endpoint);
  } catch (const ApiError& error) {
    return std::to_string(error.status()) + " " + error.what();
  }
  return "";
}

// A round of so many tokens without its candidates; probs: those of the last distribution.
BatchRound with(const FakeRound& round) { return round.view(); }

TEST(Native, TellsProbabilitiesOfTokensWithTheirIds) {
  Conversation c;
  c.ask_native({{"prompt", "Hi"}, {"n_probs", 2}, {"return_tokens", true}});
  EXPECT_EQ(c.jobs.at(0).options.n_logprobs, 2);
  EXPECT_FALSE(c.jobs.at(0).options.final_logprobs);
  (void)c.say(FakeRound(byte_tokens("xy"), 2));
  c.end(Outcome::length, 0, nullptr, 2);
  const json body = c.body();
  EXPECT_EQ(body["tokens"], (json{'x', 'y'}));
  ASSERT_EQ(body["completion_probabilities"].size(), 2U);
  const json& second = body["completion_probabilities"][1];
  EXPECT_EQ(second["id"], 'y');
  EXPECT_EQ(second["token"], "y");
  EXPECT_EQ(second["bytes"], json{'y'});
  EXPECT_NEAR(second["logprob"].get<double>(), -0.5, 1e-6);
  ASSERT_EQ(second["top_logprobs"].size(), 2U);
  EXPECT_EQ(second["top_logprobs"][1]["id"], 'B');
  EXPECT_FALSE(second.contains("prob"));
}

TEST(Native, TellsFinalProbabilitiesWithoutTokensThatCannotCome) {
  Conversation c;
  c.ask_native({{"prompt", "Hi"}, {"n_probs", 2}, {"post_sampling_probs", true}});
  EXPECT_TRUE(c.jobs.at(0).options.final_logprobs);
  const std::vector<GeneratedToken> tokens = {{.token = token_id('x')}};
  const std::vector<TokenLogprob> chosen = {{token_id('x'), std::log(0.75F)}};
  const std::vector<TokenLogprob> top = {{token_id('x'), std::log(0.75F)},
                                         {token_id('y'), -INFINITY}};
  const FakeRound round("x");
  BatchRound view = with(round);
  view.tokens = tokens;
  view.logprobs = chosen;
  view.top_logprobs = top;
  (void)c.jobs.at(0).sink->on_round(view);
  c.end(Outcome::length, 0, nullptr, 1);
  const json token = c.body()["completion_probabilities"][0];
  EXPECT_NEAR(token["prob"].get<double>(), 0.75, 1e-6);
  ASSERT_EQ(token["top_probs"].size(), 1U) << "y cannot come";
  EXPECT_EQ(token["top_probs"][0]["id"], 'x');
  EXPECT_FALSE(token.contains("logprob"));
}

TEST(Native, StreamsATokenPerEventWhereItsProbabilitiesAreAskedFor) {
  Conversation c;
  c.ask_native({{"prompt", "Hi"}, {"n_probs", 1}, {"stream", true}});
  (void)c.say(FakeRound(byte_tokens("xyz"), 1));
  c.end(Outcome::length, 0, nullptr, 3);
  ASSERT_EQ(c.events.size(), 4U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(c.event(i)["completion_probabilities"].size(), 1U);
    EXPECT_EQ(c.event(i)["tokens"], json{static_cast<int>('x' + i)});
  }
  EXPECT_EQ(c.event(3)["stop"], true);
}

TEST(Native, KeepsTheFieldsThatAreAskedFor) {
  Conversation c;
  c.ask_native({{"prompt", "Hi"},
                {"n_predict", 5},
                {"response_fields", {"content", "generation_settings/n_predict", "nothing"}}});
  (void)c.say("ab");
  c.end();
  EXPECT_EQ(c.body(), (json{{"content", "ab"}, {"generation_settings/n_predict", 5}}));
}

TEST(Native, SaysHowTheTextCameAbout) {
  Conversation c;
  c.ask_native({{"prompt", "<s>Hi"}, {"seed", 3}, {"logit_bias", {{"65", -1.5}, {"66", false}}}});
  (void)c.say("a\nb");
  c.end(Outcome::context_full);
  const json body = c.body();
  EXPECT_EQ(body["prompt"], "Hi") << "these control tokens have no text";
  EXPECT_EQ(body["has_new_line"], true);
  EXPECT_EQ(body["truncated"], true);
  EXPECT_EQ(body["generation_settings"]["seed"], 3);
  EXPECT_EQ(body["generation_settings"]["logit_bias"],
            (json{{{"token", 65}, {"bias", -1.5}}, {{"token", 66}, {"bias", nullptr}}}));
}

TEST(Native, TellsHowFarThePromptIsReadBeforeAnythingElse) {
  Conversation c;
  c.ask_chat({{"messages", {{{"role", "user"}, {"content", "Hi"}}}},
              {"stream", true},
              {"return_progress", true},
              {"timings_per_token", true}});
  TextSink& sink = *c.jobs.at(0).sink;
  sink.on_prompt(4, 20, 4);
  sink.on_prompt(12, 20, 4);
  sink.on_prompt(12, 20, 4);  // the draft reads
  sink.on_prompt(19, 20, 4);
  sink.on_prompt(20, 20, 4);
  (void)c.say("a");
  c.end();
  EXPECT_TRUE(c.event(0)["choices"][0]["delta"]["content"].is_null()) << "the role comes first";
  std::vector<int> done;
  for (std::size_t i = 0; i + 1 < c.events.size(); ++i) {
    const json event = c.event(i);
    if (!event.contains("prompt_progress")) continue;
    EXPECT_EQ(event["prompt_progress"]["total"], 20);
    EXPECT_EQ(event["prompt_progress"]["cache"], 4);
    EXPECT_EQ(event["timings"]["predicted_n"], 0);
    done.push_back(event["prompt_progress"]["processed"]);
  }
  EXPECT_EQ(done, (std::vector<int>{4, 12, 20}));
  EXPECT_EQ(c.streamed(), "a");
}

TEST(Native, TheFirstProgressIsWhatWasReused) {
  Conversation c;
  c.ask_native({{"prompt", "Hi"}, {"stream", true}, {"return_progress", true}});
  c.jobs.at(0).sink->on_prompt(3, 3, 2);
  ASSERT_EQ(c.events.size(), 2U);
  EXPECT_EQ(c.event(0)["prompt_progress"]["processed"], 2);
  EXPECT_EQ(c.event(1)["prompt_progress"]["processed"], 3);
}

TEST(Native, EndsATextThatIsOutOfTimeBehindALine) {
  Conversation c;
  c.ask_native({{"prompt", "Hi"}, {"t_max_predict_ms", 1e-6}});
  EXPECT_TRUE(c.say("a")) << "no line's end yet";
  EXPECT_FALSE(c.say("b\n"));
  c.end(Outcome::stop);
  EXPECT_EQ(c.body()["stop_type"], "limit");
  EXPECT_EQ(c.body()["content"], "ab\n");
}

TEST(Native, PlacesTheText) {
  ApiModel model = fake_model();
  model.n_slots = 4;
  const ParsedRequest request =
      native({{"prompt", "a"}, {"id_slot", 3}, {"cache_prompt", false}}, model);
  EXPECT_EQ(request.text.slot, 3U);
  EXPECT_FALSE(request.text.reuses_prefix);
  EXPECT_EQ(native({{"prompt", "a"}, {"id_slot", -1}}, model).text.slot, kAnySlot);
  EXPECT_NE(refusal({{"prompt", "a"}, {"id_slot", 4}}, Endpoint::native, model), "");
}

TEST(Native, ServesWithDefaultsOfItsOwn) {
  ApiModel model = fake_model();
  model.seed = 9;
  model.max_tokens = 7;
  EXPECT_EQ(native({{"prompt", "a"}}, model).seed, 9U);
  EXPECT_EQ(native({{"prompt", "a"}}, model).text.max_tokens, 7U);
  EXPECT_EQ(native({{"prompt", "a"}, {"seed", 2.0}}, model).seed, 2U);
  EXPECT_FALSE(native({{"prompt", "a"}, {"seed", -1}}, model).seed.has_value());
  EXPECT_EQ(native({{"prompt", "a"}, {"n_predict", -1}}, model).text.max_tokens, model.n_context);
}

TEST(Prompts, MixTextsAndTokens) {
  const auto prompts = [](const json& prompt) { return native({{"prompt", prompt}}).prompts; };
  const std::vector<TokenId> one = {kBos, token_id('a'), token_id(7), token_id('b')};
  EXPECT_EQ(prompts({"a", 7, "b"}), (std::vector<std::vector<TokenId>>{one}));
  EXPECT_EQ(prompts({7, "a"}), (std::vector<std::vector<TokenId>>{{token_id(7), token_id('a')}}))
      << "what begins a text stands at the beginning only";
  EXPECT_EQ(prompts({"a", {7, "b"}, {{"prompt_string", "c"}}}),
            (std::vector<std::vector<TokenId>>{
                {kBos, token_id('a')}, {token_id(7), token_id('b')}, {kBos, token_id('c')}}));
  EXPECT_EQ(prompts({{"prompt_string", "c"}}).size(), 1U);
  EXPECT_NE(refusal({{"prompt", {{"prompt_string", "c"}, {"multimodal_data", {"x"}}}}}), "");
  EXPECT_NE(refusal({{"prompt", {{"text", "c"}}}}), "");
  EXPECT_NE(refusal({{"prompt", {{"prompt_string", 3}}}}), "");
  EXPECT_NE(refusal({{"prompt", {7, nullptr}}}), "");
}

TEST(Prompts, TellTheirLogProbabilitiesWithEcho) {
  Conversation c;
  c.ask_completion({{"prompt", "Hi"}, {"echo", true}, {"logprobs", 1}, {"max_tokens", 0}});
  EXPECT_TRUE(c.jobs.at(0).options.scores_prompt);
  const std::vector<TokenLogprob> scores = {{token_id('H'), -1.5F}, {token_id('i'), -2.5F}};
  const std::vector<TokenLogprob> top = {{token_id('A'), -0.5F}, {token_id('i'), -2.5F}};
  c.jobs.at(0).sink->on_prompt_logprobs(scores, top);
  c.end(Outcome::length, 0, nullptr, 0);
  const json choice = c.body()["choices"][0];
  EXPECT_EQ(choice["text"], "Hi");
  const json& logprobs = choice["logprobs"];
  EXPECT_EQ(logprobs["tokens"], (json{"", "H", "i"}));
  EXPECT_EQ(logprobs["token_logprobs"], (json{nullptr, -1.5, -2.5}));
  EXPECT_EQ(logprobs["text_offset"], (json{0, 0, 1}));
  EXPECT_TRUE(logprobs["top_logprobs"][0].is_null());
  EXPECT_EQ(logprobs["top_logprobs"][1], (json{{"A", -0.5}, {"H", -1.5}}));
  EXPECT_EQ(c.body()["usage"]["completion_tokens"], 0);
}

TEST(Infill, WritesWhatTheModelWasTrainedWith) {
  ApiModel model = fake_model();
  const json body = {{"input_prefix", "ab"}, {"input_suffix", "yz"}, {"prompt", "c"}};
  EXPECT_EQ(refusal(body, Endpoint::infill, model).substr(0, 3), "501");
  model.fill_tokens.prefix = token_id(1);
  model.fill_tokens.suffix = token_id(2);
  model.fill_tokens.middle = token_id(3);
  const auto prompt = [&](const json& more) {
    json all = body;
    all.update(more);
    return parse_request(all.dump(), model, Endpoint::infill).prompts.at(0);
  };
  std::vector<TokenId> expected = {kBos,          token_id(1),   token_id('a'),
                                   token_id('b'), token_id('c'), token_id(2),
                                   token_id('y'), token_id('z'), token_id(3)};
  EXPECT_EQ(prompt(json::object()), expected);
  model.fill_tokens.file = token_id(4);
  const auto with_file = prompt({{"input_extra", {{{"filename", "f"}, {"text", "T"}}}}});
  const std::vector<TokenId> extra = {token_id(4), token_id('f'), token_id('\n'), token_id('T')};
  EXPECT_TRUE(std::equal(extra.begin(), extra.end(), with_file.begin() + 1));
  // What is farthest from the gap goes first, and the context is never full.
  const auto cut = prompt({{"input_prefix", std::string(5000, 'p')},
                           {"input_suffix", std::string(5000, 's')},
                           {"n_predict", 100}});
  EXPECT_LT(cut.size() + 100, model.n_context + 1);
  EXPECT_GT(cut.size(), 800U);
  for (const json& wrong :
       {json{{"filename", "ok"}}, json{{"filename", 123}, {"text", "abc"}}, json(7)}) {
    EXPECT_EQ(refusal({{"input_prefix", ""}, {"input_suffix", ""}, {"input_extra", {wrong}}},
                      Endpoint::infill, model)
                  .substr(0, 3),
              "400");
  }
}

TEST(Ollama, ReadsChatsAndPrompts) {
  const OllamaRequest chat = read_ollama(
      OllamaEndpoint::chat,
      R"({"model": "x", "messages": [{"role": "user", "content": "Hi"}], "format": "json",
          "options": {"num_predict": 5, "temperature": 0, "seed": 3, "stop": ["."]}})");
  EXPECT_TRUE(chat.streams);
  const ParsedRequest ours = parse_request(chat.body, fake_model(), chat.endpoint);
  EXPECT_EQ(ours.text.max_tokens, 5U);
  EXPECT_EQ(ours.seed, 3U);
  EXPECT_EQ(ours.stop, std::vector<std::string>{"."});
  EXPECT_NE(ours.grammar, nullptr);
  const OllamaRequest raw =
      read_ollama(OllamaEndpoint::generate, R"({"prompt": "Hi", "raw": true, "stream": false})");
  EXPECT_FALSE(raw.streams);
  EXPECT_EQ(raw.endpoint, Endpoint::native);
  EXPECT_THROW((void)read_ollama(OllamaEndpoint::generate, R"({"prompt": "a", "suffix": "b"})"),
               ApiError);
  EXPECT_THROW((void)read_ollama(OllamaEndpoint::chat,
                                 R"({"messages": [{"role": "user", "images": ["x"]}]})"),
               ApiError);
}

TEST(Ollama, TellsOurAnswersInLines) {
  const ApiModel model = fake_model();
  std::vector<std::string> lines;
  AnswerOutput inner;
  inner.write = [&](std::string line) {
    lines.push_back(std::move(line));
    return true;
  };
  AnswerEnd ended;
  inner.end = [&](AnswerEnd end) { ended = std::move(end); };
  const OllamaRequest request =
      read_ollama(OllamaEndpoint::generate, R"({"prompt": "Hi", "options": {"num_predict": 2}})");
  const auto answer = Answer::make(
      model, parse_request(request.body, model, request.endpoint), {"1", 1, 7},
      ollama_output(OllamaEndpoint::generate, request.endpoint, model, std::move(inner)));
  auto jobs = answer->take_jobs();
  (void)jobs.at(0).sink->on_round(FakeRound("ab").view());
  jobs.at(0).sink->on_end(Outcome::length, statistics_of(2, 2), nullptr);
  ASSERT_EQ(lines.size(), 2U) << "neither the role nor [DONE]";
  const json first = json::parse(lines[0]);
  EXPECT_EQ(first["response"], "ab");
  EXPECT_EQ(first["done"], false);
  const json last = json::parse(lines[1]);
  EXPECT_EQ(last["done"], true);
  EXPECT_EQ(last["done_reason"], "length");
  EXPECT_EQ(last["eval_count"], 2);
  EXPECT_EQ(last["total_duration"], 2'500'000'000);
  EXPECT_EQ(lines[1].back(), '\n');
}

}  // namespace
}  // namespace gumbelspec::server::testing
