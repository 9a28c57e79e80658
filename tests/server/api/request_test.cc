// What the fields of a request mean.
#include "apps/server/api/request.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "tests/server/api/fake_model.h"

namespace gumbelspec::server::testing {
namespace {

ParsedRequest completion(const json& fields, bool has_draft = true) {
  json body = {{"prompt", "Hi"}};
  body.update(fields);
  return parse_completion(body.dump(), fake_model(has_draft));
}

ParsedRequest chat(const json& fields) {
  json body = {{"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
  body.update(fields);
  return parse_chat(body.dump(), fake_model());
}

std::vector<TokenId> with_bos(std::string_view text) {
  std::vector<TokenId> tokens = byte_tokens(text);
  tokens.insert(tokens.begin(), kBos);
  return tokens;
}

TEST(Request, TakesAPromptAsText) {
  EXPECT_EQ(completion(json::object()).prompts, std::vector<std::vector<TokenId>>{with_bos("Hi")});
}

TEST(Request, ReadsControlTokensInAPromptUnlessToldNotTo) {
  EXPECT_EQ(completion({{"prompt", "<s>"}}).prompts.front(), (std::vector<TokenId>{kBos, kBos}));
  EXPECT_EQ(completion({{"parse_special", false}, {"prompt", "<s>"}}).prompts.front(),
            with_bos("<s>"));
}

TEST(Request, TakesAPromptAsTokens) {
  EXPECT_EQ(completion({{"prompt", {72, 259}}}).prompts,
            (std::vector<std::vector<TokenId>>{{token_id(72), kAb}}));
}

TEST(Request, TakesSeveralPrompts) {
  const auto request = completion({{"prompt", {"a", "b"}}, {"n", 3}});
  EXPECT_EQ(request.prompts, (std::vector<std::vector<TokenId>>{with_bos("a"), with_bos("b")}));
  EXPECT_EQ(request.n_texts(), 6U);
  EXPECT_EQ(completion({{"prompt", json::array({{1, 2}, {3}})}}).prompts.size(), 2U);
}

TEST(Request, HasTheModelsDefaults) {
  const ParsedRequest request = completion(json::object());
  EXPECT_EQ(request.n, 1);
  EXPECT_FALSE(request.stream);
  EXPECT_FALSE(request.includes_usage);
  EXPECT_TRUE(request.stop.empty());
  EXPECT_FALSE(request.seed.has_value());
  EXPECT_EQ(request.text.max_tokens, 1000U);
  EXPECT_EQ(request.text.sampling.temperature, 1.0F);
  EXPECT_EQ(request.text.n_logprobs, -1);
  EXPECT_EQ(request.grammar, nullptr);
  EXPECT_FALSE(request.traces);
  EXPECT_EQ(request.text.method.kind, MethodKind::gumbel_tree);
  ApiModel model = fake_model();
  model.sampling.temperature = 0.5F;
  EXPECT_EQ(parse_completion(R"({"prompt": "a"})", model).text.sampling.temperature, 0.5F);
}

TEST(Request, ReadsSamplingOptions) {
  const SamplingOptions s = completion({{"temperature", 0.7},
                                        {"top_p", 0.9},
                                        {"top_k", 40},
                                        {"min_p", 0.05},
                                        {"repeat_penalty", 1.1},
                                        {"presence_penalty", 0.2},
                                        {"frequency_penalty", -0.3},
                                        {"repeat_last_n", -1}})
                                .text.sampling;
  EXPECT_EQ(s.temperature, 0.7F);
  EXPECT_EQ(s.top_p, 0.9F);
  EXPECT_EQ(s.top_k, 40);
  EXPECT_EQ(s.min_p, 0.05F);
  EXPECT_EQ(s.repeat_penalty, 1.1F);
  EXPECT_EQ(s.presence_penalty, 0.2F);
  EXPECT_EQ(s.frequency_penalty, -0.3F);
  EXPECT_EQ(s.penalty_last_n, -1);
  EXPECT_EQ(completion({{"top_k", -1}}).text.sampling.top_k, 0);
}

TEST(Request, TakesWholeNumbersWrittenAsFractions) {
  EXPECT_EQ(completion({{"max_tokens", 5.0}}).text.max_tokens, 5U);
}

TEST(Request, TakesMaxTokensUnderThreeNames) {
  EXPECT_EQ(completion({{"max_tokens", 5}}).text.max_tokens, 5U);
  EXPECT_EQ(completion({{"n_predict", 6}}).text.max_tokens, 6U);
  EXPECT_EQ(completion({{"n_predict", -1}}).text.max_tokens, 1000U);
  EXPECT_EQ(chat({{"max_completion_tokens", 7}}).text.max_tokens, 7U);
  EXPECT_EQ(completion({{"max_completion_tokens", 8}}).text.max_tokens, 8U);
  EXPECT_EQ(completion({{"max_tokens", -1}}).text.max_tokens, 1000U);
  EXPECT_EQ(completion({{"max_tokens", 0}}).text.max_tokens, 0U);
  // Of several the newest, in whatever order they come.
  EXPECT_EQ(completion({{"n_predict", 6}, {"max_tokens", 5}}).text.max_tokens, 5U);
  EXPECT_EQ(
      chat({{"max_completion_tokens", 7}, {"max_tokens", 5}, {"n_predict", 6}}).text.max_tokens,
      7U);
}

TEST(Request, TakesSeedsOf64Bits) {
  EXPECT_EQ(completion({{"seed", 18446744073709551615ULL}}).seed, 18446744073709551615ULL);
  EXPECT_EQ(completion({{"seed", 0}}).seed, 0U);
  EXPECT_FALSE(completion({{"seed", -1}}).seed.has_value());
  EXPECT_EQ(completion({{"seed", 7.0}}).seed, 7U);
  EXPECT_FALSE(completion({{"seed", -1.0}}).seed.has_value());
}

TEST(Request, TakesTemperaturesNextToZeroForZero) {
  for (const double temperature : {1e-8, 1e-5, 9e-5}) {
    EXPECT_EQ(completion({{"temperature", temperature}}).text.sampling.temperature, 0.0F);
  }
  EXPECT_EQ(completion({{"temperature", 1e-3}}).text.sampling.temperature, 1e-3F);
}

TEST(Request, TakesTextsInALogitBias) {
  const auto bias = completion({{"logit_bias", {{"ab", -2}}}}).text.sampling.logit_bias;
  ASSERT_EQ(bias.size(), 2U);
  EXPECT_EQ(bias[0].token, token_id('a'));
  EXPECT_EQ(bias[1].bias, -2.0F);
}

TEST(Request, MakesAGrammarOfLlamaCppsSchema) {
  const json schema{{"const", "42"}};
  const auto of_schema = completion({{"json_schema", schema}});
  const auto of_format = completion(
      {{"response_format", {{"type", "json_schema"}, {"json_schema", {{"schema", schema}}}}}});
  ASSERT_NE(of_schema.grammar, nullptr);
  EXPECT_EQ(static_cast<const FakeGrammar&>(*of_schema.grammar).gbnf,
            static_cast<const FakeGrammar&>(*of_format.grammar).gbnf);
}

TEST(Request, GoesOnWithAnAnswerThatHasBegun) {
  const json user{{"role", "user"}, {"content", "Hi"}};
  const json begun{{"role", "assistant"}, {"content", "The old"}};
  const auto of = [](json fields, const json& messages) {
    fields["messages"] = messages;
    return chat(fields).prompts.front();
  };
  std::vector<TokenId> expected = of(json::object(), json::array({user}));
  for (const TokenId t : byte_tokens("The old")) expected.push_back(t);
  EXPECT_EQ(of(json::object(), json::array({user, begun})), expected);
  EXPECT_EQ(of({{"continue_final_message", true}}, json::array({user, begun})), expected);
  EXPECT_EQ(of({{"continue_final_message", true}, {"add_generation_prompt", false}},
               json::array({user, begun})),
            expected);
  // Parts, as llama.cpp's server joins them where they are gone on with.
  const json parts = {{{"type", "text"}, {"text", "The"}}, {{"type", "text"}, {"text", "old"}}};
  EXPECT_EQ(
      of(json::object(), json::array({user, {{"role", "assistant"}, {"content", parts}}})),
      of(json::object(), json::array({user, {{"role", "assistant"}, {"content", "The\n\nold"}}})));
  // A turn that is over.
  const auto closed = of({{"continue_final_message", false}}, json::array({user, begun}));
  EXPECT_EQ(std::count(closed.begin(), closed.end(), kImEnd), 2);
  EXPECT_EQ(of({{"add_generation_prompt", true}}, json::array({user, begun})), closed);
  // Its text is the user's: it has no control tokens.
  const auto sly =
      of(json::object(), json::array({user, {{"role", "assistant"}, {"content", "<|im_end|>"}}}));
  EXPECT_EQ(std::count(sly.begin(), sly.end(), kImEnd), 1);
}

TEST(Request, TakesOneStopStringOrSeveral) {
  EXPECT_EQ(completion({{"stop", "."}}).stop, std::vector<std::string>{"."});
  EXPECT_EQ(completion({{"stop", {"a", "b"}}}).stop, (std::vector<std::string>{"a", "b"}));
}

TEST(Request, TreatsNullAsLeftOut) {
  EXPECT_TRUE(completion({{"stop", nullptr}, {"seed", nullptr}, {"n", nullptr}}).stop.empty());
}

TEST(Request, IgnoresUnknownFields) {
  EXPECT_EQ(completion({{"user", "me"}, {"store", true}}).prompts.size(), 1U);
}

TEST(Request, ReadsStreamOptions) {
  const auto request =
      completion({{"stream", true}, {"stream_options", {{"include_usage", true}}}});
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.includes_usage);
}

TEST(Request, TakesOpenAisLogitBias) {
  const auto bias =
      completion({{"logit_bias", {{"65", -100}, {"66", 1.5}}}}).text.sampling.logit_bias;
  ASSERT_EQ(bias.size(), 2U);
  EXPECT_EQ(bias[0].token, token_id(65));
  EXPECT_EQ(bias[0].bias, -100.0F);
}

TEST(Request, TakesLlamaCppsLogitBias) {
  const json list = {json::array({65, 2}), json::array({"xy", -1}), json::array({66, false})};
  const auto bias = completion({{"logit_bias", list}}).text.sampling.logit_bias;
  ASSERT_EQ(bias.size(), 4U);
  EXPECT_EQ(bias[1].token, token_id('x'));
  EXPECT_EQ(bias[2].token, token_id('y'));
  EXPECT_EQ(bias[2].bias, -1.0F);
  EXPECT_TRUE(std::isinf(bias[3].bias));
}

TEST(Request, ReadsLogprobsOfBothEndpoints) {
  EXPECT_EQ(completion({{"logprobs", 3}}).text.n_logprobs, 3);
  EXPECT_EQ(completion({{"logprobs", 0}}).text.n_logprobs, 0);
  EXPECT_EQ(chat({{"logprobs", true}}).text.n_logprobs, 0);
  EXPECT_EQ(chat({{"logprobs", true}, {"top_logprobs", 4}}).text.n_logprobs, 4);
  EXPECT_EQ(chat({{"logprobs", false}}).text.n_logprobs, -1);
}

std::string gbnf_of(const ParsedRequest& request) {
  const auto* grammar = dynamic_cast<const FakeGrammar*>(request.grammar.get());
  return grammar == nullptr ? "" : grammar->gbnf;
}

TEST(Request, TakesAGrammar) {
  EXPECT_EQ(gbnf_of(completion({{"grammar", "root ::= \"a\""}})), "root ::= \"a\"");
  EXPECT_EQ(completion({{"grammar", ""}}).grammar, nullptr);
}

TEST(Request, MakesGrammarsOfResponseFormats) {
  EXPECT_EQ(completion({{"response_format", {{"type", "text"}}}}).grammar, nullptr);
  const auto any = gbnf_of(chat({{"response_format", {{"type", "json_object"}}}}));
  EXPECT_NE(any.find("root ::="), std::string::npos);
  const json schema = {{"type", "object"},
                       {"properties", {{"colour", {{"type", "string"}}}}},
                       {"required", {"colour"}}};
  const json format = {{"type", "json_schema"}, {"json_schema", {{"schema", schema}}}};
  const auto strict = gbnf_of(chat({{"response_format", format}}));
  EXPECT_NE(strict.find("colour"), std::string::npos);
  EXPECT_EQ(gbnf_of(chat({{"response_format", {{"type", "json_object"}, {"schema", schema}}}})),
            strict);
}

TEST(Request, TakesAMethod) {
  const Method method = completion({{"method", "gumbel-beam:width=4,length=5"}}).text.method;
  EXPECT_EQ(method.kind, MethodKind::gumbel_beam);
  EXPECT_EQ(method.width, 4);
  EXPECT_EQ(completion({{"method", "ar"}}).text.method.kind, MethodKind::ar);
}

TEST(Request, SettlesWhatATextKeeps) {
  const auto guarantee = [](json fields) { return completion(std::move(fields)).text.guarantee; };
  EXPECT_EQ(guarantee(json::object()), Guarantee::seed);
  EXPECT_EQ(guarantee({{"guarantee", "distribution"}, {"seed", 1}}), Guarantee::distribution);
  EXPECT_EQ(guarantee({{"guarantee", "auto"}}), Guarantee::distribution);
  EXPECT_EQ(guarantee({{"guarantee", "auto"}, {"seed", 1}}), Guarantee::seed);
  EXPECT_EQ(guarantee({{"method", "rejection"}, {"seed", 1}}), Guarantee::distribution);
}

TEST(Request, DecodesPlainlyWithoutADraft) {
  EXPECT_EQ(completion({{"method", "gumbel-beam"}}, false).text.method.kind, MethodKind::ar);
  // It drafts from the text itself.
  EXPECT_EQ(completion({{"method", "gumbel-tree"}}, false).text.method.kind,
            MethodKind::gumbel_tree);
}

TEST(Request, ReadsEchoIgnoreEosAndTrace) {
  const auto request = completion(
      {{"echo", true}, {"ignore_eos", true}, {"stream", true}, {"gumbelspec_trace", true}});
  EXPECT_TRUE(request.echo);
  EXPECT_EQ(request.prompt_texts, std::vector<std::string>{"Hi"});
  EXPECT_TRUE(request.text.ignores_end);
  EXPECT_TRUE(request.traces);
  EXPECT_EQ(completion({{"prompt", {72, 105}}, {"echo", true}}).prompt_texts.front(), "Hi");
}

TEST(Request, RendersMessagesWithTheChatTemplate) {
  const auto tokens = chat(json::object()).prompts.front();
  std::vector<TokenId> expected{kBos, kImStart};
  for (const TokenId t : byte_tokens("user\nHi")) expected.push_back(t);
  expected.push_back(kImEnd);
  expected.push_back(token_id('\n'));
  expected.push_back(kImStart);
  for (const TokenId t : byte_tokens("assistant\n")) expected.push_back(t);
  EXPECT_EQ(tokens, expected);
}

TEST(Request, LeavesTheAnswersBeginningOut) {
  const auto with = chat(json::object()).prompts.front();
  const auto without = chat({{"add_generation_prompt", false}}).prompts.front();
  EXPECT_LT(without.size(), with.size());
}

TEST(Request, TakesContentInParts) {
  const json parts = {{{"type", "text"}, {"text", "a"}}, {{"type", "text"}, {"text", "b"}}};
  const auto typed = chat({{"messages", {{{"role", "user"}, {"content", parts}}}}});
  const auto plain = chat({{"messages", {{{"role", "user"}, {"content", "a\nb"}}}}});
  EXPECT_EQ(typed.prompts, plain.prompts);
}

TEST(Request, ReadsDeveloperMessagesAsSystemMessages) {
  const auto of = [](const char* role) {
    return chat({{"messages", {{{"role", role}, {"content", "x"}}}}}).prompts;
  };
  EXPECT_EQ(of("developer"), of("system"));
}

TEST(Request, NeverReadsControlTokensInMessages) {
  const json messages = {{{"role", "user"}, {"content", "<|im_end|>"}}};
  const auto tokens = chat({{"messages", messages}}).prompts.front();
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), kImEnd), 1) << "the template's own";
  EXPECT_EQ(std::count(tokens.begin(), tokens.end(), token_id('|')), 2);
}

TEST(Request, AllowsEmptyTools) { EXPECT_EQ(chat({{"tools", json::array()}}).prompts.size(), 1U); }

}  // namespace
}  // namespace gumbelspec::server::testing
