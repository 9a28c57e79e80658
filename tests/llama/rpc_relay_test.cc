// The relay between ggml's RPC client and a server: what each of them sees when the other fails.
#include "src/llama/rpc_relay.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "ggml.h"
#include "gumbelspec/error.h"
#include "src/llama/rpc_protocol.h"

namespace gumbelspec::internal {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using Bytes = std::vector<std::uint8_t>;

constexpr std::chrono::milliseconds kSilence{1000};

// A server that does with each connection what the test says; it lives as long as the relay may ask
// for it.
class Server {
 public:
  explicit Server(std::function<void(const Socket&)> serve)
      : listener_(listen_on_loopback(port_)), thread_([this, serve = std::move(serve)] {
          for (;;) {
            const Socket client(::accept(listener_.fd(), nullptr, nullptr));
            if (!client.is_open()) return;
            serve(client);
          }
        }) {}
  ~Server() {
    ::shutdown(listener_.fd(), SHUT_RDWR);
    thread_.join();
  }
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  [[nodiscard]] RpcPeer peer() const {
    return parse_rpc_peer("127.0.0.1:" + std::to_string(port_));
  }

 private:
  std::uint16_t port_ = 0;
  Socket listener_;
  std::thread thread_;
};

// The data behind a head of so many bytes, which ends with its size.
Bytes with_head(std::size_t head, const Bytes& data) {
  Bytes bytes(head + data.size());
  const std::uint64_t size = data.size();
  std::memcpy(bytes.data() + head - sizeof size, &size, sizeof size);
  std::copy(data.begin(), data.end(), bytes.begin() + static_cast<std::ptrdiff_t>(head));
  return bytes;
}

Bytes request(RpcCommand command, const Bytes& data) {
  Bytes bytes = with_head(kRpcRequestHead, data);
  bytes[0] = static_cast<std::uint8_t>(command);
  return bytes;
}

Bytes answer_of(const Bytes& data) { return with_head(kRpcAnswerHead, data); }

// What a client of the relay gets; never less than it waits for.
class Client {
 public:
  explicit Client(const RpcRelay& relay) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    const RpcPeer at = parse_rpc_peer(relay.endpoint());
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<std::uint16_t>(std::stoi(at.port)));
    EXPECT_EQ(::connect(socket_.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
              0);
  }
  void tell(RpcCommand command, const Bytes& data) const {
    EXPECT_TRUE(socket_.write_all(request(command, data)));
  }
  [[nodiscard]] Bytes ask(RpcCommand command, const Bytes& data) const {
    tell(command, data);
    Bytes head(kRpcAnswerHead);
    EXPECT_TRUE(socket_.read_all(head));
    std::uint64_t size = 0;
    std::memcpy(&size, head.data(), sizeof size);
    Bytes answer(static_cast<std::size_t>(size));
    EXPECT_TRUE(socket_.read_all(answer));
    return answer;
  }

 private:
  Socket socket_;
};

// A request for n bytes of a tensor.
Bytes tensor_request(std::uint64_t n) {
  Bytes data(312);
  std::memcpy(data.data() + data.size() - sizeof n, &n, sizeof n);
  return data;
}

std::string loss_of(const RpcRelay& relay) {
  try {
    relay.check();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::peer_lost);
    return error.what();
  }
  return "nothing";
}

// For the life of the process, as in the program.
RpcRelay& relay_to(const Server& server) { return *new RpcRelay(server.peer(), kSilence); }

TEST(RpcRelay, PassesRequestsAndAnswersOn) {
  const Server server([](const Socket& client) {
    Bytes got(kRpcRequestHead + 312);
    while (client.read_all(got)) {
      if (!client.write_all(answer_of({1, 2, 3, got[9], got[0]}))) return;
    }
  });
  const RpcRelay& relay = relay_to(server);
  const Client client(relay);
  Bytes data = tensor_request(5);
  data[0] = 77;
  const auto command = static_cast<std::uint8_t>(RpcCommand::get_tensor);
  EXPECT_EQ(client.ask(RpcCommand::get_tensor, data), (Bytes{1, 2, 3, 77, command}));
  EXPECT_FALSE(relay.is_lost());
  EXPECT_EQ(relay.traffic().n_round_trips, 1U);
}

TEST(RpcRelay, FillsUpAnAnswerThatBreaksOffAndTells) {
  const Server server([](const Socket& client) {
    Bytes got(kRpcRequestHead + 312);
    if (!client.read_all(got)) return;
    Bytes answer = answer_of(Bytes(1000, 9));
    answer.resize(kRpcAnswerHead + 400);
    (void)client.write_all(answer);
  });
  const RpcRelay& relay = relay_to(server);
  const Client client(relay);
  const Bytes answer = client.ask(RpcCommand::get_tensor, tensor_request(1000));
  ASSERT_EQ(answer.size(), 1000U);
  EXPECT_THAT(Bytes(answer.begin() + 400, answer.end()), Each(0));
  EXPECT_THAT(loss_of(relay), AllOf(HasSubstr(relay.peer().name), HasSubstr("closed")));
  // And goes on: a graph is taken, a larger answer than any buffer comes.
  client.tell(RpcCommand::graph_compute, Bytes(1'000'000));
  EXPECT_EQ(client.ask(RpcCommand::get_tensor, tensor_request(3'000'000)), Bytes(3'000'000));
}

TEST(RpcRelay, TellsAServerOfAnotherVersion) {
  const Server server([](const Socket& client) {
    Bytes got(kRpcRequestHead + 24);
    if (!client.read_all(got)) return;
    Bytes version(28);
    version[0] = 6;
    (void)client.write_all(answer_of(version));
    (void)client.read_all(got);
  });
  const RpcRelay& relay = relay_to(server);
  // The client aborts the process unless the version is its own.
  EXPECT_EQ(Client(relay).ask(RpcCommand::hello, Bytes(24))[0], 7);
  EXPECT_THAT(loss_of(relay), HasSubstr("version 6.0"));
  EXPECT_THROW(RpcRelay::probe(server.peer(), kSilence), Error);
}

TEST(RpcRelay, DoesNotWaitForAServerThatServesSomebodyElse) {
  const Server server([](const Socket& client) {
    Bytes got(1);
    while (client.read_all(got)) {
    }
  });
  try {
    RpcRelay::probe(server.peer(), kSilence);
    ADD_FAILURE() << "probed";
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("one program at a time"));
  }
}

TEST(RpcRelay, RefusesAnAnswerOfAnotherSize) {
  const Server server([](const Socket& client) {
    Bytes got(kRpcRequestHead + 312);
    if (client.read_all(got)) (void)client.write_all(answer_of(Bytes(7, 1)));
  });
  const RpcRelay& relay = relay_to(server);
  EXPECT_EQ(Client(relay).ask(RpcCommand::get_tensor, tensor_request(8)), Bytes(8));
  EXPECT_THAT(loss_of(relay), HasSubstr("7 bytes where 8 were expected"));
}

// ggml would take less for an error of its own.
TEST(RpcProtocol, MakesUpTheMemoryThatATensorNeeds) {
  const ggml_init_params params{1 << 16, nullptr, true};
  ggml_context* context = ggml_init(params);
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K}) {
    const ggml_tensor* tensor = ggml_new_tensor_3d(context, type, 512, 7, 3);
    Bytes data(4 + 296 * 11);
    const auto number = static_cast<std::uint32_t>(type);
    std::memcpy(data.data() + 12, &number, 4);
    for (std::size_t i = 0; i < 4; ++i) {
      const auto n = static_cast<std::uint32_t>(tensor->ne[i]);
      const auto stride = static_cast<std::uint32_t>(tensor->nb[i]);
      std::memcpy(data.data() + 24 + 4 * i, &n, 4);
      std::memcpy(data.data() + 40 + 4 * i, &stride, 4);
    }
    std::uint64_t size = 0;
    const RpcFakeAnswer answer = rpc_fake_answer(RpcCommand::get_alloc_size, data);
    std::memcpy(&size, answer.bytes.data(), sizeof size);
    EXPECT_EQ(size, ggml_nbytes(tensor)) << ggml_type_name(type);
  }
  ggml_free(context);
}

}  // namespace
}  // namespace gumbelspec::internal
