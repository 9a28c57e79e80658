#include "tests/cli/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace gumbelspec::testing {
namespace {

using Clock = std::chrono::steady_clock;
// Far more than anything here takes; a program that hangs is an error, not a test that hangs.
constexpr std::chrono::minutes kLongest{5};
constexpr std::chrono::minutes kLongestForOutput{2};

struct Pipe {
  int read_end = -1;
  int write_end = -1;
};

Pipe make_pipe() {
  std::array<int, 2> ends{};
  // Without O_CLOEXEC one program would hold another one's pipe open.
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  return {ends[0], ends[1]};
}

void close_end(int& descriptor) {
  if (descriptor >= 0) ::close(descriptor);
  descriptor = -1;
}

// Appends what there is; closes the descriptor at its end.
void append_available(int& descriptor, std::string& text) {
  std::array<char, 65536> buffer{};
  const ssize_t n = ::read(descriptor, buffer.data(), buffer.size());
  if (n > 0) text.append(buffer.data(), static_cast<std::size_t>(n));
  if (n == 0 || (n < 0 && errno != EINTR)) close_end(descriptor);
}

[[noreturn]] void become(const std::string& program, const std::vector<std::string>& arguments,
                         const std::array<int, 3>& descriptors) {
  for (int i = 0; i < 3; ++i) ::dup2(descriptors[static_cast<std::size_t>(i)], i);
  // A test runner in the background may have these ignored.
  for (const int signal : {SIGINT, SIGTERM, SIGPIPE}) std::signal(signal, SIG_DFL);
  std::vector<char*> argv = {const_cast<char*>(program.c_str())};
  for (const std::string& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  ::execvp(program.c_str(), argv.data());
  ::_exit(127);
}

}  // namespace

Process::Process(const std::string& program, const std::vector<std::string>& arguments)
    : Process(program, arguments, Setup()) {}

Process::Process(const std::string& program, const std::vector<std::string>& arguments,
                 const Setup& setup) {
  Pipe in = make_pipe();
  Pipe out = make_pipe();
  Pipe err = make_pipe();
  if (!setup.output_path.empty()) {
    close_end(out.write_end);
    out.write_end =
        ::open(setup.output_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  }
  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) become(program, arguments, {in.read_end, out.write_end, err.write_end});
  for (int* end : {&in.read_end, &out.write_end, &err.write_end}) close_end(*end);
  in_ = in.write_end;
  out_ = out.read_end;
  err_ = err.read_end;
  // Inputs of tests fit into the pipe.
  const ssize_t n = ::write(in_, setup.input.data(), setup.input.size());
  if (n != static_cast<ssize_t>(setup.input.size())) throw std::runtime_error("write failed");
  if (!setup.keeps_input_open) close_end(in_);
}

Process::~Process() {
  for (int* end : {&in_, &out_, &err_}) close_end(*end);
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void Process::read_some(int timeout_ms) {
  // poll() leaves negative descriptors alone.
  std::array<pollfd, 2> fds = {{{out_, POLLIN, 0}, {err_, POLLIN, 0}}};
  if (::poll(fds.data(), fds.size(), timeout_ms) <= 0) return;
  if (fds[0].revents != 0) append_available(out_, result_.out);
  if (fds[1].revents != 0) append_available(err_, result_.err);
}

void Process::wait_for_output(std::size_t n_bytes) {
  const auto deadline = Clock::now() + kLongestForOutput;
  while (out_ >= 0 && result_.out.size() < n_bytes) {
    if (Clock::now() > deadline) throw std::runtime_error("no output: " + result_.err);
    read_some(1000);
  }
}

void Process::wait_for_errors(std::size_t n_bytes) {
  const auto deadline = Clock::now() + kLongestForOutput;
  while (err_ >= 0 && result_.err.size() < n_bytes) {
    if (Clock::now() > deadline) throw std::runtime_error("nothing on standard error");
    read_some(1000);
  }
}

const std::string& Process::wait_for_errors_with(const std::string& text) {
  const auto deadline = Clock::now() + kLongestForOutput;
  while (result_.err.find(text) == std::string::npos) {
    if (err_ < 0 || Clock::now() > deadline)
      throw std::runtime_error("no such text: " + result_.err);
    read_some(1000);
  }
  return result_.err;
}

void Process::send(int signal) const { ::kill(pid_, signal); }

void Process::close_output() { close_end(out_); }

ProcessResult Process::finish() {
  const auto deadline = Clock::now() + kLongest;
  while (is_open()) {
    if (Clock::now() > deadline) throw std::runtime_error("the program does not end");
    read_some(1000);
  }
  int status = 0;
  ::waitpid(std::exchange(pid_, -1), &status, 0);
  result_.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result_;
}

ProcessResult run_program(const std::vector<std::string>& arguments, const Process::Setup& setup) {
  return Process(GUMBELSPEC_PROGRAM, arguments, setup).finish();
}

ProcessResult generate(const std::vector<std::string>& arguments, const Process::Setup& setup) {
  std::vector<std::string> all = {"generate", "-t", "1"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  return run_program(all, setup);
}

std::string model_path(const std::string& name) {
  return std::string(GUMBELSPEC_MODELS_DIR) + "/" + name;
}

TemporaryFile::TemporaryFile(const std::string& content) {
  const char* folder = std::getenv("TMPDIR");
  path_ = std::string(folder != nullptr ? folder : "/tmp") + "/gumbelspec-test-XXXXXX";
  const int descriptor = ::mkstemp(path_.data());
  if (descriptor < 0) throw std::runtime_error("mkstemp failed");
  ::close(descriptor);
  std::ofstream(path_, std::ios::binary) << content;
}

TemporaryFile::~TemporaryFile() { ::unlink(path_.c_str()); }

std::string TemporaryFile::content() const {
  std::ifstream file(path_, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::size_t n_lines(const std::string& text) {
  return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
}

}  // namespace gumbelspec::testing
