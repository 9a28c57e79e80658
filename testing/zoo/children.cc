#include "testing/zoo/children.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace gumbelspec::zoo {
namespace {

struct Child {
  std::size_t job = 0;
  pid_t pid = -1;
  int output = -1;  // the parent's ends of its pipes; -1: it closed them
  int errors = -1;
  ChildEnd end;
};

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

void write_all(int pipe, const std::string& bytes) {
  for (std::size_t done = 0; done < bytes.size();) {
    const ssize_t n = write(pipe, bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(2);
    done += static_cast<std::size_t>(n);
  }
}

[[noreturn]] void be_child(const ChildJobs& jobs, std::size_t job, int output, int errors) {
  dup2(errors, STDERR_FILENO);
  const auto seconds = static_cast<rlim_t>(jobs.limit_s);
  const rlimit limit{seconds, seconds + 1};
  setrlimit(RLIMIT_CPU, &limit);
  try {
    jobs.run(job, [output](const std::string& bytes) { write_all(output, bytes); });
  } catch (const std::exception& error) {
    write_all(STDERR_FILENO, std::string(error.what()) + "\n");
    _exit(1);
  }
  // Without the destructors of libraries: they may wait for threads that the child does not have.
  _exit(0);
}

Child start(const ChildJobs& jobs, std::size_t job) {
  std::array<int, 2> output{};
  std::array<int, 2> errors{};
  if (pipe2(output.data(), O_CLOEXEC) != 0 || pipe2(errors.data(), O_CLOEXEC) != 0) fail("pipe");
  Child child;
  child.job = job;
  child.pid = fork();
  if (child.pid < 0) fail("fork");
  if (child.pid == 0) be_child(jobs, job, output[1], errors[1]);
  close(output[1]);
  close(errors[1]);
  child.output = output[0];
  child.errors = errors[0];
  return child;
}

// Reads what there is; at the end closes the pipe.
void read_some(int& pipe, std::string& text, std::size_t most) {
  std::array<char, 4096> buffer{};
  const ssize_t n = read(pipe, buffer.data(), buffer.size());
  if (n < 0 && errno == EINTR) return;
  if (n > 0) {
    text.append(buffer.data(), static_cast<std::size_t>(n));
    if (text.size() > most) text.erase(0, text.size() - most);
    return;
  }
  close(pipe);
  pipe = -1;
}

void wait_for_bytes(std::vector<Child>& children) {
  constexpr std::size_t kMost = 1 << 20;
  std::vector<pollfd> pipes;
  for (const Child& child : children) {
    pipes.push_back({child.output, POLLIN, 0});
    pipes.push_back({child.errors, POLLIN, 0});
  }
  poll(pipes.data(), pipes.size(), -1);
  for (std::size_t i = 0; i < children.size(); ++i) {
    Child& child = children[i];
    if (pipes[2 * i].revents != 0) read_some(child.output, child.end.output, kMost);
    if (pipes[2 * i + 1].revents != 0) read_some(child.errors, child.end.errors, kMost);
  }
}

bool has_ended(const Child& child) { return child.output < 0 && child.errors < 0; }

void reap(Child& child) {
  int status = 0;
  while (waitpid(child.pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) child.end.signal = WTERMSIG(status);
  if (WIFEXITED(status)) child.end.exit_code = WEXITSTATUS(status);
}

}  // namespace

void run_children(const ChildJobs& jobs) {
  std::vector<Child> children;
  std::size_t next = 0;
  while (next < jobs.n_jobs || !children.empty()) {
    while (next < jobs.n_jobs && children.size() < jobs.n_at_once) {
      children.push_back(start(jobs, next++));
    }
    wait_for_bytes(children);
    for (std::size_t i = 0; i < children.size();) {
      if (!has_ended(children[i])) {
        ++i;
        continue;
      }
      reap(children[i]);
      jobs.on_end(children[i].job, children[i].end);
      children.erase(children.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
}

}  // namespace gumbelspec::zoo
