// `gumbelspec serve` as a user runs it: signals, exit codes, what it says.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/cli/process.h"
#include "tests/llama/tiny_model.h"
#include "tests/server/program/server_process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using Json = nlohmann::json;

constexpr const char* kCompletions = "/v1/completions";
constexpr const char* kJson = "application/json";

std::string body(int n_tokens, bool streams, int seed = 7) {
  return Json({{"prompt", "The old house"},
               {"max_tokens", n_tokens},
               {"seed", seed},
               {"ignore_eos", true},
               {"stream", streams}})
      .dump();
}

TEST(Serve, GivesTheTextOfGenerate) {
  const Json expected =
      Json::parse(generate({"-p", "The old house", "-n", "40", "--seed", "7", "--json"}).out);
  Server server;
  const auto result = server.client().Post(
      kCompletions, R"({"prompt": "The old house", "max_tokens": 40, "seed": 7})", kJson);
  ASSERT_TRUE(result);
  const Json json = Json::parse(result->body);
  EXPECT_EQ(json["choices"][0]["text"], expected["text"]) << result->body;
  EXPECT_EQ(server.stop().exit_code, 0);
}

#if defined(__x86_64__)
// Products with F32 weights by ggml itself depend on how many tokens a pass has.
TEST(Serve, SaysInOneLineThatTheTextOfASeedMayDependOnTheMethod) {
  TinyModel model;
  model.weights = GGML_TYPE_F32;
  const TemporaryFile file("");
  write_tiny_model(model, file.path());
  const auto same_seed = [&](const std::vector<std::string>& options, std::string* said) {
    std::vector<std::string> all = {"-m", file.path()};
    all.insert(all.end(), options.begin(), options.end());
    Server server(all);
    const auto answer = server.client().Get("/v1/models");
    *said = server.stop().err;
    return answer ? Json::parse(answer->body)["data"][0]["meta"]["same_seed"] : Json();
  };
  std::string said;
  EXPECT_EQ(same_seed({"--no-kernels"}, &said), false);
  const std::string line = "gumbelspec: the text of a seed may depend on the method: ";
  const std::size_t at = said.find(line);
  ASSERT_NE(at, std::string::npos) << said;
  EXPECT_EQ(said.find(line, at + 1), std::string::npos) << said;
  EXPECT_THAT(said.substr(at, said.find('\n', at) - at), HasSubstr("use the kernels"));
  EXPECT_EQ(same_seed({}, &said), true);
  EXPECT_THAT(said, Not(HasSubstr("may depend")));
}
#endif

TEST(Serve, ASignalEndsStreamsWithAProperEventAndTheProgramWithZero) {
  constexpr int kStreams = 16;
  Server server({"--drain-timeout", "0", "--parallel", "16"});
  std::vector<std::string> answers(kStreams);
  std::vector<std::thread> threads;
  std::atomic<int> n_started{0};
  for (int i = 0; i < kStreams; ++i) {
    threads.emplace_back([&, i] {
      auto client = server.client();
      bool has_started = false;
      const auto result = client.Post(kCompletions, httplib::Headers(), body(900, true, i), kJson,
                                      [&](const char* data, std::size_t n) {
                                        if (!std::exchange(has_started, true)) ++n_started;
                                        answers[static_cast<std::size_t>(i)].append(data, n);
                                        return true;
                                      });
      // The chunked stream was ended as it must be.
      EXPECT_TRUE(result) << httplib::to_string(result.error());
    });
  }
  while (n_started < kStreams) std::this_thread::yield();
  const ProcessResult result = server.stop();
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  for (const std::string& answer : answers) {
    // Done in time, or told that the server ends.
    EXPECT_TRUE(answer.find("[DONE]") != std::string::npos ||
                answer.find("shutting_down") != std::string::npos)
        << answer.substr(answer.size() - std::min<std::size_t>(answer.size(), 500));
  }
}

TEST(Serve, FinishesWhatIsUnderWayBeforeItEnds) {
  Server server({"--drain-timeout", "60"});
  std::string answer;
  std::atomic<bool> has_started{false};
  std::thread thread([&] {
    auto client = server.client();
    client.Post(kCompletions, httplib::Headers(), body(200, true), kJson,
                [&](const char* data, std::size_t n) {
                  has_started = true;
                  answer.append(data, n);
                  return true;
                });
  });
  while (!has_started) std::this_thread::yield();
  const ProcessResult result = server.stop();
  thread.join();
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(answer, AllOf(HasSubstr("\"finish_reason\":\"length\""), HasSubstr("[DONE]")));
}

TEST(Serve, ASecondSignalEndsItAtOnce) {
  Server server({"--drain-timeout", "1000"});
  std::atomic<bool> has_started{false};
  std::thread thread([&] {
    auto client = server.client();
    client.Post(kCompletions, httplib::Headers(), body(900, true), kJson,
                [&](const char*, std::size_t) {
                  has_started = true;
                  return true;
                });
  });
  while (!has_started) std::this_thread::yield();
  server.process().send(SIGTERM);
  server.process().wait_for_errors_with("stopping");
  server.process().send(SIGTERM);
  EXPECT_EQ(server.process().finish().exit_code, 143);
  thread.join();
}

TEST(Serve, ASignalWhileItLoadsEndsItWithZero) {
  Process process(GUMBELSPEC_PROGRAM, {"serve", "-t", "1", "--port", "0"});
  process.wait_for_errors_with("listening");
  process.send(SIGINT);
  const ProcessResult result = process.finish();
  EXPECT_EQ(result.exit_code, 0) << result.err;
}

TEST(Serve, NeverLogsPromptsOrKeys) {
  const TemporaryFile keys("file-secret\n");
  Server server(
      {"--api-key-file", keys.path(), "--api-key", "option-secret", "--log-format", "json"});
  for (const char* key : {"file-secret", "option-secret", "wrong-secret"}) {
    server.client().Post(kCompletions, {{"Authorization", std::string("Bearer ") + key}},
                         body(3, false), kJson);
  }
  const ProcessResult result = server.stop();
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, AllOf(Not(HasSubstr("secret")), Not(HasSubstr("old house"))));
  std::vector<int> statuses;
  for (std::size_t at = result.err.find("{\"time\""); at != std::string::npos;
       at = result.err.find("{\"time\"", at + 1)) {
    const Json line = Json::parse(result.err.substr(at, result.err.find('\n', at) - at));
    statuses.push_back(line["status"]);
  }
  EXPECT_THAT(statuses, ::testing::ElementsAre(200, 200, 401));
}

TEST(Serve, WarnsWhenEverybodyCanUseIt) {
  Process open(GUMBELSPEC_PROGRAM, {"serve", "-t", "1", "--port", "0", "--host", "0.0.0.0"});
  open.wait_for_errors_with("ready");
  open.send(SIGTERM);
  EXPECT_THAT(open.finish().err, HasSubstr("warning: anybody"));
  Process closed(GUMBELSPEC_PROGRAM,
                 {"serve", "-t", "1", "--port", "0", "--host", "0.0.0.0", "--api-key", "k"});
  closed.wait_for_errors_with("ready");
  closed.send(SIGTERM);
  EXPECT_THAT(closed.finish().err, Not(HasSubstr("warning")));
}

TEST(Serve, RefusesWrongOptionsBeforeItListens) {
  const TemporaryFile empty("# no key\n");
  const TemporaryFile no_model("[a]\nc = 4096\n");
  const TemporaryFile no_option("[a]\nmodel = x.gguf\nmystery = 1\n");
  const TemporaryFile not_its_own("[a]\nmodel = x.gguf\nport = 1\n");
  const std::vector<std::vector<std::string>> wrong = {
      {"--port", "65536"},
      {"--parallel", "0"},
      {"--max-gap-ms", "0"},
      {"--max-gap-ms", "soon"},
      {"--ssl-cert-file", "cert.pem"},
      {"--api-key-file", "/nowhere"},
      {"--api-key-file", empty.path()},
      {"--log-format", "xml"},
      {"--method", "rejection", "--guarantee", "seed"},
      {"--guarantee", "always"},
      {"--host", "192.0.2.1"},
      {"--sleep-idle-seconds", "0"},
      {"--models-dir", "/nowhere"},
      {"--models-dir", "/tmp", "-m", "model.gguf"},
      {"--models-dir", "/tmp", "--alias", "name"},
      {"--models-preset", "/nowhere"},
      {"--models-preset", no_model.path()},
      {"--models-preset", no_option.path()},
      {"--models-preset", not_its_own.path()},
  };
  for (const std::vector<std::string>& options : wrong) {
    std::vector<std::string> arguments = {"serve"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    const ProcessResult result = run_program(arguments);
    EXPECT_EQ(result.exit_code, 2) << options[0];
    EXPECT_EQ(n_lines(result.err), 1U) << result.err;
    EXPECT_THAT(result.err, Not(HasSubstr("listening")));
  }
}

TEST(ServeDocs, AreWhatTheProgramSays) {
  const ProcessResult printed = run_program({"serve", "--print-docs"});
  ASSERT_EQ(printed.exit_code, 0) << printed.err;
  std::ifstream file(GUMBELSPEC_SERVER_DOCS);
  const std::string page{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(page.find(printed.out), std::string::npos)
      << "docs/server.md is out of date; run scripts/server-docs";
}

}  // namespace
}  // namespace gumbelspec::testing
