#include "tests/chat/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <stdexcept>

namespace gumbelspec::testing {
namespace {

constexpr int kPatience_ms = 180'000;

}  // namespace

Terminal::Terminal(const std::string& program, const std::vector<std::string>& arguments) {
  winsize size{};
  size.ws_row = 40;
  size.ws_col = 120;
  pid_ = ::forkpty(&terminal_, nullptr, nullptr, &size);
  if (pid_ < 0) throw std::runtime_error("no terminal could be made");
  if (pid_ > 0) return;
  ::setenv("TERM", "xterm", 1);
  ::setenv("LC_ALL", "C.UTF-8", 1);
  ::unsetenv("NO_COLOR");
  // As a shell starts it; who runs the tests in the background has SIGINT ignored.
  for (const int signal : {SIGINT, SIGQUIT, SIGHUP}) std::signal(signal, SIG_DFL);
  std::vector<char*> list;
  std::string name = program;
  std::vector<std::string> copies = arguments;
  list.push_back(name.data());
  for (std::string& copy : copies) list.push_back(copy.data());
  list.push_back(nullptr);
  ::execv(program.c_str(), list.data());
  ::_exit(127);
}

Terminal::~Terminal() {
  if (terminal_ >= 0) ::close(terminal_);
  if (pid_ > 0) {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
}

void Terminal::type(const std::string& keys) const {
  if (::write(terminal_, keys.data(), keys.size()) != static_cast<ssize_t>(keys.size())) {
    throw std::runtime_error("the terminal takes no keys");
  }
}

void Terminal::send(int signal) const { ::kill(pid_, signal); }

bool Terminal::read_some() {
  pollfd input{terminal_, POLLIN, 0};
  if (::poll(&input, 1, kPatience_ms) <= 0) throw std::runtime_error("nothing is shown: " + shown_);
  std::array<char, 4096> bytes{};
  const ssize_t n = ::read(terminal_, bytes.data(), bytes.size());
  if (n <= 0) return false;  // EIO: the program has ended
  shown_.append(bytes.data(), static_cast<std::size_t>(n));
  return true;
}

std::string Terminal::wait_for(const std::string& text) {
  for (;;) {
    if (const std::size_t at = shown_.find(text); at != std::string::npos) {
      const std::string seen = shown_.substr(0, at + text.size());
      shown_.erase(0, seen.size());
      return seen;
    }
    if (!read_some()) throw std::runtime_error("ended without \"" + text + "\": " + shown_);
  }
}

std::string Terminal::mode() const {
  termios mode = {};
  if (::tcgetattr(terminal_, &mode) != 0) throw std::runtime_error("the terminal has no mode");
  std::string text;
  for (const tcflag_t flags : {mode.c_iflag, mode.c_oflag, mode.c_cflag, mode.c_lflag}) {
    text += std::to_string(flags) + " ";
  }
  for (const cc_t key : mode.c_cc) text += std::to_string(key) + " ";
  return text;
}

void Terminal::drain() {
  while (read_some()) {
  }
}

int Terminal::finish() {
  drain();
  int status = 0;
  ::waitpid(pid_, &status, 0);
  pid_ = -1;
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace gumbelspec::testing
