#include "apps/bench/child_process.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>

namespace gumbelspec::apps::bench {
namespace {

class FileActions {
 public:
  FileActions() { ::posix_spawn_file_actions_init(&actions_); }
  ~FileActions() { ::posix_spawn_file_actions_destroy(&actions_); }
  FileActions(const FileActions&) = delete;
  FileActions& operator=(const FileActions&) = delete;
  void use(int descriptor, int as) {
    ::posix_spawn_file_actions_adddup2(&actions_, descriptor, as);
  }
  void open(int as, const char* path, int flags) {
    ::posix_spawn_file_actions_addopen(&actions_, as, path, flags, 0666);
  }
  [[nodiscard]] const posix_spawn_file_actions_t* get() const { return &actions_; }

 private:
  posix_spawn_file_actions_t actions_;
};

// In a process group of its own, so that Ctrl-C on the terminal is ours to handle.
pid_t spawn(std::vector<std::string> arguments, const FileActions& actions) {
  std::vector<char*> pointers;
  pointers.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  posix_spawnattr_t attributes;
  ::posix_spawnattr_init(&attributes);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  pid_t pid = -1;
  const int error =
      ::posix_spawnp(&pid, pointers[0], actions.get(), &attributes, pointers.data(), environ);
  ::posix_spawnattr_destroy(&attributes);
  return error == 0 ? pid : -1;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return -1;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

ChildResult run_child(const std::vector<std::string>& arguments, const std::string& input) {
  ChildResult result;
  std::array<int, 2> out{};
  // The input is short and stands in a file, so nobody waits for anybody.
  std::FILE* in = std::tmpfile();
  if (in == nullptr || ::pipe2(out.data(), O_CLOEXEC) != 0) return result;
  std::fwrite(input.data(), 1, input.size(), in);
  std::rewind(in);
  FileActions actions;
  actions.use(::fileno(in), STDIN_FILENO);
  actions.use(out[1], STDOUT_FILENO);
  actions.use(out[1], STDERR_FILENO);
  const pid_t pid = spawn(arguments, actions);
  ::close(out[1]);
  std::fclose(in);
  std::array<char, 4096> buffer{};
  while (pid > 0) {
    const ssize_t n = ::read(out[0], buffer.data(), buffer.size());
    if (n > 0) result.output.append(buffer.data(), static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) break;
  }
  ::close(out[0]);
  result.exit_code = pid > 0 ? wait_for(pid) : 127;
  return result;
}

BackgroundChild::BackgroundChild(const std::vector<std::string>& arguments) {
  FileActions actions;
  actions.open(STDIN_FILENO, "/dev/null", O_RDONLY);
  actions.open(STDOUT_FILENO, "/dev/null", O_WRONLY);
  actions.open(STDERR_FILENO, "/dev/null", O_WRONLY);
  pid_ = spawn(arguments, actions);
}

BackgroundChild::~BackgroundChild() {
  if (!is_running()) return;
  ::kill(pid_, SIGKILL);
  (void)wait_for(pid_);
}

bool BackgroundChild::is_running() {
  if (pid_ > 0 && ::waitpid(pid_, nullptr, WNOHANG) != 0) pid_ = -1;
  return pid_ > 0;
}

int free_port() {
  const int descriptor = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return -1;
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  int port = -1;
  if (::bind(descriptor, reinterpret_cast<const sockaddr*>(&address), size) == 0 &&
      ::getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size) == 0) {
    port = ntohs(address.sin_port);
  }
  ::close(descriptor);
  return port;
}

}  // namespace gumbelspec::apps::bench
