// SIGINT and SIGTERM as a wish to stop.
#ifndef GUMBELSPEC_APPS_COMMON_STOP_SIGNALS_H_
#define GUMBELSPEC_APPS_COMMON_STOP_SIGNALS_H_

#include <signal.h>  // NOLINT(modernize-deprecated-headers): sigset_t is POSIX's

#include <chrono>

namespace gumbelspec::apps {

// From now on the first SIGINT or SIGTERM is only noted; a second one kills at once.
void install_stop_signals();

// 0, or the signal that came. Threads: any.
[[nodiscard]] int stop_signal();

[[nodiscard]] inline bool stop_requested() { return stop_signal() != 0; }

// The signal that came has been dealt with: the next one is a wish again.
void forget_stop_signal();

// Waits until something can be read from the descriptor, it ends or fails, or a signal to stop has
// come, also one that came just before.
void wait_for_input(int descriptor);

// Waits for a signal to stop, but not longer than this. Returns: whether it has come.
bool wait_for_stop(std::chrono::milliseconds longest);

// While this lives, the thread that made it gets no stop signals, nor do threads that it starts:
// they go to those that wait for them.
class StopSignalsBlocked {
 public:
  StopSignalsBlocked();
  ~StopSignalsBlocked();
  StopSignalsBlocked(const StopSignalsBlocked&) = delete;
  StopSignalsBlocked& operator=(const StopSignalsBlocked&) = delete;

 private:
  sigset_t before_;
};

// Thrown where work was given up because of the signal.
struct Stopped {};

// What a shell reports for a program that a signal ended: 130 for SIGINT, 143 for SIGTERM.
[[nodiscard]] inline int stopped_exit_code() { return 128 + stop_signal(); }

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_STOP_SIGNALS_H_
