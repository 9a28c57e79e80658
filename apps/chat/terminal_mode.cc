#include "apps/chat/terminal_mode.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "apps/common/terminal_signals.h"

namespace gumbelspec::chat {
namespace {

// A handler reaches nothing but globals. They are written before it is installed.
struct Before {
  int in = -1;
  int out = -1;
  bool marks_pastes = false;
  termios mode = {};
};
Before g_before;
std::atomic<bool> g_was_continued{false};
static_assert(std::atomic<bool>::is_always_lock_free);

void mark_pastes(bool is_on) {
  if (!g_before.marks_pastes) return;
  const char* text = is_on ? "\x1B[?2004h" : "\x1B[?2004l";
  if (::write(g_before.out, text, std::strlen(text)) < 0) return;  // it is a wish only
}

void set_mode(const termios& mode) {
  // Not behind what is still to be written: a terminal that was stopped (Ctrl-S) would hold us.
  while (::tcsetattr(g_before.in, TCSANOW, &mode) == -1 && errno == EINTR) {
  }
}

extern "C" void restore_terminal() {
  mark_pastes(false);
  set_mode(g_before.mode);
}

// SIGQUIT and SIGHUP end the program, SIGTSTP stops it, as if there were no handler.
extern "C" void give_terminal_back(int number) {
  const int kept = errno;
  termios now = {};
  ::tcgetattr(g_before.in, &now);
  restore_terminal();
  struct sigaction before = {};
  struct sigaction usual = {};
  usual.sa_handler = SIG_DFL;
  sigaction(number, &usual, &before);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  ::raise(number);
  pthread_sigmask(SIG_UNBLOCK, &one, nullptr);  // here it acts
  sigaction(number, &before, nullptr);
  set_mode(now);
  mark_pastes(true);
  g_was_continued.store(true, std::memory_order_relaxed);
  errno = kept;
}

}  // namespace

TerminalMode::TerminalMode(int in, int out, bool marks_pastes) {
  g_before.in = in;
  g_before.out = out;
  g_before.marks_pastes = marks_pastes;
  if (::tcgetattr(in, &g_before.mode) == -1) return;
  apps::restore_at_kill(restore_terminal);
  struct sigaction action = {};
  action.sa_handler = give_terminal_back;
  sigemptyset(&action.sa_mask);
  // Another thread's system calls are not to end early.
  action.sa_flags = SA_RESTART;
  for (const int number : {SIGTSTP, SIGQUIT, SIGHUP}) {
    struct sigaction inherited = {};
    if (sigaction(number, nullptr, &inherited) == 0 && inherited.sa_handler == SIG_IGN) continue;
    sigaction(number, &action, nullptr);
  }
  mark_pastes(true);
}

TerminalMode::~TerminalMode() {
  for (const int number : {SIGTSTP, SIGQUIT, SIGHUP}) {
    struct sigaction action = {};
    if (sigaction(number, nullptr, &action) == 0 && action.sa_handler == give_terminal_back) {
      std::signal(number, SIG_DFL);
    }
  }
  apps::restore_at_kill(nullptr);
  restore_terminal();
}

void TerminalMode::set_interrupts(bool are_signals) {
  termios mode = {};
  if (::tcgetattr(g_before.in, &mode) == -1) return;
  mode.c_cc[VINTR] = are_signals ? g_before.mode.c_cc[VINTR] : static_cast<cc_t>(_POSIX_VDISABLE);
  set_mode(mode);
}

bool TerminalMode::was_continued() {
  return g_was_continued.exchange(false, std::memory_order_relaxed);
}

}  // namespace gumbelspec::chat
