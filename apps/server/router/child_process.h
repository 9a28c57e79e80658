// `gumbelspec serve` as a process of its own, which listens on a socket in the file system and
// says on standard error how it is.
#ifndef GUMBELSPEC_APPS_SERVER_ROUTER_CHILD_PROCESS_H_
#define GUMBELSPEC_APPS_SERVER_ROUTER_CHILD_PROCESS_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "apps/server/router/router.h"

namespace gumbelspec::server {

struct ChildOptions {
  std::string program;
  // Variables of the environment that it does not get.
  std::vector<std::string> hidden_variables = {};
  // Each of its lines on standard error, with the model's name; empty: nobody wants to know.
  std::function<void(const std::string& line)> log = {};
  // How long one that is to end may take, before it is killed.
  std::chrono::seconds longest_stop{60};
};

// A folder for sockets that only this user can open; gone with it.
class SocketFolder {
 public:
  SocketFolder();  // Throws: Error{invalid_option} where none can be made.
  ~SocketFolder();
  SocketFolder(const SocketFolder&) = delete;
  SocketFolder& operator=(const SocketFolder&) = delete;
  [[nodiscard]] std::string next();  // a path for one more

 private:
  std::string path_;
  std::size_t n_ = 0;
};

// Starts the source's arguments with "--host SOCKET" behind them. On Linux it ends with the thread
// that started it. Throws: Error{out_of_memory} where the system has no more processes.
[[nodiscard]] std::unique_ptr<Instance> start_child(const ChildOptions& options,
                                                    const ModelSource& source,
                                                    const std::string& socket,
                                                    InstanceEvents events);

}  // namespace gumbelspec::server

#endif  // GUMBELSPEC_APPS_SERVER_ROUTER_CHILD_PROCESS_H_
