// SIGINT and SIGTERM as a wish to stop.
#ifndef GUMBELSPEC_APPS_CLI_STOP_SIGNALS_H_
#define GUMBELSPEC_APPS_CLI_STOP_SIGNALS_H_

namespace gumbelspec::cli {

// From now on the first SIGINT or SIGTERM is only noted; a second one kills at once.
void install_stop_signals();

// 0, or the signal that came. Threads: any.
[[nodiscard]] int stop_signal();

[[nodiscard]] inline bool stop_requested() { return stop_signal() != 0; }

// Waits until something can be read from the descriptor, it ends or fails, or a signal to stop has
// come, also one that came just before.
void wait_for_input(int descriptor);

// Thrown where work was given up because of the signal.
struct Stopped {};

// What a shell reports for a program that a signal ended: 130 for SIGINT, 143 for SIGTERM.
[[nodiscard]] inline int stopped_exit_code() { return 128 + stop_signal(); }

}  // namespace gumbelspec::cli

#endif  // GUMBELSPEC_APPS_CLI_STOP_SIGNALS_H_
