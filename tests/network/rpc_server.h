// A running rpc-server.
#ifndef GUMBELSPEC_TESTS_NETWORK_RPC_SERVER_H_
#define GUMBELSPEC_TESTS_NETWORK_RPC_SERVER_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace gumbelspec::testing {

class RpcServer {
 public:
  // program: rpc-server's path; prefix: words in front of the command (NetworkLab::on_server).
  // Returns when it listens. Throws: std::runtime_error.
  RpcServer(const std::string& program, const std::vector<std::string>& prefix,
            const std::string& host, int port, int n_threads);
  ~RpcServer();
  RpcServer(const RpcServer&) = delete;
  RpcServer& operator=(const RpcServer&) = delete;

  void kill();
  // "HOST:PORT"
  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] int port() const { return port_; }

 private:
  [[nodiscard]] bool is_listening() const;

  std::string name_;
  int port_;
  pid_t pid_ = -1;
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_NETWORK_RPC_SERVER_H_
