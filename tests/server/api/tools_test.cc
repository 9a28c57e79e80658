// Tool calls in requests and answers, in the three forms of a chat.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/api/fake_model.h"

namespace gumbelspec::server::testing {
namespace {

using ::testing::HasSubstr;

constexpr const char* kCall =
    "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";

const json kParameters = {
    {"type", "object"}, {"properties", {{"city", {{"type", "string"}}}}}, {"required", {"city"}}};
const json kTools = json::array(
    {{{"type", "function"}, {"function", {{"name", "weather"}, {"parameters", kParameters}}}}});

json chat_body(json more = json::object()) {
  json body{{"messages", {{{"role", "user"}, {"content", "Hi"}}}}, {"tools", kTools}};
  body.update(more);
  return body;
}

std::string prompt_of(const Conversation& c) {
  std::string text;
  for (const TokenId token : c.jobs.at(0).prompt) {
    text += index(token) < 256  ? std::string(1, static_cast<char>(index(token)))
            : token == kImStart ? "<|im_start|>"
            : token == kImEnd   ? "<|im_end|>"
                                : "<s>";
  }
  return text;
}

TEST(Tools, AreToldToTheModelWithTheCallsAndResultsSoFar) {
  Conversation c;
  c.ask_chat({{"tools", kTools},
              {"messages",
               {{{"role", "user"}, {"content", "Hi"}},
                {{"role", "assistant"},
                 {"content", nullptr},
                 {"tool_calls",
                  {{{"id", "a"},
                    {"type", "function"},
                    {"function", {{"name", "weather"}, {"arguments", "{\"city\": \"Rome\"}"}}}}}}},
                {{"role", "tool"}, {"tool_call_id", "a"}, {"content", "sunny"}}}}});
  const std::string prompt = prompt_of(c);
  EXPECT_THAT(prompt, HasSubstr("\"name\": \"weather\""));
  EXPECT_THAT(prompt, HasSubstr("<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": "
                                "\"Rome\"}}\n</tool_call><|im_end|>"));
  EXPECT_THAT(prompt, HasSubstr("<tool_response>\nsunny\n</tool_response>"));
}

TEST(Tools, AreCalledInTheAnswer) {
  Conversation c;
  c.ask_chat(chat_body());
  EXPECT_NE(c.jobs[0].options.constraint, nullptr);
  c.say(kCall);
  c.end();
  const json choice = c.body()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "tool_calls");
  EXPECT_TRUE(choice["message"]["content"].is_null());
  const json call = choice["message"]["tool_calls"].at(0);
  EXPECT_EQ(call["type"], "function");
  EXPECT_NE(call["id"], "");
  EXPECT_EQ(call["function"]["name"], "weather");
  EXPECT_EQ(json::parse(call["function"]["arguments"].get<std::string>()),
            json({{"city", "Paris"}}));
}

TEST(Tools, NeedNotBeCalled) {
  Conversation c;
  c.ask_chat(chat_body());
  c.say("Hello");
  c.end();
  const json choice = c.body()["choices"][0];
  EXPECT_EQ(choice["finish_reason"], "stop");
  EXPECT_EQ(choice["message"]["content"], "Hello");
  EXPECT_FALSE(choice["message"].contains("tool_calls"));
}

TEST(Tools, AreStreamedNameFirstThenArguments) {
  Conversation c;
  c.ask_chat(chat_body({{"stream", true}}));
  const std::string text = std::string("Wait.") + kCall;
  for (std::size_t at = 0; at < text.size(); at += 4) c.say(text.substr(at, 4));
  c.end();
  std::string content;
  std::string name;
  std::string arguments;
  json finish;
  ASSERT_EQ(c.events.back(), "data: [DONE]\n\n");
  for (std::size_t i = 0; i + 1 < c.events.size(); ++i) {
    const json choice = c.event(i)["choices"][0];
    if (i == 0) EXPECT_EQ(choice["delta"]["role"], "assistant");
    if (choice["delta"].contains("content") && choice["delta"]["content"].is_string()) {
      content += choice["delta"]["content"].get<std::string>();
    }
    for (const json& call : choice["delta"].value("tool_calls", json::array())) {
      EXPECT_EQ(call["index"], 0);
      if (call["function"].contains("name")) {
        EXPECT_EQ(name + arguments, "");
        EXPECT_TRUE(call.contains("id"));
        name = call["function"]["name"];
      }
      arguments += call["function"].value("arguments", "");
    }
    finish = choice["finish_reason"];
  }
  EXPECT_EQ(content, "Wait.");
  EXPECT_EQ(name, "weather");
  EXPECT_EQ(json::parse(arguments), json({{"city", "Paris"}}));
  EXPECT_EQ(finish, "tool_calls");
}

TEST(Tools, OfATextThatWasCutAreNoCalls) {
  Conversation c;
  c.ask_chat(chat_body({{"tool_choice", "required"}}));
  c.say(std::string(kCall).substr(0, 40));
  c.end(Outcome::length);
  EXPECT_EQ(c.body()["choices"][0]["finish_reason"], "length");
}

// Its reader calls itself for each bracket.
TEST(Tools, WithTooManyBracketsAreContent) {
  Conversation c;
  c.ask_chat(chat_body());
  const std::string text =
      "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": " + std::string(500'000, '[');
  c.say(text);
  c.end();
  EXPECT_EQ(c.body()["choices"][0]["message"]["content"], text);
}

TEST(Tools, CanBeNamedOrRuledOut) {
  for (const json& choice :
       {json("required"), json{{"type", "function"}, {"function", {{"name", "weather"}}}}}) {
    Conversation c;
    std::string gbnf;
    c.model.compile_grammar = [&](const std::string& text, const GrammarTrigger& trigger) {
      gbnf = text;
      EXPECT_TRUE(trigger.inner.empty()) << "it counts from the beginning";
      return std::make_shared<const FakeGrammar>(text);
    };
    c.ask_chat(chat_body({{"tool_choice", choice}}));
    EXPECT_THAT(gbnf, HasSubstr("weather"));
  }
  Conversation none;
  none.ask_chat(chat_body({{"tool_choice", "none"}}));
  EXPECT_EQ(none.jobs[0].options.constraint, nullptr);
}

TEST(Tools, OfTheOlderFormAreTheSame) {
  Conversation c;
  json body = chat_body();
  body.erase("tools");
  body["functions"] = {{{"name", "weather"}, {"parameters", kParameters}}};
  body["function_call"] = {{"name", "weather"}};
  body["messages"].push_back({{"role", "assistant"},
                              {"content", nullptr},
                              {"function_call", {{"name", "weather"}, {"arguments", "{}"}}}});
  body["messages"].push_back({{"role", "function"}, {"name", "weather"}, {"content", "sunny"}});
  c.ask_chat(body);
  EXPECT_THAT(prompt_of(c), HasSubstr("sunny"));
  c.say(kCall);
  c.end();
  EXPECT_EQ(c.body()["choices"][0]["finish_reason"], "tool_calls");
}

std::string refused(const json& body, Endpoint endpoint = Endpoint::chat) {
  try {
    (void)parse_request(body.dump(), fake_model(), endpoint);
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status(), 400);
    return error.param();
  }
  return "taken";
}

TEST(Tools, AreRefusedWhereTheyAreWrong) {
  EXPECT_EQ(refused(chat_body({{"tools", {{{"type", "web_search"}}}}})), "tools[0]");
  EXPECT_EQ(refused(chat_body({{"tools", {{{"type", "function"}, {"function", {{"x", 1}}}}}}})),
            "tools[0].function");
  EXPECT_EQ(refused(chat_body({{"tool_choice", "sometimes"}})), "tool_choice");
  EXPECT_EQ(refused(chat_body({{"tool_choice", {{"name", "other"}}}})), "tool_choice");
  EXPECT_EQ(refused(chat_body({{"tools", json::array()}, {"tool_choice", "required"}})),
            "tool_choice");
  EXPECT_EQ(refused(chat_body({{"grammar", "root ::= \"a\""}})), "grammar");
  EXPECT_EQ(refused(chat_body({{"ignore_eos", true}})), "ignore_eos");
}

TEST(Tools, MustBeWithinTheTemplatesPower) {
  ApiModel model = fake_model();
  model.chat_template = std::make_shared<ChatTemplate>(
      "{% for m in messages %}{{ m.role }}: {{ m.content }}{% endfor %}", "", "");
  EXPECT_THROW((void)parse_chat(chat_body({{"tool_choice", "required"}}).dump(), model), ApiError);
  EXPECT_EQ(parse_chat(chat_body().dump(), model).grammar, nullptr);
}

std::vector<json> named_events(const Conversation& c) {
  std::vector<json> out;
  for (const std::string& text : c.events) {
    for (std::size_t at = text.find("event: "); at != std::string::npos;) {
      const std::size_t line = text.find('\n', at);
      const std::size_t end = text.find("\n\n", at);
      EXPECT_EQ(text.substr(line + 1, 6), "data: ");
      out.push_back(json::parse(text.substr(line + 7, end - line - 7)));
      EXPECT_EQ(text.substr(at + 7, line - at - 7), out.back()["type"]);
      at = text.find("event: ", end);
    }
  }
  return out;
}

const json kResponsesBody = {
    {"input", "Hi"},
    {"tools", {{{"type", "function"}, {"name", "weather"}, {"parameters", kParameters}}}}};

TEST(Responses, AreAnsweredWhole) {
  Conversation c;
  c.ask(kResponsesBody, Endpoint::responses);
  c.say(std::string("Wait.") + kCall);
  c.end();
  const json body = c.body();
  EXPECT_EQ(body["object"], "response");
  EXPECT_EQ(body["status"], "completed");
  ASSERT_EQ(body["output"].size(), 2U);
  EXPECT_EQ(body["output"][0]["content"][0]["text"], "Wait.");
  EXPECT_EQ(body["output"][1]["type"], "function_call");
  EXPECT_EQ(body["output"][1]["name"], "weather");
  EXPECT_EQ(json::parse(body["output"][1]["arguments"].get<std::string>()),
            json({{"city", "Paris"}}));
  EXPECT_GT(body["usage"]["input_tokens"], 2);
}

TEST(Responses, AreStreamedItemByItem) {
  Conversation c;
  json request = kResponsesBody;
  request["stream"] = true;
  c.ask(request, Endpoint::responses);
  const std::string text = std::string("Wait.") + kCall;
  for (std::size_t at = 0; at < text.size(); at += 4) c.say(text.substr(at, 4));
  c.end();
  std::vector<std::string> order;
  std::string content;
  std::string arguments;
  int number = 0;
  json last;
  for (const json& event : named_events(c)) {
    const std::string type = event["type"];
    EXPECT_EQ(event["sequence_number"], number++);
    if (type == "response.output_text.delta") content += event["delta"].get<std::string>();
    if (type == "response.function_call_arguments.delta") {
      arguments += event["delta"].get<std::string>();
    }
    if (order.empty() || order.back() != type) order.push_back(type);
    last = event;
  }
  EXPECT_EQ(
      order,
      (std::vector<std::string>{
          "response.created", "response.in_progress", "response.output_item.added",
          "response.content_part.added", "response.output_text.delta", "response.output_text.done",
          "response.content_part.done", "response.output_item.done", "response.output_item.added",
          "response.function_call_arguments.delta", "response.function_call_arguments.done",
          "response.output_item.done", "response.completed"}));
  EXPECT_EQ(content, "Wait.");
  EXPECT_EQ(json::parse(arguments), json({{"city", "Paris"}}));
  EXPECT_EQ(last["response"]["output"].size(), 2U);
  EXPECT_EQ(last["response"]["output"][1]["arguments"], arguments);
}

TEST(Responses, TakeTheirOwnAnswersBack) {
  Conversation c;
  json request = kResponsesBody;
  request["instructions"] = "Be brief.";
  request["input"] = {
      {{"role", "user"}, {"content", "Hi"}},
      {{"role", "assistant"}, {"content", "Wait."}},
      {{"type", "function_call"}, {"call_id", "call_1"}, {"name", "weather"}, {"arguments", "{}"}},
      {{"type", "function_call_output"}, {"call_id", "call_1"}, {"output", "sunny"}}};
  c.ask(request, Endpoint::responses);
  const std::string prompt = prompt_of(c);
  for (const char* part : {"Be brief.", "Wait.", "<tool_call>\n{\"name\": \"weather\"", "sunny"}) {
    EXPECT_THAT(prompt, HasSubstr(part));
  }
}

TEST(Responses, RefuseWhatTheyDoNotKeep) {
  json request = kResponsesBody;
  request["previous_response_id"] = "resp_1";
  EXPECT_EQ(refused(request, Endpoint::responses), "previous_response_id");
  request = kResponsesBody;
  request["n"] = 2;
  EXPECT_EQ(refused(request, Endpoint::responses), "n");
  request = kResponsesBody;
  request.erase("input");
  EXPECT_NE(refused(request, Endpoint::responses), "taken");
}

TEST(Responses, FollowASchema) {
  Conversation c;
  c.ask(
      {{"input", "Hi"},
       {"text",
        {{"format", {{"type", "json_schema"}, {"name", "x"}, {"schema", {{"type", "object"}}}}}}}},
      Endpoint::responses);
  EXPECT_NE(c.jobs[0].options.constraint, nullptr);
}

const json kMessagesBody = {{"max_tokens", 50},
                            {"system", "Be brief."},
                            {"messages", {{{"role", "user"}, {"content", "Hi"}}}},
                            {"tools", {{{"name", "weather"}, {"input_schema", kParameters}}}}};

TEST(Messages, AreAnsweredWhole) {
  Conversation c;
  c.ask(kMessagesBody, Endpoint::messages);
  EXPECT_THAT(prompt_of(c), HasSubstr("Be brief."));
  c.say(std::string("Wait.") + kCall);
  c.end();
  const json body = c.body();
  EXPECT_EQ(body["type"], "message");
  EXPECT_EQ(body["stop_reason"], "tool_use");
  ASSERT_EQ(body["content"].size(), 2U);
  EXPECT_EQ(body["content"][0]["text"], "Wait.");
  EXPECT_EQ(body["content"][1]["type"], "tool_use");
  EXPECT_EQ(body["content"][1]["input"], json({{"city", "Paris"}}));
}

TEST(Messages, AreStreamedBlockByBlock) {
  Conversation c;
  json request = kMessagesBody;
  request["stream"] = true;
  c.ask(request, Endpoint::messages);
  const std::string text = std::string("Wait.") + kCall;
  for (std::size_t at = 0; at < text.size(); at += 4) c.say(text.substr(at, 4));
  c.end();
  std::vector<std::string> order;
  std::string arguments;
  for (const json& event : named_events(c)) {
    std::string type = event["type"];
    if (event.contains("index")) type += event["index"].dump();
    if (order.empty() || order.back() != type) order.push_back(type);
    if (event["type"] == "content_block_delta")
      arguments += event["delta"].value("partial_json", "");
    if (type == "message_delta") EXPECT_EQ(event["delta"]["stop_reason"], "tool_use");
  }
  EXPECT_EQ(order, (std::vector<std::string>{
                       "message_start", "content_block_start0", "content_block_delta0",
                       "content_block_stop0", "content_block_start1", "content_block_delta1",
                       "content_block_stop1", "message_delta", "message_stop"}));
  EXPECT_EQ(json::parse(arguments), json({{"city", "Paris"}}));
}

TEST(Messages, TakeTheirOwnAnswersBack) {
  Conversation c;
  json request = kMessagesBody;
  request["messages"].push_back({{"role", "assistant"},
                                 {"content",
                                  {{{"type", "text"}, {"text", "Wait."}},
                                   {{"type", "tool_use"},
                                    {"id", "a"},
                                    {"name", "weather"},
                                    {"input", {{"city", "Rome"}}}}}}});
  request["messages"].push_back(
      {{"role", "user"},
       {"content", {{{"type", "tool_result"}, {"tool_use_id", "a"}, {"content", "sunny"}}}}});
  c.ask(request, Endpoint::messages);
  const std::string prompt = prompt_of(c);
  for (const char* part : {"Wait.", "\"Rome\"", "sunny"}) EXPECT_THAT(prompt, HasSubstr(part));
}

TEST(Messages, SayWhyTheyStop) {
  Conversation c;
  json request = kMessagesBody;
  request["stop_sequences"] = {"END"};
  request["tool_choice"] = {{"type", "none"}};
  c.ask(request, Endpoint::messages);
  c.say("Hi END");
  c.end();
  EXPECT_EQ(c.body()["stop_reason"], "stop_sequence");
  EXPECT_EQ(c.body()["stop_sequence"], "END");
  EXPECT_EQ(c.body()["content"][0]["text"], "Hi ");
  Conversation cut;
  cut.ask(kMessagesBody, Endpoint::messages);
  cut.say("Hi");
  cut.end(Outcome::length);
  EXPECT_EQ(cut.body()["stop_reason"], "max_tokens");
}

}  // namespace
}  // namespace gumbelspec::server::testing
