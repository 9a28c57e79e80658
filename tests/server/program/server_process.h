// `gumbelspec serve` on a free port, and clients for it.
#ifndef GUMBELSPEC_TESTS_SERVER_PROGRAM_SERVER_PROCESS_H_
#define GUMBELSPEC_TESTS_SERVER_PROGRAM_SERVER_PROCESS_H_

#include <httplib.h>

#include <csignal>
#include <memory>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace gumbelspec::testing {

// A server of the demo pair.
class Server {
 public:
  explicit Server(const std::vector<std::string>& options = {}) {
    std::vector<std::string> arguments = {"serve", "-t", "1", "--port", "0"};
    arguments.insert(arguments.end(), options.begin(), options.end());
    process_ = std::make_unique<Process>(GUMBELSPEC_PROGRAM, arguments);
    const std::string& said = process_->wait_for_errors_with("gumbelspec: ready");
    const std::string before = "listening on http://127.0.0.1:";
    port_ = std::stoi(said.substr(said.find(before) + before.size()));
  }
  [[nodiscard]] httplib::Client client() const {
    httplib::Client client("127.0.0.1", port_);
    client.set_read_timeout(120);
    return client;
  }
  Process& process() { return *process_; }
  ProcessResult stop() {
    process_->send(SIGTERM);
    return process_->finish();
  }

 private:
  std::unique_ptr<Process> process_;
  int port_ = 0;
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_SERVER_PROGRAM_SERVER_PROCESS_H_
