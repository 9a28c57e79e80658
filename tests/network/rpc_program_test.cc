// The program on a client, the target on two servers, a network in between.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/cli/process.h"
#include "tests/network/lab.h"
#include "tests/network/rpc_server.h"

namespace gumbelspec::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using Json = nlohmann::json;

constexpr int kPort = 50052;

class OverTheNetwork : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string missing = NetworkLab::missing();
    if (missing.empty()) return;
    if (std::getenv("GUMBELSPEC_NEED_NETWORK") != nullptr) FAIL() << missing;
    GTEST_SKIP() << missing;
  }

  void build(const LinkQuality& quality) {
    lab_ = std::make_unique<NetworkLab>(2, quality);
    for (std::size_t i = 0; i < 2; ++i) start_server(i);
  }
  void start_server(std::size_t i) {
    servers_[i] = std::make_unique<RpcServer>(GUMBELSPEC_RPC_SERVER, lab_->on_server(i),
                                              NetworkLab::address(i), kPort, 1);
  }
  // timeout_s: short only where a server is to be lost; a busy machine may be silent for seconds.
  [[nodiscard]] std::vector<std::string> command(const std::vector<std::string>& arguments,
                                                 int timeout_s = 60) const {
    std::vector<std::string> words = lab_->on_client();
    words.erase(words.begin());
    words.emplace_back(GUMBELSPEC_PROGRAM);
    words.insert(words.end(), arguments.begin(), arguments.end());
    for (const std::string& word : {std::string("-t"), std::string("1"), std::string("--rpc"),
                                    servers_[0]->name() + "," + servers_[1]->name(),
                                    std::string("--rpc-timeout"), std::to_string(timeout_s)}) {
      words.push_back(word);
    }
    return words;
  }
  [[nodiscard]] ProcessResult run(const std::vector<std::string>& arguments) const {
    return Process("ip", command(arguments)).finish();
  }

  std::unique_ptr<NetworkLab> lab_;
  std::unique_ptr<RpcServer> servers_[2];
};

std::vector<std::string> generation(const std::string& method, int n_tokens) {
  return {"generate",
          "-p",
          "The old house",
          "--seed",
          "7",
          "--method",
          method,
          "-n",
          std::to_string(n_tokens),
          "--json",
          "--no-cost-cache"};
}

std::vector<int> tokens(const ProcessResult& result) {
  if (result.exit_code != 0) throw std::runtime_error(result.err);
  return Json::parse(result.out)["tokens"].get<std::vector<int>>();
}

std::vector<int> local_tokens(int n_tokens, int seed) {
  std::vector<std::string> arguments = generation("ar", n_tokens);
  for (const std::string& word : {std::string("--no-kernels"), std::string("-t"), std::string("1"),
                                  std::string("--seed"), std::to_string(seed)}) {
    arguments.push_back(word);
  }
  return tokens(run_program(arguments));
}

TEST_F(OverTheNetwork, EveryMethodGivesTheLocalText) {
  build({.delay_ms = 1.0, .loss = 0.0});
  const std::vector<int> expected = local_tokens(100, 7);
  EXPECT_NE(expected, local_tokens(100, 8)) << "texts that are always the same prove nothing";
  for (const char* method : {"ar", "gumbel-beam", "gumbel-tree", "gumbel-tree:nodes=16"}) {
    EXPECT_EQ(tokens(run(generation(method, 100))), expected) << method;
  }
}

#ifdef GUMBELSPEC_KERNELS_PLUGIN
TEST_F(OverTheNetwork, ServersWithTheKernelsGiveTheKernelsText) {
  ::setenv("GUMBELSPEC_SERVE", "1", 1);
  ::setenv("GGML_BACKEND_PATH", GUMBELSPEC_KERNELS_PLUGIN, 1);
  build({.delay_ms = 1.0, .loss = 0.0});
  ::unsetenv("GUMBELSPEC_SERVE");
  ::unsetenv("GGML_BACKEND_PATH");
  std::vector<std::string> here = generation("ar", 200);
  here.insert(here.end(), {"-t", "1"});
  const std::vector<int> expected = tokens(run_program(here));
  for (const char* method : {"ar", "gumbel-beam", "gumbel-tree", "gumbel-tree:nodes=32"}) {
    EXPECT_EQ(tokens(run(generation(method, 200))), expected) << method;
  }
}
#endif

TEST_F(OverTheNetwork, DelayAndLossChangeNothing) {
  build({.delay_ms = 5.0, .loss = 0.01});
  const std::vector<int> expected = local_tokens(60, 7);
  for (const char* method : {"ar", "gumbel-beam", "gumbel-tree"}) {
    EXPECT_EQ(tokens(run(generation(method, 60))), expected) << method;
  }
}

TEST_F(OverTheNetwork, AKilledServerIsNamed) {
  build({.delay_ms = 5.0, .loss = 0.0});
  Process program("ip", command({"generate", "-p", "The old house", "-n", "1000", "--seed", "7",
                                 "--method", "ar"}));
  program.wait_for_output(100);
  servers_[1]->kill();
  const ProcessResult result = program.finish();
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("RPC server 10.77.2.2:50052"), HasSubstr("closed the connection")));
  EXPECT_EQ(n_lines(result.err), 1U) << result.err;
}

TEST_F(OverTheNetwork, ACutCableIsNoticedInTheStatedTime) {
  build({.delay_ms = 5.0, .loss = 0.0});
  Process program("ip", command({"generate", "-p", "The old house", "-n", "1000", "--seed", "7",
                                 "--method", "ar"},
                                2));
  program.wait_for_output(100);
  lab_->cut(0);
  const ProcessResult result = program.finish();
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("RPC server 10.77.1.2:50052"), HasSubstr("no sign of life for 2 s")));
}

TEST_F(OverTheNetwork, TheServerOutlivesItsPeersAndUsesThemAgain) {
  build({.delay_ms = 1.0, .loss = 0.0});
  Process server("ip", command({"serve", "--port", "0"}));
  const std::string& said = server.wait_for_errors_with("gumbelspec: ready");
  const std::string before = "listening on http://127.0.0.1:";
  const int port = std::stoi(said.substr(said.find(before) + before.size()));
  const auto post = [&](int n_tokens) {
    std::pair<int, std::string> answer;
    lab_->as_client([&] {
      httplib::Client client("127.0.0.1", port);
      client.set_read_timeout(120);
      const Json body = {
          {"prompt", "The old house"}, {"max_tokens", n_tokens}, {"seed", 7}, {"ignore_eos", true}};
      const auto result = client.Post("/v1/completions", body.dump(), "application/json");
      if (result) answer = {result->status, result->body};
    });
    return answer;
  };
  const auto [status, body] = post(40);
  ASSERT_EQ(status, 200) << body;
  const Json expected = Json::parse(body)["choices"];

  // In the middle of a request.
  std::pair<int, std::string> interrupted;
  std::thread request([&] { interrupted = post(900); });
  lab_->as_client([&] {
    httplib::Client client("127.0.0.1", port);
    for (int i = 0; i < 1000; ++i) {
      const auto metrics = client.Get("/metrics");
      if (metrics && metrics->body.find("\ngumbelspec:texts_active 1") != std::string::npos) break;
    }
  });
  servers_[1]->kill();
  request.join();
  EXPECT_EQ(interrupted.first, 503) << interrupted.second;
  EXPECT_THAT(interrupted.second, AllOf(HasSubstr("10.77.2.2:50052"), HasSubstr("peer_lost")));

  // While it is away.
  const auto refused = post(40);
  EXPECT_EQ(refused.first, 503) << refused.second;
  EXPECT_THAT(refused.second, AllOf(HasSubstr("10.77.2.2:50052"), HasSubstr("cannot be reached")));

  // And when it is back.
  start_server(1);
  const auto again = post(40);
  EXPECT_EQ(again.first, 200) << again.second;
  EXPECT_EQ(Json::parse(again.second)["choices"], expected);
  server.send(SIGTERM);
  EXPECT_EQ(server.finish().exit_code, 0);
}

}  // namespace
}  // namespace gumbelspec::testing
