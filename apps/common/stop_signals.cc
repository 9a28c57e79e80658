#include "apps/common/stop_signals.h"

#include <poll.h>

#include <array>
#include <atomic>
#include <csignal>

#include "apps/common/terminal_signals.h"

namespace gumbelspec::apps {
namespace {

// A handler can reach nothing but a global; lock-free, so it may be written there.
std::atomic<int> g_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);

std::atomic<void (*)()> g_restore{nullptr};
static_assert(std::atomic<void (*)()>::is_always_lock_free);
// Whether they are ours even where they were ignored.
std::atomic<bool> g_is_forced{false};

constexpr std::array<int, 2> kSignals = {SIGINT, SIGTERM};

extern "C" void restore_and_die(int number) {
  if (void (*restore)() = g_restore.load(std::memory_order_relaxed)) restore();
  std::signal(number, SIG_DFL);
  std::raise(number);  // acts when this returns
}

extern "C" void note_signal(int number) {
  g_signal.store(number, std::memory_order_relaxed);
  for (const int handled : kSignals) std::signal(handled, restore_and_die);
}

sigset_t stop_set() {
  sigset_t stops;
  sigemptyset(&stops);
  for (const int handled : kSignals) sigaddset(&stops, handled);
  return stops;
}

// poll() leaves a negative descriptor alone.
void wait(int descriptor, const timespec* longest) {
  const sigset_t stops = stop_set();
  sigset_t before;
  // Blocked until ppoll waits: a signal between the question and the wait would be slept through.
  pthread_sigmask(SIG_BLOCK, &stops, &before);
  if (!stop_requested()) {
    pollfd input{descriptor, POLLIN, 0};
    ppoll(&input, 1, longest, &before);
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

}  // namespace

void forget_stop_signal() {
  if (!stop_requested()) return;
  g_signal.store(0, std::memory_order_relaxed);
  install_stop_signals();
}

void restore_at_kill(void (*restore)()) { g_restore.store(restore, std::memory_order_relaxed); }

void install_stop_signals_on_terminal() {
  g_is_forced.store(true, std::memory_order_relaxed);
  install_stop_signals();
}

void install_stop_signals() {
  struct sigaction action {};
  action.sa_handler = note_signal;
  sigemptyset(&action.sa_mask);
  // No SA_RESTART: a read that waits for input has to give up.
  for (const int handled : kSignals) {
    struct sigaction inherited {};
    // A shell's background job ignores SIGINT, and is to go on doing so.
    const bool is_ignored =
        sigaction(handled, nullptr, &inherited) == 0 && inherited.sa_handler == SIG_IGN;
    if (is_ignored && !g_is_forced.load(std::memory_order_relaxed)) continue;
    sigaction(handled, &action, nullptr);
  }
}

StopSignalsBlocked::StopSignalsBlocked() {
  const sigset_t stops = stop_set();
  pthread_sigmask(SIG_BLOCK, &stops, &before_);
}

StopSignalsBlocked::~StopSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

void wait_for_input(int descriptor) { wait(descriptor, nullptr); }

bool wait_for_stop(std::chrono::milliseconds longest) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(longest);
  const std::chrono::nanoseconds rest = longest - seconds;
  const timespec time{seconds.count(), rest.count()};
  wait(-1, &time);
  return stop_requested();
}

int stop_signal() { return g_signal.load(std::memory_order_relaxed); }

}  // namespace gumbelspec::apps
