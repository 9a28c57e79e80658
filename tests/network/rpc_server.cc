#include "tests/network/rpc_server.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <thread>
#include <utility>

extern char** environ;

namespace gumbelspec::testing {

RpcServer::RpcServer(const std::string& program, const std::vector<std::string>& prefix,
                     const std::string& host, int port, int n_threads)
    : name_(host + ":" + std::to_string(port)), port_(port) {
  std::vector<std::string> command = prefix;
  for (const std::string& word :
       {program, std::string("-H"), host, std::string("-p"), std::to_string(port),
        std::string("-t"), std::to_string(n_threads)}) {
    command.push_back(word);
  }
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions{};
  posix_spawn_file_actions_init(&actions);
  for (const int fd : {1, 2}) {
    posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_WRONLY, 0);
  }
  const int failure =
      ::posix_spawnp(&pid_, arguments[0], &actions, nullptr, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (failure != 0) throw std::runtime_error(command[0] + " cannot be started");
  for (int i = 0; i < 3000; ++i) {
    if (is_listening()) return;
    if (::waitpid(pid_, nullptr, WNOHANG) == pid_) {
      pid_ = -1;
      throw std::runtime_error(program + " ended at once");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  throw std::runtime_error(program + " does not listen");
}

RpcServer::~RpcServer() { kill(); }

void RpcServer::kill() {
  if (pid_ < 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(std::exchange(pid_, -1), nullptr, 0);
}

// Connecting would tell, too, but the server would take it for its client.
bool RpcServer::is_listening() const {
  std::ifstream table("/proc/" + std::to_string(pid_) + "/net/tcp");
  char port[8];
  std::snprintf(port, sizeof port, ":%04X", static_cast<unsigned>(port_));
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::string number;
    std::string local;
    std::string remote;
    std::string state;
    words >> number >> local >> remote >> state;
    if (state == "0A" && local.size() > 5 && local.substr(local.size() - 5) == port) return true;
  }
  return false;
}

}  // namespace gumbelspec::testing
