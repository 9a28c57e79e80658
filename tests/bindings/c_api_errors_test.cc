// What is wrong gives a code and one line, and nothing else happens.
#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <thread>

#include "tests/bindings/c_api_fixture.h"
#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

using CApiErrors = CApi;

gumbelspec_status load(const char* target, const char* draft, const char* options) {
  gumbelspec_pair* pair = nullptr;
  const gumbelspec_status status =
      gumbelspec_pair_load(target, draft, options, nullptr, nullptr, &pair);
  EXPECT_EQ(pair == nullptr, status != GUMBELSPEC_OK);
  gumbelspec_pair_free(pair);
  return status;
}

void expect_error(gumbelspec_status got, gumbelspec_status wanted, const std::string& message) {
  EXPECT_EQ(got, wanted) << gumbelspec_last_error();
  EXPECT_THAT(gumbelspec_last_error(), HasSubstr(message));
  EXPECT_THAT(gumbelspec_last_error(), Not(HasSubstr("\n")));
}

TEST(CApiLoading, TellsWhatIsWrong) {
  const std::string target = model_path("demo-target-q8_0.gguf");
  const std::string draft = model_path("demo-draft-q8_0.gguf");
  const std::string text = std::string(GUMBELSPEC_MODELS_DIR) + "/README.md";
  expect_error(load(nullptr, nullptr, nullptr), GUMBELSPEC_INVALID_ARGUMENT, "target");
  expect_error(load("", nullptr, nullptr), GUMBELSPEC_FILE_NOT_FOUND, "");
  expect_error(load("no-such.gguf", nullptr, nullptr), GUMBELSPEC_FILE_NOT_FOUND, "no-such.gguf");
  expect_error(load(text.c_str(), nullptr, nullptr), GUMBELSPEC_INVALID_MODEL, "README.md");
  expect_error(load(target.c_str(), "no-such.gguf", nullptr), GUMBELSPEC_FILE_NOT_FOUND,
               "no-such.gguf");
  const auto option = [&](const char* options, const std::string& message) {
    expect_error(load(target.c_str(), draft.c_str(), options), GUMBELSPEC_INVALID_OPTION, message);
  };
  option("{", "JSON");
  option("[1]", "");
  option(R"({"n_contxt": 5})", "n_contxt");
  option(R"({"n_contxt": 5})", "n_context");  // the remedy
  option(R"({"n_context": "5"})", "n_context");
  option(R"({"n_context": -1})", "n_context is -1");
  option(R"({"n_context": 100000000})", "n_context");
  option(R"({"n_sequences": 0})", "n_sequences is 0");
  option(R"({"attention": "slow"})", "exact or fast");
  option(R"({"split_mode": "x"})", "none, layer or row");
  option(R"({"devices": ["no-such-device"]})", "no-such-device");
  option(R"({"tensor_split": ["a"]})", "tensor_split");
}

TEST(CApiLoading, TheProgressFunctionStopsIt) {
  struct Calls {
    int n = 0;
    float last = -1.0F;
  } calls;
  const auto stop = [](float done, void* user) {
    auto& seen = *static_cast<Calls*>(user);
    EXPECT_GE(done, 0.0F);
    EXPECT_LE(done, 1.0F);
    seen.last = done;
    return ++seen.n < 2 ? 1 : 0;
  };
  gumbelspec_pair* pair = nullptr;
  EXPECT_EQ(gumbelspec_pair_load(model_path("demo-target-q8_0.gguf").c_str(), nullptr, nullptr,
                                 stop, &calls, &pair),
            GUMBELSPEC_STOPPED);
  EXPECT_EQ(calls.n, 2);
  EXPECT_EQ(pair, nullptr);
}

TEST_F(CApiErrors, TextOptionsAreCheckedByName) {
  const auto option = [](const char* options, const std::string& message) {
    gumbelspec_session* session = nullptr;
    expect_error(gumbelspec_session_new(pair_, options, &session), GUMBELSPEC_INVALID_OPTION,
                 message);
    EXPECT_EQ(session, nullptr);
  };
  option("{\"temperature\": }", "JSON");
  option(R"({"temprature": 1})", "temprature");
  option(R"({"temperature": -1})", "temperature is -1");
  option(R"({"temperature": "hot"})", "temperature");
  option(R"({"top_p": 2})", "top_p is 2");
  option(R"({"seed": 1.5})", "seed is 1.5");
  option(R"({"logprobs": 5000})", "logprobs is 5000");
  option(R"({"noise_stream": -1})", "noise_stream is -1");
  option(R"({"method": "magic"})", "magic");
  option(R"({"method": "gumbel-beam:width=0"})", "width");
  option(R"({"guarantee": "seed", "method": "rejection"})", "guarantee");
  option(R"({"grammar": "root ::= ("})", "grammar");
  option(R"({"stream": true})", "stream");
  option(R"({"prompt": "x"})", "prompt");
  option(R"({"max_tokens": -2})", "max_tokens is -2");
}

TEST_F(CApiErrors, PromptsAreChecked) {
  const SessionPtr session = new_session(pair_, R"({"max_tokens": 2, "method": "ar"})");
  const gumbelspec_round* round = nullptr;
  const auto start = [&](std::vector<int> prompt) {
    return gumbelspec_session_start(session.get(), prompt.data(), prompt.size(), &round);
  };
  expect_error(gumbelspec_session_step(session.get(), &round), GUMBELSPEC_WRONG_STATE,
               "gumbelspec_session_start()");
  expect_error(start({}), GUMBELSPEC_INVALID_PROMPT, "");
  expect_error(start({1, -5}), GUMBELSPEC_INVALID_PROMPT, "-5");
  expect_error(start({1, 1 << 30}), GUMBELSPEC_INVALID_PROMPT, "1073741824");
  expect_error(start(std::vector<int>(600, 5)), GUMBELSPEC_PROMPT_TOO_LONG, "512");
  // After all that, it works.
  EXPECT_EQ(text_of(session.get(), tokenize(pair_, "It")).tokens.size(), 2U);
  expect_error(gumbelspec_session_step(session.get(), &round), GUMBELSPEC_WRONG_STATE, "length");
}

TEST_F(CApiErrors, TheSequencesOfAPairAreLimited) {
  const SessionPtr session = new_session(pair_, R"({"method": "ar"})");
  gumbelspec_session* second = nullptr;
  expect_error(gumbelspec_session_new(pair_, R"({"method": "ar"})", &second),
               GUMBELSPEC_INVALID_OPTION, "1 of n_sequences 1 are in use");
  gumbelspec_batch* batch = nullptr;
  expect_error(gumbelspec_batch_new(pair_, nullptr, &batch), GUMBELSPEC_INVALID_OPTION,
               "n_sequences");
}

TEST_F(CApiErrors, TextsAndTokensAreChecked) {
  std::size_t n = 99;
  int token = 0;
  char text[8];
  expect_error(gumbelspec_tokenize(pair_, "\xFF\xFE", 2, 0, &token, 1, &n),
               GUMBELSPEC_INVALID_PROMPT, "UTF-8");
  expect_error(gumbelspec_tokenize(pair_, "a", 1, 64, &token, 1, &n), GUMBELSPEC_INVALID_ARGUMENT,
               "flags is 64");
  expect_error(gumbelspec_tokenize(pair_, "one two three", 13, 0, &token, 1, &n),
               GUMBELSPEC_TOO_SMALL, "room for 1");
  EXPECT_GT(n, 1U);
  token = -1;
  expect_error(gumbelspec_detokenize(pair_, &token, 1, text, 8, &n), GUMBELSPEC_INVALID_PROMPT,
               "token -1");
  expect_error(gumbelspec_is_end(pair_, 1 << 29, &token), GUMBELSPEC_INVALID_PROMPT, "vocabulary");
  std::vector<int> out(64);
  const auto chat = [&](const char* json) {
    return gumbelspec_chat_tokens(pair_, json, out.data(), out.size(), &n);
  };
  expect_error(chat("{}"), GUMBELSPEC_INVALID_OPTION, "messages");
  expect_error(chat(R"({"messages": [{"role": "cat", "content": "x"}]})"),
               GUMBELSPEC_INVALID_OPTION, "role");
  expect_error(chat(R"({"messages": 5})"), GUMBELSPEC_INVALID_OPTION, "messages");
}

TEST_F(CApiErrors, NullPointersAreNamed) {
  const SessionPtr session = new_session(pair_, R"({"max_tokens": 2, "method": "ar"})");
  std::size_t n = 0;
  int i = 0;
  const char* text = nullptr;
  const gumbelspec_round* round = nullptr;
  gumbelspec_session* new_one = nullptr;
  const auto null = [](gumbelspec_status status, const std::string& name) {
    expect_error(status, GUMBELSPEC_INVALID_ARGUMENT, name + " is a null pointer");
  };
  null(gumbelspec_pair_load("x", nullptr, nullptr, nullptr, nullptr, nullptr), "out");
  null(gumbelspec_pair_info(nullptr, &text), "pair");
  null(gumbelspec_pair_info(pair_, nullptr), "out");
  null(gumbelspec_tokenize(nullptr, "a", 1, 0, &i, 1, &n), "pair");
  null(gumbelspec_tokenize(pair_, nullptr, 1, 0, &i, 1, &n), "text");
  null(gumbelspec_tokenize(pair_, "a", 1, 0, nullptr, 1, &n), "tokens");
  null(gumbelspec_tokenize(pair_, "a", 1, 0, &i, 1, nullptr), "n");
  null(gumbelspec_detokenize(pair_, nullptr, 1, nullptr, 0, &n), "tokens");
  null(gumbelspec_is_end(pair_, 1, nullptr), "out");
  null(gumbelspec_chat_tokens(pair_, nullptr, &i, 1, &n), "chat");
  null(gumbelspec_session_new(nullptr, nullptr, &new_one), "pair");
  null(gumbelspec_session_new(pair_, nullptr, nullptr), "out");
  null(gumbelspec_session_start(nullptr, &i, 1, &round), "session");
  null(gumbelspec_session_start(session.get(), nullptr, 1, &round), "prompt");
  null(gumbelspec_session_step(nullptr, &round), "session");
  null(gumbelspec_session_step(session.get(), nullptr), "round");
  null(gumbelspec_session_report(session.get(), nullptr), "out");
  null(gumbelspec_batch_new(nullptr, nullptr, nullptr), "pair");
  null(gumbelspec_batch_add(nullptr, &i, 1, nullptr, &n), "batch");
  null(gumbelspec_batch_cancel(nullptr, 1), "batch");
  null(gumbelspec_batch_step(nullptr, &n, &i), "batch");
  null(gumbelspec_batch_event(nullptr, 0, nullptr), "batch");
  gumbelspec_session_cancel(nullptr);
  gumbelspec_pair_free(nullptr);
  gumbelspec_session_free(nullptr);
  gumbelspec_batch_free(nullptr);
}

TEST_F(CApiErrors, MessagesAreThoseOfTheThread) {
  EXPECT_EQ(load(nullptr, nullptr, nullptr), GUMBELSPEC_INVALID_ARGUMENT);
  const std::string mine = gumbelspec_last_error();
  std::string before;
  std::thread([&] {
    before = gumbelspec_last_error();
    (void)load("other.gguf", nullptr, nullptr);
  }).join();
  EXPECT_EQ(before, "");
  EXPECT_EQ(gumbelspec_last_error(), mine);
}

}  // namespace
}  // namespace gumbelspec::testing
