// A model on RPC servers of this machine: round trips, losses, restoring.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "gumbelspec/error.h"
#include "gumbelspec/llama_model.h"
#include "tests/network/rpc_server.h"

namespace gumbelspec::testing {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// A port that nobody listens at. Others may take it before it is used: tests run side by side,
// and a client's connection takes a port, too.
int free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) throw std::runtime_error("no socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  const bool is_bound =
      ::bind(descriptor, any, size) == 0 && ::getsockname(descriptor, any, &size) == 0;
  ::close(descriptor);
  if (!is_bound) throw std::runtime_error("no free port");
  return ntohs(address.sin_port);
}

std::unique_ptr<RpcServer> start_server_at(int port) {
  return std::make_unique<RpcServer>(GUMBELSPEC_RPC_SERVER, std::vector<std::string>{}, "127.0.0.1",
                                     port, 1);
}

std::unique_ptr<RpcServer> start_server() {
  for (int attempts = 1;; ++attempts) {
    try {
      return start_server_at(free_port());
    } catch (const std::runtime_error&) {
      if (attempts == 10) throw;
    }
  }
}

LlamaModelOptions options_for(const std::vector<std::string>& servers) {
  LlamaModelOptions options;
  options.path = std::string(GUMBELSPEC_MODELS_DIR) + "/demo-target-q8_0.gguf";
  options.n_context = 256;
  options.n_threads = 1;
  options.rpc_servers = servers;
  options.rpc_timeout = std::chrono::seconds(2);
  return options;
}

// Plain decoding, always the likeliest token.
std::vector<TokenId> greedy(LanguageModel& model, SeqId seq, std::size_t n, TokenId token) {
  std::vector<TokenId> text;
  for (std::size_t i = 0; i < n; ++i) {
    const PassNode node{seq, kCommitted, token, true};
    if (model.evaluate({&node, 1}) != PassOutcome::ok) throw std::logic_error("no space");
    const auto row = model.row(0);
    token =
        token_id(static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin()));
    const PendingId path = pending_id(0);
    model.commit(seq, {&path, 1});
    text.push_back(token);
  }
  return text;
}

std::vector<TokenId> greedy(LanguageModel& model, std::size_t n) {
  const SeqId seq = model.open();
  try {
    std::vector<TokenId> text = greedy(model, seq, n, token_id(100));
    model.close(seq);
    return text;
  } catch (const Error&) {
    model.close(seq);
    throw;
  }
}

std::string loss_of(LlamaModel& model) {
  try {
    greedy(model, 10);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::peer_lost) << error.what();
    return error.what();
  }
  return "nothing was lost";
}

// Whether ggml computes with AMX here. A server does not: its weights lie in plain memory.
bool has_amx() {
  const ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  const auto list =
      reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
          ggml_backend_dev_backend_reg(cpu), "ggml_backend_dev_get_extra_bufts"));
  if (list == nullptr) return false;
  for (ggml_backend_buffer_type_t* type = list(cpu); *type != nullptr; ++type) {
    if (std::string(ggml_backend_buft_name(*type)) == "AMX") return true;
  }
  return false;
}

float largest_difference(const std::vector<float>& a, const std::vector<float>& b) {
  float largest = 0;
  for (std::size_t i = 0; i < a.size(); ++i) largest = std::max(largest, std::abs(a[i] - b[i]));
  return largest;
}

// The same bits, but for AMX: its products add up floats in another order, a last bit crosses a
// threshold where the next layer rounds to 8 bits, and what comes of that is the size of that
// rounding.
TEST(RpcModel, GivesTheLogitsOfTheSameModelHere) {
  const auto a = start_server();
  const auto b = start_server();
  const auto here = LlamaModel::load(options_for({}));
  const auto there = LlamaModel::load(options_for({a->name(), b->name()}));
  const auto row_of = [](LlamaModel& model, TokenId token) {
    const PassNode node{model.open(), kCommitted, token, true};
    EXPECT_EQ(model.evaluate({&node, 1}), PassOutcome::ok);
    const auto row = model.row(0);
    return std::vector<float>(row.begin(), row.end());
  };
  const auto expected = row_of(*here, token_id(100));
  const auto got = row_of(*there, token_id(100));
  if (!has_amx()) {
    EXPECT_EQ(got, expected);
    return;
  }
  EXPECT_LT(largest_difference(got, expected), 0.3F);
  // Another token's are others.
  EXPECT_GT(largest_difference(row_of(*there, token_id(101)), expected), 3.0F);
}

// What a pass costs over a slow link: one round trip for each server, whatever its size.
TEST(RpcModel, TakesOneRoundTripPerServerAndPass) {
  const auto a = start_server();
  const auto b = start_server();
  for (const auto& servers : {std::vector{a->name()}, std::vector{a->name(), b->name()}}) {
    const auto model = LlamaModel::load(options_for(servers));
    const SeqId seq = model->open();
    for (const std::size_t n_nodes : {1U, 8U, 32U}) {
      std::vector<PassNode> nodes;
      for (std::size_t i = 0; i < n_nodes; ++i) {
        nodes.push_back({seq, i == 0 ? kCommitted : pending_id(i - 1), token_id(i + 5), true});
      }
      std::uint64_t n = 0;
      // The first pass of a size asks how much memory it needs.
      for (int pass = 0; pass < 3; ++pass) {
        const std::uint64_t n_before = model->rpc_traffic().n_round_trips;
        ASSERT_EQ(model->evaluate(nodes), PassOutcome::ok);
        (void)model->row(0);
        model->commit(seq, {});
        n = model->rpc_traffic().n_round_trips - n_before;
      }
      EXPECT_EQ(n, servers.size()) << n_nodes << " nodes";
    }
  }
}

TEST(RpcModel, TellsWhereTheLayersAre) {
  const auto a = start_server();
  const auto b = start_server();
  LlamaModelOptions options = options_for({a->name(), b->name()});
  options.tensor_split = {1, 3};
  const auto model = LlamaModel::load(options);
  const auto placement = model->placement();
  ASSERT_EQ(placement.size(), 3U);
  EXPECT_EQ(placement[0].device, "RPC0");
  EXPECT_EQ(placement[1].device, "RPC1");
  EXPECT_EQ(placement[2].device, "CPU");
  EXPECT_THAT(placement[0].layers, ElementsAre(0, 1));
  EXPECT_THAT(placement[1].layers, ElementsAre(2, 3, 4, 5, 6));
  EXPECT_LT(placement[0].bytes, placement[1].bytes);
  options.n_gpu_layers = 2;
  options.devices = {"RPC1"};
  options.tensor_split = {};
  const auto other = LlamaModel::load(options)->placement();
  ASSERT_EQ(other.size(), 2U);
  EXPECT_EQ(other[0].device, "RPC1");
  EXPECT_THAT(other[0].layers, ElementsAre(5, 6));
}

TEST(RpcModel, ALostServerIsAnErrorWithItsNameAndCanBeRestored) {
  const auto a = start_server();
  auto b = start_server();
  const std::string name = b->name();
  const auto model = LlamaModel::load(options_for({a->name(), name}));
  const std::vector<TokenId> expected = greedy(*model, 20);
  model->restore();  // nothing is lost: nothing happens
  EXPECT_EQ(greedy(*model, 20), expected);
  b->kill();
  EXPECT_THAT(loss_of(*model), HasSubstr(name));
  EXPECT_THAT(loss_of(*model), HasSubstr(name)) << "once lost, always lost";
  try {
    model->restore();
    ADD_FAILURE() << "restored without a server";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::peer_lost);
    EXPECT_THAT(error.what(), AllOf(HasSubstr(name), HasSubstr("cannot be reached")));
  }
  // The vocabulary is still there.
  EXPECT_EQ(model->tokenize("The old house").empty(), false);
  b = start_server_at(b->port());
  model->restore();
  EXPECT_EQ(greedy(*model, 20), expected);
}

TEST(RpcModel, RefusesServersAndDevicesThatAreNotThere) {
  const auto a = start_server();
  const auto refusal = [](const LlamaModelOptions& options) -> std::string {
    try {
      (void)LlamaModel::load(options);
    } catch (const Error& error) {
      return error.what();
    }
    return "loaded";
  };
  EXPECT_THAT(refusal(options_for({"10.0.0.1"})), HasSubstr("HOST:PORT"));
  EXPECT_THAT(refusal(options_for({"10.0.0.1:0"})), HasSubstr("from 1 to 65535"));
  EXPECT_THAT(refusal(options_for({"127.0.0.1:" + std::to_string(free_port())})),
              HasSubstr("cannot be reached: Connection refused"));
  LlamaModelOptions options = options_for({a->name()});
  options.devices = {"RPC7"};
  EXPECT_THAT(refusal(options), AllOf(HasSubstr("RPC7"), HasSubstr("RPC0 (" + a->name() + ")")));
  options.devices = {};
  options.tensor_split = {1, 2, 3};
  EXPECT_THAT(refusal(options), HasSubstr("3 parts for 1 devices"));
  options.tensor_split = {};
  options.split_mode = SplitMode::row;
  EXPECT_THAT(refusal(options), HasSubstr("does not work over RPC"));
}

}  // namespace
}  // namespace gumbelspec::testing
