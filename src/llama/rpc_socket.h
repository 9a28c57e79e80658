// A TCP connection to a machine that may vanish: every wait ends.
#ifndef GUMBELSPEC_SRC_LLAMA_RPC_SOCKET_H_
#define GUMBELSPEC_SRC_LLAMA_RPC_SOCKET_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace gumbelspec::internal {

struct RpcPeer {
  std::string host;  // a name or an address; IPv6 in brackets
  std::string port;
  std::string name;  // as given: "10.0.0.2:50052"
};

// Throws: Error{invalid_option}.
RpcPeer parse_rpc_peer(const std::string& text);

// Why a connection is of no use any more, as the end of a sentence about the server.
class ConnectionLost : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Owns a socket. Move-only.
class Socket {
 public:
  Socket() = default;
  explicit Socket(int fd) : fd_(fd) {}
  Socket(Socket&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Socket& operator=(Socket&& other) noexcept;
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket();

  [[nodiscard]] int fd() const { return fd_; }
  [[nodiscard]] bool is_open() const { return fd_ >= 0; }
  void close();

  // Blocking, without a limit: for the near end. Returns: false if the other side closed it.
  [[nodiscard]] bool read_all(std::span<std::uint8_t> bytes) const;
  [[nodiscard]] bool write_all(std::span<const std::uint8_t> bytes) const;

 private:
  int fd_ = -1;
};

// The far end. A peer that is alive answers the kernel's probes even while it computes, so it is
// given up when no packet of any kind has come from it for `silence`. A peer that answers probes
// but no request is given up after kMostAnswer.
class PeerConnection {
 public:
  static constexpr std::chrono::seconds kMostAnswer{600};

  PeerConnection() = default;
  // Throws: ConnectionLost if there is no connection within `silence`.
  PeerConnection(const RpcPeer& peer, std::chrono::milliseconds silence);

  [[nodiscard]] bool is_open() const { return socket_.is_open(); }
  [[nodiscard]] int fd() const { return socket_.fd(); }
  void close() { socket_.close(); }

  // Throws: ConnectionLost.
  void write_all(std::span<const std::uint8_t> bytes);
  void read_all(std::span<std::uint8_t> bytes, std::chrono::milliseconds most = kMostAnswer);
  // At least one byte. Returns: how many.
  std::size_t read_some(std::span<std::uint8_t> bytes,
                        std::chrono::milliseconds most = kMostAnswer);

 private:
  void wait(short events, std::chrono::milliseconds most) const;
  [[nodiscard]] bool is_silent() const;

  Socket socket_;
  std::chrono::milliseconds silence_{0};
};

// A listening socket on 127.0.0.1, at a port of the system's choice, which is stored in port.
// Throws: ConnectionLost.
Socket listen_on_loopback(std::uint16_t& port);

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_RPC_SOCKET_H_
