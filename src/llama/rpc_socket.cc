#include "src/llama/rpc_socket.h"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <memory>
#include <system_error>

#include "gumbelspec/error.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// How often a wait looks whether the peer is still there.
constexpr milliseconds kLook{100};
// The kernel's shortest interval between two probes is a second, and one lost packet must not
// be taken for a lost peer: three probes in a row have to stay without an answer.
constexpr milliseconds kShortestSilence{3'500};

std::string in_seconds(milliseconds time) {
  std::string text = std::to_string(time.count() / 1000);
  if (time.count() % 1000 != 0) {
    text += "." + std::to_string(time.count() % 1000 / 100);
  }
  return text + " s";
}

[[noreturn]] void lose(const std::string& what) { throw ConnectionLost(what); }

[[noreturn]] void lose_with_errno(const std::string& what, int code) {
  lose(what + ": " + std::generic_category().message(code));
}

void set_option(int fd, int level, int name, int value) {
  // Where one is missing the connection works, and is only found dead later.
  (void)::setsockopt(fd, level, name, &value, sizeof value);
}

int poll_for(int fd, short events, milliseconds time) {
  pollfd entry{fd, events, 0};
  return ::poll(&entry, 1, static_cast<int>(time.count()));
}

// One address of the peer. Returns: an open socket, or none and the reason in failure.
Socket connect_to(const addrinfo& address, milliseconds most, std::string& failure) {
  Socket socket(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.is_open()) lose_with_errno("cannot be reached", errno);
  int code = 0;
  if (::connect(socket.fd(), address.ai_addr, address.ai_addrlen) != 0) {
    code = errno;
    if (code == EINPROGRESS) {
      if (poll_for(socket.fd(), POLLOUT, most) == 0) {
        failure = "cannot be reached within " + in_seconds(most);
        return {};
      }
      socklen_t size = sizeof code;
      ::getsockopt(socket.fd(), SOL_SOCKET, SO_ERROR, &code, &size);
    }
  }
  if (code == 0) return socket;
  failure = "cannot be reached: " + std::generic_category().message(code);
  return {};
}

}  // namespace

RpcPeer parse_rpc_peer(const std::string& text) {
  const auto refuse = [&](const std::string& what) {
    throw Error(ErrorCode::invalid_option,
                "rpc_servers has " + printable(text) + ", which " + what +
                    "; give HOST:PORT, e.g. 10.0.0.2:50052",
                "rpc_servers");
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string::npos || colon == 0) refuse("has no port");
  RpcPeer peer{text.substr(0, colon), text.substr(colon + 1), text};
  unsigned port = 0;
  const char* end = peer.port.data() + peer.port.size();
  const auto [stopped, error] = std::from_chars(peer.port.data(), end, port);
  if (error != std::errc() || stopped != end || port < 1 || port > 65535) {
    refuse("has no port from 1 to 65535");
  }
  if (peer.host.size() > 2 && peer.host.front() == '[' && peer.host.back() == ']') {
    peer.host = peer.host.substr(1, peer.host.size() - 2);
  }
  return peer;
}

Socket& Socket::operator=(Socket&& other) noexcept {
  if (this != &other) {
    close();
    fd_ = std::exchange(other.fd_, -1);
  }
  return *this;
}

Socket::~Socket() { close(); }

void Socket::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

bool Socket::read_all(std::span<std::uint8_t> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::recv(fd_, bytes.data(), bytes.size(), 0);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

bool Socket::write_all(std::span<const std::uint8_t> bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return true;
}

PeerConnection::PeerConnection(const RpcPeer& peer, milliseconds silence) : silence_(silence) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int code = ::getaddrinfo(peer.host.c_str(), peer.port.c_str(), &hints, &found);
  if (code != 0) lose(std::string("cannot be found: ") + ::gai_strerror(code));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> addresses(found, &::freeaddrinfo);
  std::string failure = "has no address";
  const auto begin = Clock::now();
  for (const addrinfo* a = found; a != nullptr && !socket_.is_open(); a = a->ai_next) {
    const auto used = std::chrono::duration_cast<milliseconds>(Clock::now() - begin);
    if (used >= silence) break;
    socket_ = connect_to(*a, silence - used, failure);
  }
  if (!socket_.is_open()) lose(failure);
  // Requests go out whole, and probes come often enough that silence means something.
  const int interval = std::max(1, static_cast<int>(silence.count() / 4000));
  set_option(fd(), IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd(), SOL_SOCKET, SO_KEEPALIVE, 1);
  set_option(fd(), IPPROTO_TCP, TCP_KEEPIDLE, interval);
  set_option(fd(), IPPROTO_TCP, TCP_KEEPINTVL, interval);
  set_option(fd(), IPPROTO_TCP, TCP_KEEPCNT, 127);
}

// Not TCP_USER_TIMEOUT: a socket that it closes tells the peer nothing, whose server would wait
// for this client for ever. One that we close goes on telling it for a while.
bool PeerConnection::is_silent() const {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (::getsockopt(fd(), IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return false;
  const auto last = std::min(info.tcpi_last_ack_recv, info.tcpi_last_data_recv);
  return milliseconds(last) > std::max(silence_, kShortestSilence);
}

void PeerConnection::wait(short events, milliseconds most) const {
  const auto begin = Clock::now();
  for (;;) {
    const int n = poll_for(fd(), events, kLook);
    if (n > 0) return;
    if (n < 0 && errno != EINTR) lose_with_errno("cannot be waited for", errno);
    if (is_silent()) lose("has given no sign of life for " + in_seconds(silence_));
    if (Clock::now() - begin > most) {
      lose("is connected but has not answered within " + in_seconds(most));
    }
  }
}

void PeerConnection::write_all(std::span<const std::uint8_t> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      wait(POLLOUT, kMostAnswer);
    } else if (errno != EINTR) {
      lose_with_errno("closed the connection", errno);
    }
  }
}

std::size_t PeerConnection::read_some(std::span<std::uint8_t> bytes, milliseconds most) {
  for (;;) {
    const ssize_t n = ::recv(fd(), bytes.data(), bytes.size(), 0);
    if (n > 0) return static_cast<std::size_t>(n);
    if (n == 0) lose("closed the connection");
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      wait(POLLIN, most);
    } else if (errno != EINTR) {
      lose_with_errno("closed the connection", errno);
    }
  }
}

void PeerConnection::read_all(std::span<std::uint8_t> bytes, milliseconds most) {
  while (!bytes.empty()) bytes = bytes.subspan(read_some(bytes, most));
}

Socket listen_on_loopback(std::uint16_t& port) {
  Socket socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (!socket.is_open() ||
      ::bind(socket.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(socket.fd(), 8) != 0 ||
      ::getsockname(socket.fd(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    lose_with_errno("cannot be passed on to through 127.0.0.1", errno);
  }
  port = ntohs(address.sin_port);
  return socket;
}

}  // namespace gumbelspec::internal
