// What streams of Responses and Messages tell besides their texts.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/server/api/fake_model.h"

namespace gumbelspec::server::testing {
namespace {

// The data of all events.
std::vector<json> data_of(const Conversation& c) {
  const std::string begin = "\ndata: ";
  std::vector<json> out;
  for (const std::string& text : c.events) {
    for (std::size_t at = text.find(begin); at != std::string::npos; at = text.find(begin, at)) {
      at += begin.size();
      out.push_back(json::parse(text.substr(at, text.find("\n\n", at) - at)));
    }
  }
  return out;
}

// Progress has no place in this form: an event of another would end its clients.
TEST(Messages, HaveNoEventsOfOtherForms) {
  Conversation c;
  json request = {{"max_tokens", 50}, {"messages", {{{"role", "user"}, {"content", "Hi"}}}}};
  request["stream"] = true;
  request["return_progress"] = true;
  c.ask(request, Endpoint::messages);
  c.jobs.at(0).sink->on_prompt(3, 3, 2);
  EXPECT_TRUE(c.events.empty());
  c.say("Hi");
  c.end();
  for (const json& event : data_of(c)) EXPECT_TRUE(event.contains("type")) << event;
}

// As llama.cpp's server has them: fields of events that clients know.
TEST(Responses, TellProgressAndTimesInTheirOwnEvents) {
  Conversation c;
  json request = {{"input", "Hi"}};
  request["stream"] = true;
  request["return_progress"] = true;
  request["timings_per_token"] = true;
  c.ask(request, Endpoint::responses);
  c.jobs.at(0).sink->on_prompt(3, 3, 2);
  c.say("Hi");
  c.end();
  std::vector<int> read;
  int n_begun = 0;
  int number = 0;
  bool has_delta = false;
  const std::vector<json> events = data_of(c);
  for (const json& event : events) {
    const std::string type = event["type"];
    EXPECT_EQ(event["sequence_number"], number++);
    n_begun += type == "response.created" ? 1 : 0;
    if (event.contains("prompt_progress")) {
      EXPECT_EQ(type, "response.in_progress");
      EXPECT_EQ(event["prompt_progress"]["total"], 3);
      EXPECT_EQ(event["prompt_progress"]["cache"], 2);
      read.push_back(event["prompt_progress"]["processed"]);
    }
    if (type == "response.output_text.delta") {
      has_delta = true;
      EXPECT_TRUE(event["timings"].contains("predicted_per_second"));
    }
  }
  EXPECT_EQ(read, (std::vector<int>{2, 3}));
  EXPECT_EQ(n_begun, 1);
  EXPECT_TRUE(has_delta);
  EXPECT_EQ(events.back()["type"], "response.completed");
  EXPECT_TRUE(events.back()["timings"].contains("prompt_n"));
}

}  // namespace
}  // namespace gumbelspec::server::testing
