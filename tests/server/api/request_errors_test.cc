// What requests are refused with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "apps/server/api/request.h"
#include "tests/server/api/fake_model.h"

namespace gumbelspec::server::testing {
namespace {

using ::testing::HasSubstr;

struct Refusal {
  int status = 0;
  std::string param;
  std::string code;
  std::string message;
};

Refusal refusal_of(const std::string& body, Endpoint endpoint) {
  try {
    (void)(endpoint == Endpoint::chat ? parse_chat(body, fake_model())
                                      : parse_completion(body, fake_model()));
    ADD_FAILURE() << "accepted: " << body;
    return {};
  } catch (const ApiError& error) {
    EXPECT_EQ(error.type(), error.code() == "context_length_exceeded" ? "exceed_context_size_error"
                                                                      : "invalid_request_error");
    return {error.status(), error.param(), error.code(), error.what()};
  }
}

Refusal refusal(const json& fields) {
  json body = {{"prompt", "Hi"}};
  body.update(fields);
  return refusal_of(body.dump(), Endpoint::completions);
}

Refusal chat_refusal(const json& fields) {
  json body = {{"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
  body.update(fields);
  return refusal_of(body.dump(), Endpoint::chat);
}

TEST(RequestErrors, NameTheFieldTheValueAndTheLimit) {
  const Refusal error = refusal({{"n", 17}});
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.param, "n");
  EXPECT_EQ(error.message, "n is 17, but must be a whole number from 1 to 16");
}

struct Bad {
  const char* name;
  json value;
};

class WrongValue : public ::testing::TestWithParam<Bad> {};

TEST_P(WrongValue, IsRefusedUnderItsName) {
  const auto& [name, value] = GetParam();
  const Refusal error = refusal({{name, value}});
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.param, name) << error.message;
}

INSTANTIATE_TEST_SUITE_P(
    RequestErrors, WrongValue,
    ::testing::Values(
        Bad{"prompt", 5}, Bad{"prompt", json::array()}, Bad{"prompt", json::object()},
        Bad{"model", 1}, Bad{"max_tokens", -2}, Bad{"max_tokens", "5"}, Bad{"max_tokens", 1.5},
        Bad{"n_predict", -2}, Bad{"n", 0}, Bad{"n", true}, Bad{"seed", -2}, Bad{"seed", 1.5},
        Bad{"seed", "1"}, Bad{"stop", 1}, Bad{"stop", ""}, Bad{"stop", std::string(1025, 'x')},
        Bad{"stop", std::vector<std::string>(17, "x")}, Bad{"stream", 1},
        Bad{"stream_options", true}, Bad{"temperature", -1}, Bad{"temperature", "hot"},
        Bad{"temperature", 1e300}, Bad{"json_schema", 1}, Bad{"top_p", 0}, Bad{"top_p", 1.1},
        Bad{"top_k", -2}, Bad{"min_p", -0.1}, Bad{"min_p", 2}, Bad{"repeat_penalty", 0},
        Bad{"presence_penalty", json::array()}, Bad{"frequency_penalty", false},
        Bad{"repeat_last_n", -2}, Bad{"logit_bias", 1}, Bad{"logit_bias", {{"", 1}}},
        Bad{"logit_bias", {{"261", 1}}}, Bad{"logit_bias", {{"-1", 1}}}, Bad{"logprobs", 21},
        Bad{"logprobs", true}, Bad{"grammar", 1}, Bad{"grammar", "wrong"},
        Bad{"grammar", std::string(70000, 'x')}, Bad{"grammar", std::string("a\0b", 3)},
        Bad{"response_format", "json"}, Bad{"echo", "yes"}, Bad{"ignore_eos", 0},
        Bad{"method", "magic"}, Bad{"method", 1}, Bad{"guarantee", "always"}, Bad{"guarantee", 1},
        Bad{"gumbelspec_trace", true}, Bad{"n_probs", 1001}, Bad{"n_probs", "3"},
        Bad{"post_sampling_probs", 1}, Bad{"return_tokens", 1}, Bad{"return_progress", 0},
        Bad{"timings_per_token", "yes"}, Bad{"verbose", 1}, Bad{"t_max_predict_ms", "1"},
        Bad{"response_fields", "content"}, Bad{"id_slot", 1}, Bad{"id_slot", -2},
        Bad{"cache_prompt", "no"}));

class WrongChatValue : public ::testing::TestWithParam<Bad> {};

TEST_P(WrongChatValue, IsRefusedUnderItsName) {
  const auto& [name, value] = GetParam();
  const Refusal error = chat_refusal({{name, value}});
  EXPECT_EQ(error.status, 400);
  EXPECT_EQ(error.param, name) << error.message;
}

INSTANTIATE_TEST_SUITE_P(
    RequestErrors, WrongChatValue,
    ::testing::Values(Bad{"messages", "Hi"}, Bad{"messages", json::array()}, Bad{"logprobs", 1},
                      Bad{"top_logprobs", 2}, Bad{"top_logprobs", 21},
                      Bad{"max_completion_tokens", -2}, Bad{"add_generation_prompt", 1},
                      Bad{"chat_template_kwargs", 1}, Bad{"tools", "all"},
                      Bad{"tool_choice", "required"}, Bad{"tool_choice", 1},
                      Bad{"continue_final_message", true}, Bad{"functions", 1},
                      Bad{"parallel_tool_calls", 1}, Bad{"reasoning_format", "loud"},
                      Bad{"reasoning_budget_tokens", -2}));

TEST(RequestErrors, SayWhichElementIsWrong) {
  EXPECT_EQ(refusal({{"prompt", json::array({"a", 1.5})}}).param, "prompt[1]");
  EXPECT_EQ(refusal({{"prompt", {1, 261}}}).param, "prompt[1]");
  EXPECT_EQ(refusal({{"stop", json::array({"a", 1})}}).param, "stop[1]");
  EXPECT_EQ(refusal({{"logit_bias", json::array({json::array({1})})}}).param, "logit_bias[0]");
  EXPECT_EQ(refusal({{"stream_options", {{"include_usage", 1}}}}).param,
            "stream_options.include_usage");
}

// What other servers would have done with it.
TEST(RequestErrors, RefuseFieldsThatWouldChangeTheText) {
  struct Field {
    const char* name;
    json neutral;
    json other;
  };
  const Field fields[] = {{"lora", json::array(), {{{"id", 0}, {"scale", 1.0}}}},
                          {"suffix", "", "}"},
                          {"best_of", 1, 2},
                          {"repetition_penalty", 1.0, 1.2},
                          {"stop_token_ids", json::array(), {2}},
                          {"min_tokens", 0, 8},
                          {"skip_special_tokens", true, false},
                          {"guided_json", json::object(), {{"type", "object"}}},
                          {"use_beam_search", false, true}};
  for (const Field& field : fields) {
    for (const json& neutral : {field.neutral, json(nullptr)}) {
      EXPECT_NO_THROW((void)parse_completion(json({{"prompt", "Hi"}, {field.name, neutral}}).dump(),
                                             fake_model()))
          << field.name;
    }
    for (const json& wrong : {field.other, json("magic")}) {
      const Refusal error = refusal({{field.name, wrong}});
      EXPECT_EQ(error.param, field.name);
      EXPECT_EQ(error.code, "unsupported");
      EXPECT_THAT(error.message, HasSubstr("is not supported"));
      EXPECT_EQ(chat_refusal({{field.name, wrong}}).param, field.name);
    }
  }
}

TEST(RequestErrors, SamplersHaveLlamaCppsNamesLettersAndLimits) {
  const auto sampling = [](json fields) {
    fields["prompt"] = "Hi";
    return parse_completion(fields.dump(), fake_model()).text.sampling;
  };
  const std::vector<Sampler> order = {Sampler::temperature, Sampler::dry, Sampler::top_k};
  EXPECT_EQ(sampling({{"samplers", {"temperature", "dry", "infill", "top-k"}}}).samplers, order);
  EXPECT_EQ(sampling({{"samplers", "tidk"}}).samplers, order);
  EXPECT_EQ(sampling({{"samplers", "edskypmxta"}}).samplers,
            std::vector<Sampler>(kDefaultSamplers.begin(), kDefaultSamplers.end()));
  EXPECT_EQ(sampling({{"samplers", ""}}).samplers, std::nullopt);
  EXPECT_EQ(sampling({{"samplers", json::array()}}).samplers, std::nullopt);
  const SamplingOptions all = sampling({{"min_keep", 3},
                                        {"top_n_sigma", 1.5},
                                        {"typical_p", 0.9},
                                        {"xtc_probability", 0.5},
                                        {"xtc_threshold", 0.2},
                                        {"dynatemp_range", 0.25},
                                        {"dynatemp_exponent", 2},
                                        {"dry_multiplier", 0.8},
                                        {"dry_base", 0.5},
                                        {"dry_allowed_length", 3},
                                        {"dry_penalty_last_n", -1},
                                        {"dry_sequence_breakers", {"\n"}},
                                        {"mirostat", 2},
                                        {"mirostat_tau", 4.5},
                                        {"mirostat_eta", 0.25},
                                        {"adaptive_target", 0.5},
                                        {"adaptive_decay", 0.75}});
  EXPECT_EQ(all.dry_multiplier, 0.8F);
  EXPECT_EQ(all.dry_base, 1.75F);  // below 1 it is the default
  EXPECT_EQ(all.dry_allowed_length, 3);
  EXPECT_EQ(all.dry_penalty_last_n, -1);
  EXPECT_EQ(all.mirostat, 2);
  EXPECT_EQ(all.mirostat_tau, 4.5F);
  EXPECT_EQ(all.mirostat_eta, 0.25F);
  EXPECT_EQ(all.adaptive_target, 0.5F);
  EXPECT_EQ(all.adaptive_decay, 0.75F);
  EXPECT_EQ(all.min_keep, 3);
  EXPECT_EQ(all.top_n_sigma, 1.5F);
  EXPECT_EQ(all.typical_p, 0.9F);
  EXPECT_EQ(all.xtc_probability, 0.5F);
  EXPECT_EQ(all.xtc_threshold, 0.2F);
  EXPECT_EQ(all.dynatemp_range, 0.25F);
  EXPECT_EQ(all.dynatemp_exponent, 2.0F);
  EXPECT_EQ(sampling({{"typ_p", 0.7}}).typical_p, 0.7F);
  EXPECT_EQ(sampling({{"typical_p", 1.5}, {"xtc_probability", -1}}).typical_p, 1.0F);
  const std::pair<const char*, json> wrong[] = {{"samplers", 5},
                                                {"samplers", {"magic"}},
                                                {"samplers", "tz"},
                                                {"min_keep", -1},
                                                {"dry_multiplier", -1},
                                                {"dry_allowed_length", -1},
                                                {"dry_penalty_last_n", -2},
                                                {"dry_sequence_breakers", "x"},
                                                {"dry_sequence_breakers", 7},
                                                {"mirostat", 3},
                                                {"mirostat_tau", -1},
                                                {"mirostat_eta", 1.5},
                                                {"adaptive_target", 1.5},
                                                {"adaptive_decay", 1},
                                                {"typical_p", 0},
                                                {"xtc_probability", 1.5},
                                                {"xtc_threshold", -0.5},
                                                {"dynatemp_range", -1},
                                                {"dynatemp_exponent", 0},
                                                {"top_n_sigma", "wide"},
                                                {"xtc_probability", "often"}};
  for (const auto& [name, value] : wrong) {
    EXPECT_EQ(refusal({{name, value}}).param, name) << value;
    EXPECT_EQ(chat_refusal({{name, value}}).param, name) << value;
  }
}

TEST(RequestErrors, RefuseUnknownFieldsWhereTheServerIsStrict) {
  ApiModel model = fake_model();
  model.refuses_unknown_fields = true;
  const auto param = [&](const json& body, Endpoint endpoint) -> std::string {
    try {
      (void)(endpoint == Endpoint::chat ? parse_chat(body.dump(), model)
                                        : parse_completion(body.dump(), model));
      return "";
    } catch (const ApiError& error) {
      EXPECT_EQ(error.code(), "unknown_field");
      return error.param();
    }
  };
  EXPECT_EQ(param({{"prompt", "Hi"}, {"colour", 1}}, Endpoint::completions), "colour");
  EXPECT_EQ(param({{"prompt", "Hi"}, {"colour", nullptr}}, Endpoint::completions), "colour");
  EXPECT_EQ(param({{"prompt", "Hi"}, {"top_k", 3}, {"mirostat", 0}}, Endpoint::completions), "");
  const json messages = {{{"role", "user"}, {"content", "Hi"}}};
  EXPECT_EQ(param({{"messages", messages}, {"echo", true}}, Endpoint::chat), "echo");
  EXPECT_EQ(param({{"messages", messages}, {"top_logprobs", nullptr}}, Endpoint::chat), "");
}

TEST(RequestErrors, RefuseMessagesThatCannotBeContinued) {
  const auto of = [](const json& messages, json fields) {
    fields["messages"] = messages;
    return refusal_of(fields.dump(), Endpoint::chat).param;
  };
  const json user{{"role", "user"}, {"content", "Hi"}};
  const json answer{{"role", "assistant"}, {"content", "The"}};
  EXPECT_EQ(of(json::array({user, answer, answer}), json::object()), "messages");
  EXPECT_EQ(of(json::array({user, answer}),
               {{"continue_final_message", true}, {"add_generation_prompt", true}}),
            "continue_final_message");
  EXPECT_EQ(of(json::array({user}), {{"continue_final_message", true}}), "continue_final_message");
}

TEST(RequestErrors, TellHowLongAPromptIsInNumbers) {
  try {
    (void)parse_completion(json({{"prompt", std::string(2000, 'x')}}).dump(), fake_model());
    ADD_FAILURE();
  } catch (const ApiError& error) {
    const json body = json::parse(error.body())["error"];
    EXPECT_EQ(body["n_prompt_tokens"], 2001);
    EXPECT_EQ(body["n_ctx"], 1000);
  }
}

TEST(RequestErrors, RefuseToKeepASeedByRejection) {
  EXPECT_EQ(refusal({{"method", "rejection"}, {"guarantee", "seed"}}).param, "guarantee");
}

TEST(RequestErrors, RefuseMessagesThatAreNot) {
  const auto of = [](const json& message) {
    return chat_refusal({{"messages", json::array({message})}}).param;
  };
  EXPECT_EQ(of({{"content", "x"}}), "messages[0].role");
  EXPECT_EQ(of({{"role", "wizard"}, {"content", "x"}}), "messages[0].role");
  EXPECT_EQ(of({{"role", "assistant"}, {"tool_calls", {{{"type", "function"}}}}}),
            "messages[0].tool_calls[0]");
  EXPECT_EQ(of({{"role", "user"}, {"content", 1}}), "messages[0].content");
  EXPECT_EQ(of({{"role", "user"}, {"content", json::array({{{"type", "image_url"}}})}}),
            "messages[0].content[0]");
  for (const char* role : {"system", "user", "assistant", "tool"}) {
    EXPECT_EQ(of({{"role", role}}), "messages[0].content") << role;
    EXPECT_EQ(of({{"role", role}, {"contents", "x"}}), "messages[0].content") << role;
  }
  EXPECT_EQ(of(1), "messages[0]");
}

TEST(RequestErrors, TakeMessagesWhoseContentIsEmptyOrSomethingElse) {
  const json messages = {{{"role", "user"}, {"content", ""}},
                         {{"role", "user"}, {"content", nullptr}},
                         {{"role", "assistant"}, {"tool_calls", {{{"function", {{"name", "f"}}}}}}},
                         {{"role", "assistant"}, {"reasoning_content", "hm"}},
                         {{"role", "user"}, {"content", "Hi"}}};
  EXPECT_EQ(parse_chat(json{{"messages", messages}}.dump(), fake_model()).prompts.size(), 1U);
}

TEST(RequestErrors, RefuseResponseFormatsThatSayNothing) {
  const auto of = [](const json& format) { return refusal({{"response_format", format}}).param; };
  EXPECT_EQ(of(json::object()), "response_format.type");
  EXPECT_EQ(of({{"type", "xml"}}), "response_format.type");
  EXPECT_EQ(of({{"type", "json_schema"}}), "response_format.json_schema");
  EXPECT_EQ(of({{"type", "json_object"}, {"schema", {{"type", "nonsense"}}}}), "response_format");
}

TEST(RequestErrors, RefuseWhatContradictsItself) {
  EXPECT_EQ(refusal({{"grammar", "root ::= \"a\""}, {"ignore_eos", true}}).param, "ignore_eos");
  EXPECT_EQ(refusal({{"grammar", "root ::= \"a\""}, {"response_format", {{"type", "json_object"}}}})
                .param,
            "response_format");
}

TEST(RequestErrors, RefuseMissingAndEmptyPrompts) {
  EXPECT_EQ(refusal_of("{}", Endpoint::completions).code, "missing_field");
  EXPECT_EQ(refusal_of("{}", Endpoint::chat).param, "messages");
  ApiModel model = fake_model();
  EXPECT_EQ(refusal({{"prompt", json::array({json::array()})}}).code, "invalid_prompt");
}

TEST(RequestErrors, RefusePromptsThatDoNotFit) {
  const Refusal error = refusal({{"prompt", std::string(1000, 'x')}});
  EXPECT_EQ(error.code, "context_length_exceeded");
  EXPECT_THAT(error.message, HasSubstr("1001 tokens"));
  EXPECT_THAT(error.message, HasSubstr("exceeds the available context size"));
  EXPECT_THAT(error.message, HasSubstr("1000"));
  EXPECT_EQ(refusal({{"prompt", std::vector<int>(1000, 65)}}).code, "context_length_exceeded");
}

TEST(RequestErrors, RefuseTooManyTexts) {
  EXPECT_EQ(refusal({{"prompt", std::vector<std::string>(5, "a")}, {"n", 16}}).param, "n");
}

TEST(RequestErrors, SayWhereJsonIsWrongButNotWhatItSays) {
  const Refusal error = refusal_of(R"({"prompt": "secret" oops})", Endpoint::completions);
  EXPECT_EQ(error.code, "invalid_json");
  EXPECT_THAT(error.message, HasSubstr("byte 2"));
  EXPECT_THAT(error.message, ::testing::Not(HasSubstr("secret")));
}

TEST(RequestErrors, RefuseWhatIsNoObject) {
  for (const char* body :
       {"", "[]", "1", "null", "\"x\"", "{\"prompt\": \"\xFF\"}", "{\"a\": 1e999}"}) {
    EXPECT_EQ(refusal_of(body, Endpoint::completions).status, 400) << body;
  }
}

TEST(RequestErrors, BoundDepthAndSize) {
  const std::string deep = std::string(100000, '[') + std::string(100000, ']');
  EXPECT_EQ(refusal_of("{\"x\": " + deep + "}", Endpoint::completions).code, "json_too_deep");
  const std::string large = "{\"x\": \"" + std::string(kMaxBodyBytes, 'x') + "\"}";
  EXPECT_EQ(refusal_of(large, Endpoint::completions).status, 413);
}

TEST(RequestErrors, BoundPatternsOfSchemas) {
  const json schema = {{"type", "string"}, {"pattern", std::string(2000, '(')}};
  const json format = {{"type", "json_schema"},
                       {"json_schema", {{"schema", {{"properties", {{"a", schema}}}}}}}};
  EXPECT_THAT(refusal({{"response_format", format}}).message, HasSubstr("pattern"));
}

TEST(RequestErrors, RefuseSchemasThatCannotBeFollowedInFull) {
  const json schema = {{"type", "string"}, {"pattern", "a(?=b)"}};
  const json format = {{"type", "json_schema"}, {"json_schema", {{"schema", schema}}}};
  ::testing::internal::CaptureStderr();
  EXPECT_THAT(refusal({{"response_format", format}}).message, HasSubstr("look-ahead"));
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

TEST(RequestErrors, AreOpenAisErrorObject) {
  const json body = json::parse(bad_request("no", "n", "invalid_value").body());
  EXPECT_EQ(body, (json{{"error",
                         {{"code", "invalid_value"},
                          {"message", "no"},
                          {"type", "invalid_request_error"},
                          {"param", "n"}}}}));
  EXPECT_TRUE(json::parse(ApiError(500, "server_error", "x").body())["error"]["param"].is_null());
}

TEST(RequestErrors, SayWhatTheRequestCallsIt) {
  EXPECT_EQ(refusal({{"top_p", 0}}).message, "top_p is 0, but must be in (0, 1] (1: off)");
  const Error window(ErrorCode::invalid_option, "penalty_last_n is -2", "penalty_last_n");
  EXPECT_EQ(api_error(window).param(), "repeat_last_n");
  EXPECT_STREQ(api_error(window).what(), "repeat_last_n is -2");
  const Error grammar(ErrorCode::invalid_option, "grammar ends too early", "grammar");
  EXPECT_EQ(bad_field(grammar, "response_format").param(), "response_format");
  EXPECT_STREQ(bad_field(grammar, "response_format").what(), "response_format ends too early");
}

TEST(RequestErrors, TellTheLibrarysErrorsApart) {
  EXPECT_EQ(api_error(Error(ErrorCode::prompt_too_long, "x")).code(), "context_length_exceeded");
  EXPECT_EQ(api_error(Error(ErrorCode::invalid_option, "x")).status(), 400);
  EXPECT_EQ(api_error(Error(ErrorCode::out_of_memory, "x")).status(), 503);
  EXPECT_EQ(api_error(Error(ErrorCode::evaluation_failed, "x")).status(), 500);
}

}  // namespace
}  // namespace gumbelspec::server::testing
