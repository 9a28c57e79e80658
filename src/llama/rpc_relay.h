// Stands between ggml's RPC client and one server, so that a lost server is an error and not the
// end of the process.
#ifndef GUMBELSPEC_SRC_LLAMA_RPC_RELAY_H_
#define GUMBELSPEC_SRC_LLAMA_RPC_RELAY_H_

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "gumbelspec/llama_model.h"
#include "src/llama/rpc_socket.h"

namespace gumbelspec::internal {

// ggml's client calls abort() from a thread of its own when its connection breaks or an answer is
// not what it expects. It is therefore connected to this relay, in the same process, and the relay
// to the server. Once the server is lost, the relay goes on answering: zeros of the right size. The
// loss is noted before the first such answer, so whoever looks after a pass whether the server is
// lost never takes a number that was made up.
//
// A loss is for good: the server has forgotten the weights. For another try there is another relay.
// Lives as long as the process, as what ggml registers for it does.
class RpcRelay {
 public:
  // Listens; connects only when ggml does. Throws: Error{peer_lost}.
  RpcRelay(RpcPeer peer, std::chrono::milliseconds silence);
  RpcRelay(const RpcRelay&) = delete;
  RpcRelay& operator=(const RpcRelay&) = delete;

  // What ggml's client is to connect to: "127.0.0.1:PORT".
  [[nodiscard]] const std::string& endpoint() const { return endpoint_; }
  [[nodiscard]] const RpcPeer& peer() const { return peer_; }
  [[nodiscard]] bool is_lost() const { return is_lost_.load(); }
  [[nodiscard]] bool is_connected() const { return n_connections_.load() > 0; }
  [[nodiscard]] RpcTraffic traffic() const;

  // Throws: Error{peer_lost} naming the server, if it is lost.
  void check() const;

  // Connects, asks for the version and leaves again: whether the server is there and free.
  // Throws: Error{peer_lost}.
  static void probe(const RpcPeer& peer, std::chrono::milliseconds silence);

 private:
  class Connection;

  void accept_all();
  void lose(const std::string& why);

  const RpcPeer peer_;
  const std::chrono::milliseconds silence_;
  Socket listener_;
  std::string endpoint_;
  std::atomic<bool> is_lost_{false};
  std::atomic<int> n_connections_{0};
  std::atomic<std::uint64_t> n_round_trips_{0};
  std::atomic<std::uint64_t> n_sent_{0};
  std::atomic<std::uint64_t> n_received_{0};
  mutable std::mutex mutex_;
  std::string why_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_RPC_RELAY_H_
