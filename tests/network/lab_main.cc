// network-lab: runs a command on the client of a lab with RPC servers.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "tests/network/lab.h"
#include "tests/network/rpc_server.h"

namespace gumbelspec::testing {
namespace {

constexpr const char* kUsage =
    "usage: network-lab SERVERS THREADS DELAY_MS LOSS COMMAND...\n"
    "Runs COMMAND on the client of a lab with SERVERS rpc-servers of THREADS threads each, which "
    "a\n"
    "packet reaches after DELAY_MS milliseconds and with probability 1 - LOSS. The environment\n"
    "variable RPC_SERVERS then has their addresses, separated by commas.\n";

int run(const std::vector<std::string>& arguments) {
  const std::string missing = NetworkLab::missing();
  if (!missing.empty()) {
    std::cerr << "network-lab: " << missing << "\n";
    return 77;
  }
  const auto n_servers = static_cast<std::size_t>(std::stoul(arguments[0]));
  const int n_threads = std::stoi(arguments[1]);
  const NetworkLab lab(n_servers, {std::stod(arguments[2]), std::stod(arguments[3])});
  std::vector<std::unique_ptr<RpcServer>> servers;
  std::string names;
  for (std::size_t i = 0; i < n_servers; ++i) {
    servers.push_back(std::make_unique<RpcServer>(GUMBELSPEC_RPC_SERVER, lab.on_server(i),
                                                  NetworkLab::address(i), 50052, n_threads));
    names += (names.empty() ? "" : ",") + servers.back()->name();
  }
  std::cerr << "network-lab: " << (lab.uses_netem() ? "tc netem" : "packets held back by tunnels")
            << "\n";
  std::vector<std::string> command = lab.on_client();
  command.insert(command.end(), arguments.begin() + 4, arguments.end());
  std::vector<char*> words;
  for (std::string& word : command) words.push_back(word.data());
  words.push_back(nullptr);
  const pid_t pid = ::fork();
  if (pid == 0) {
    ::setenv("RPC_SERVERS", names.c_str(), 1);
    ::execvp(words[0], words.data());
    std::perror(words[0]);
    ::_exit(127);
  }
  int status = 0;
  ::waitpid(pid, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace
}  // namespace gumbelspec::testing

int main(int n, char** words) {
  if (n < 6) {
    std::cerr << gumbelspec::testing::kUsage;
    return 2;
  }
  try {
    return gumbelspec::testing::run({words + 1, words + n});
  } catch (const std::exception& error) {
    std::cerr << "network-lab: " << error.what() << "\n";
    return 1;
  }
}
