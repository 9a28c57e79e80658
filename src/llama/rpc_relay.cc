#include "src/llama/rpc_relay.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "gumbelspec/error.h"
#include "src/llama/rpc_protocol.h"

namespace gumbelspec::internal {
namespace {

constexpr std::size_t kPiece = std::size_t{256} * 1024;  // of a long message on its way

Error lost(const RpcPeer& peer, const std::string& why) {
  return Error(ErrorCode::peer_lost,
               "RPC server " + peer.name + " " + why +
                   "; see that rpc-server runs there and that the network is up, then try again");
}

std::uint64_t size_at(std::span<const std::uint8_t> bytes, std::size_t at) {
  std::uint64_t size = 0;
  std::memcpy(&size, bytes.data() + at, sizeof size);
  return size;
}

constexpr const char* kBusy =
    "accepts connections but does not answer; it serves one program at a time: stop the other one, "
    "or restart the server if there is none";

}  // namespace

// One connection of ggml's client: requests one after the other, each answered before the next.
class RpcRelay::Connection {
 public:
  Connection(RpcRelay& relay, Socket client)
      : relay_(relay), client_(std::move(client)), piece_(kPiece) {}

  // Until the client leaves.
  void run() {
    with_peer([&] { peer_ = PeerConnection(relay_.peer_, relay_.silence_); });
    while (wait_for_request() && pass_request()) {
    }
  }

 private:
  // Does nothing once the server is lost.
  template <class Use>
  void with_peer(Use use) {
    if (relay_.is_lost()) return peer_.close();
    try {
      use();
    } catch (const ConnectionLost& loss) {
      relay_.lose(loss.what());
      peer_.close();
    }
  }
  [[nodiscard]] bool has_peer() const { return peer_.is_open(); }

  // A server that goes while nobody asks anything is noticed at once.
  bool wait_for_request() {
    while (has_peer()) {
      std::array<pollfd, 2> entries{{{client_.fd(), POLLIN, 0}, {peer_.fd(), POLLIN, 0}}};
      if (::poll(entries.data(), entries.size(), -1) < 0) {
        if (errno == EINTR) continue;
        return false;
      }
      if (entries[0].revents != 0) return true;
      with_peer([] { throw ConnectionLost("closed the connection"); });
    }
    return true;
  }

  bool pass_request() {
    std::array<std::uint8_t, kRpcRequestHead> head{};
    if (!client_.read_all(head)) return false;
    const auto command = static_cast<RpcCommand>(head[0]);
    const std::uint64_t size = size_at(head, 1);
    if (size > kMostAskingBytes) return pass_stream(head, size);
    // In one piece: the client's three writes would be three packets.
    request_.assign(head.begin(), head.end());
    request_.resize(head.size() + static_cast<std::size_t>(size));
    const auto data = std::span(request_).subspan(head.size());
    if (!client_.read_all(data)) return false;
    if (command == RpcCommand::hello) {
      std::fill(data.begin(), data.end(), std::uint8_t{0});  // no transport but this one
    }
    send(request_);
    const auto answer_size = rpc_answer_size(command, data);
    if (!answer_size) return true;
    return pass_answer(command, data, *answer_size);
  }

  bool pass_stream(std::span<const std::uint8_t> head, std::uint64_t size) {
    send(head);
    while (size > 0) {
      const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(size, piece_.size()));
      const auto piece = std::span(piece_).first(n);
      if (!client_.read_all(piece)) return false;
      send(piece);
      size -= n;
    }
    return true;
  }

  void send(std::span<const std::uint8_t> bytes) {
    if (!has_peer()) return;
    with_peer([&] { peer_.write_all(bytes); });
    relay_.n_sent_ += bytes.size();
  }

  bool pass_answer(RpcCommand command, std::span<const std::uint8_t> request, std::uint64_t size) {
    if (command == RpcCommand::hello) return pass_hello(request, size);
    std::array<std::uint8_t, kRpcAnswerHead> head{};
    ++relay_.n_round_trips_;
    if (has_peer()) {
      with_peer([&] {
        peer_.read_all(head);
        if (size_at(head, 0) != size) {
          throw ConnectionLost("gave an answer of " + std::to_string(size_at(head, 0)) +
                               " bytes where " + std::to_string(size) + " were expected");
        }
      });
    }
    std::memcpy(head.data(), &size, sizeof size);
    if (!client_.write_all(head)) return false;
    std::uint64_t n_done = 0;
    while (n_done < size && has_peer()) {
      std::size_t n = 0;
      const auto most =
          static_cast<std::size_t>(std::min<std::uint64_t>(size - n_done, piece_.size()));
      with_peer([&] { n = peer_.read_some(std::span(piece_).first(most)); });
      if (n == 0) break;
      relay_.n_received_ += n;
      if (!client_.write_all(std::span(piece_).first(n))) return false;
      n_done += n;
    }
    return make_up(command, request, size, n_done);
  }

  // What is left of an answer whose server is lost.
  bool make_up(RpcCommand command, std::span<const std::uint8_t> request, std::uint64_t size,
               std::uint64_t n_done) {
    if (n_done == size) return true;
    std::fill(piece_.begin(), piece_.end(), std::uint8_t{0});
    if (n_done == 0) {
      const RpcFakeAnswer fake = rpc_fake_answer(command, request);
      const std::size_t n = std::min<std::size_t>(size, fake.bytes.size());
      if (!client_.write_all(std::span(fake.bytes).first(n))) return false;
      n_done = n;
    }
    while (n_done < size) {
      const auto n =
          static_cast<std::size_t>(std::min<std::uint64_t>(size - n_done, piece_.size()));
      if (!client_.write_all(std::span(piece_).first(n))) return false;
      n_done += n;
    }
    return true;
  }

  // The client aborts over a version that is not its own.
  bool pass_hello(std::span<const std::uint8_t> request, std::uint64_t size) {
    std::vector<std::uint8_t> answer(kRpcAnswerHead + static_cast<std::size_t>(size));
    const auto data = std::span(answer).subspan(kRpcAnswerHead);
    with_peer([&] {
      peer_.read_all(answer, relay_.silence_);
      const std::string problem = rpc_version_problem(data);
      if (!problem.empty()) throw ConnectionLost(problem);
    });
    if (!has_peer()) {
      const RpcFakeAnswer fake = rpc_fake_answer(RpcCommand::hello, request);
      std::copy_n(fake.bytes.begin(), data.size(), data.begin());
    }
    std::fill(data.begin() + 4, data.end(), std::uint8_t{0});
    std::memcpy(answer.data(), &size, sizeof size);
    return client_.write_all(answer);
  }

  RpcRelay& relay_;
  Socket client_;
  PeerConnection peer_;
  std::vector<std::uint8_t> request_;
  std::vector<std::uint8_t> piece_;
};

RpcRelay::RpcRelay(RpcPeer peer, std::chrono::milliseconds silence)
    : peer_(std::move(peer)), silence_(silence) {
  std::uint16_t port = 0;
  try {
    listener_ = listen_on_loopback(port);
  } catch (const ConnectionLost& loss) {
    throw lost(peer_, loss.what());
  }
  endpoint_ = "127.0.0.1:" + std::to_string(port);
  std::thread([this] { accept_all(); }).detach();
}

void RpcRelay::accept_all() {
  for (;;) {
    Socket client(::accept4(listener_.fd(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!client.is_open()) {
      if (errno == EINTR || errno == ECONNABORTED) continue;
      // Out of descriptors, say. ggml waits for an answer meanwhile, and gets one afterwards.
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      continue;
    }
    const int on = 1;
    (void)::setsockopt(client.fd(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    ++n_connections_;
    std::thread([this, socket = std::move(client)]() mutable {
      Connection(*this, std::move(socket)).run();
      --n_connections_;
    }).detach();
  }
}

void RpcRelay::lose(const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (is_lost_) return;
  why_ = why;
  is_lost_ = true;
}

void RpcRelay::check() const {
  if (!is_lost()) return;
  const std::lock_guard lock(mutex_);
  throw lost(peer_, why_);
}

RpcTraffic RpcRelay::traffic() const {
  return {n_round_trips_.load(), n_sent_.load(), n_received_.load()};
}

void RpcRelay::probe(const RpcPeer& peer, std::chrono::milliseconds silence) {
  try {
    PeerConnection connection(peer, silence);
    // hello: no capabilities.
    std::array<std::uint8_t, kRpcRequestHead + 24> request{};
    request[0] = static_cast<std::uint8_t>(RpcCommand::hello);
    request[1] = 24;
    connection.write_all(request);
    const std::uint64_t size = *rpc_answer_size(RpcCommand::hello, {});
    std::vector<std::uint8_t> answer(kRpcAnswerHead + static_cast<std::size_t>(size));
    const auto begin = std::chrono::steady_clock::now();
    try {
      connection.read_all(answer, silence);
    } catch (const ConnectionLost&) {
      if (std::chrono::steady_clock::now() - begin > silence) throw ConnectionLost(kBusy);
      throw;
    }
    const std::string problem =
        rpc_version_problem(std::span<const std::uint8_t>(answer).subspan(kRpcAnswerHead));
    if (!problem.empty()) throw ConnectionLost(problem);
  } catch (const ConnectionLost& loss) {
    throw lost(peer, loss.what());
  }
}

}  // namespace gumbelspec::internal
