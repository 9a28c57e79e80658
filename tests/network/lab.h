// Machines for tests: network namespaces with a link from the first one, the client, to each other.
#ifndef GUMBELSPEC_TESTS_NETWORK_LAB_H_
#define GUMBELSPEC_TESTS_NETWORK_LAB_H_

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace gumbelspec::testing {

// Of every packet, each way.
struct LinkQuality {
  double delay_ms = 0.0;
  double loss = 0.0;  // share of packets that never arrive
};

// The links are veth pairs with `tc netem` where the kernel has netem, else tunnels whose packets
// this process holds back and drops.
class NetworkLab {
 public:
  // Why there can be no lab here (no root, no ip program, ...); empty if there can.
  static std::string missing();

  // Requires: missing() is empty; at most 9 servers. Throws: std::runtime_error.
  NetworkLab(std::size_t n_servers, const LinkQuality& quality);
  ~NetworkLab();
  NetworkLab(const NetworkLab&) = delete;
  NetworkLab& operator=(const NetworkLab&) = delete;

  // Arguments in front of a command that is to run there.
  [[nodiscard]] std::vector<std::string> on_client() const;
  [[nodiscard]] std::vector<std::string> on_server(std::size_t i) const;
  // As the client sees server i.
  [[nodiscard]] static std::string address(std::size_t i);

  // The cable of server i is pulled out: packets vanish, nobody is told. And put in again.
  void cut(std::size_t i);
  void mend(std::size_t i);

  // In the client's network, on a thread of its own.
  void as_client(const std::function<void()>& run) const;

  [[nodiscard]] bool uses_netem() const { return uses_netem_; }

 private:
  class Tunnel;

  [[nodiscard]] std::string client() const;
  [[nodiscard]] std::string server(std::size_t i) const;
  void remove();
  void make_veth(std::size_t i, const LinkQuality& quality);
  void make_tunnel(std::size_t i, const LinkQuality& quality);

  std::string prefix_;
  std::size_t n_servers_;
  bool uses_netem_ = false;
  std::vector<std::unique_ptr<Tunnel>> tunnels_;
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_NETWORK_LAB_H_
