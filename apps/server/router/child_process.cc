#include "apps/server/router/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <optional>
#include <string_view>
#include <system_error>
#include <thread>
#include <utility>

#ifdef __linux__
#include <sys/prctl.h>
#endif

#include "gumbelspec/error.h"

extern char** environ;

namespace gumbelspec::server {
namespace {

constexpr int kCannotStart = 127;
constexpr int kLookMs = 500;
// Of a socket's path 107 characters count everywhere.
constexpr std::size_t kLongestFolder = 90;
// What it says of itself, see ServeRun.
constexpr std::string_view kReady = "gumbelspec: ready";
constexpr std::string_view kAsleep = "gumbelspec: asleep";
constexpr std::string_view kSays = "gumbelspec: ";

Error cannot_start(const char* what) {
  return {ErrorCode::out_of_memory, std::string("a process for the model cannot be started: ") +
                                        what + ": " + std::generic_category().message(errno)};
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  out.reserve(texts.size() + 1);
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> environment_without(const std::vector<std::string>& hidden) {
  std::vector<std::string> out;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const std::string name = text.substr(0, text.find('='));
    if (std::find(hidden.begin(), hidden.end(), name) == hidden.end()) out.push_back(text);
  }
  return out;
}

// In the new process, where nothing may be allocated.
[[noreturn]] void become(char* const* arguments, char* const* variables, int errors, pid_t parent) {
#ifdef __linux__
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(kCannotStart);
#else
  (void)parent;
#endif
  // A terminal's Ctrl-C is for the server, which tells its processes.
  ::setpgid(0, 0);
  // What the server's threads block, and what it does about signals, is not the child's.
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  for (const int signal : {SIGINT, SIGTERM}) ::signal(signal, SIG_DFL);
  ::dup2(errors, STDERR_FILENO);
  const int nothing = ::open("/dev/null", O_RDWR);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(nothing, STDOUT_FILENO);
  ::execve(arguments[0], arguments, variables);
  ::_exit(kCannotStart);
}

class ChildProcess final : public Instance {
 public:
  ChildProcess(ChildOptions options, const ModelSource& source, std::string socket,
               InstanceEvents events);
  ~ChildProcess() override {
    stop();
    reader_.join();
    ::close(errors_);
    ::unlink(address_.c_str());
  }

  [[nodiscard]] const std::string& address() const override { return address_; }
  void stop() override {
    if (!stop_began_.exchange(true)) send(SIGTERM);
  }

 private:
  void read();
  void take(const std::string& line);
  // Only while it is not waited for: its number may then be another's.
  void send(int signal) {
    const std::lock_guard lock(mutex_);
    if (pid_ > 0) ::kill(pid_, signal);
  }
  [[nodiscard]] int wait_for_end();

  const ChildOptions options_;
  const std::string name_;
  const std::string address_;
  const InstanceEvents events_;
  std::mutex mutex_;
  pid_t pid_ = -1;  // under the mutex; -1: it has ended
  int errors_ = -1;
  std::string last_line_;  // that it said
  std::atomic<bool> stop_began_{false};
  std::thread reader_;  // last: it uses the others
};

ChildProcess::ChildProcess(ChildOptions options, const ModelSource& source, std::string socket,
                           InstanceEvents events)
    : options_(std::move(options)),
      name_(source.name),
      address_(std::move(socket)),
      events_(std::move(events)) {
  std::vector<std::string> arguments = {options_.program};
  arguments.insert(arguments.end(), source.arguments.begin(), source.arguments.end());
  arguments.insert(arguments.end(), {"--host", address_});
  std::vector<std::string> variables = environment_without(options_.hidden_variables);
  const std::vector<char*> argument_pointers = pointers(arguments);
  const std::vector<char*> variable_pointers = pointers(variables);
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) throw cannot_start("pipe");
  const pid_t parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0) become(argument_pointers.data(), variable_pointers.data(), pipe[1], parent);
  ::close(pipe[1]);
  errors_ = pipe[0];
  if (pid_ < 0) {
    const Error error = cannot_start("fork");
    ::close(errors_);
    throw error;
  }
  reader_ = std::thread([this] { read(); });
}

void ChildProcess::take(const std::string& line) {
  if (line.compare(0, kSays.size(), kSays) == 0) last_line_ = line.substr(kSays.size());
  const bool is_said = line.compare(0, kSays.size(), kSays) == 0;
  if (options_.log) options_.log(is_said ? "gumbelspec: " + name_ + ": " + last_line_ : line);
  if (line.compare(0, kReady.size(), kReady) == 0) events_.on_ready();
  if (line.compare(0, kAsleep.size(), kAsleep) == 0) events_.on_asleep();
}

int ChildProcess::wait_for_end() {
  pid_t pid = 0;
  {
    const std::lock_guard lock(mutex_);
    pid = pid_;
  }
  // Its standard error is closed: it ends, or has ended. It stays a zombie until it is waited for,
  // so that nobody else gets its number meanwhile.
  siginfo_t info{};
  while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
  }
  const std::lock_guard lock(mutex_);
  int status = 0;
  ::waitpid(pid, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void ChildProcess::read() {
  std::optional<std::chrono::steady_clock::time_point> kill_at;
  std::string rest;
  std::array<char, 4096> buffer{};
  while (true) {
    pollfd input{errors_, POLLIN, 0};
    const int n_ready = ::poll(&input, 1, kLookMs);
    const auto now = std::chrono::steady_clock::now();
    if (stop_began_ && !kill_at) kill_at = now + options_.longest_stop;
    if (kill_at && now > *kill_at) send(SIGKILL);
    if (n_ready <= 0) continue;
    const ssize_t n = ::read(errors_, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    rest.append(buffer.data(), static_cast<std::size_t>(n));
    for (std::size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
      take(rest.substr(0, end));
      rest.erase(0, end + 1);
    }
  }
  if (!rest.empty()) take(rest);
  const int exit_code = wait_for_end();
  events_.on_exit(exit_code, last_line_.empty()
                                 ? "its process ended with " + std::to_string(exit_code)
                                 : last_line_);
}

}  // namespace

SocketFolder::SocketFolder() {
  std::error_code failure;
  std::string path = (std::filesystem::temp_directory_path(failure) / "gumbelspec-XXXXXX").string();
  if (::mkdtemp(path.data()) == nullptr) {
    throw Error(ErrorCode::invalid_option,
                "no folder for sockets can be made in the temporary folder (" +
                    std::generic_category().message(errno) + "); set TMPDIR");
  }
  path_ = path;
  if (path_.size() <= kLongestFolder) return;
  ::rmdir(path_.c_str());
  throw Error(ErrorCode::invalid_option,
              "the temporary folder's path is too long for sockets; set TMPDIR to a shorter one");
}

SocketFolder::~SocketFolder() {
  std::error_code failure;
  std::filesystem::remove_all(path_, failure);
}

std::string SocketFolder::next() { return path_ + "/" + std::to_string(++n_) + ".sock"; }

std::unique_ptr<Instance> start_child(const ChildOptions& options, const ModelSource& source,
                                      const std::string& socket, InstanceEvents events) {
  return std::make_unique<ChildProcess>(options, source, socket, std::move(events));
}

}  // namespace gumbelspec::server
