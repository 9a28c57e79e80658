// Signals to stop (stop_signals.h), for a program that changes its terminal's mode.
#ifndef GUMBELSPEC_APPS_COMMON_TERMINAL_SIGNALS_H_
#define GUMBELSPEC_APPS_COMMON_TERMINAL_SIGNALS_H_

namespace gumbelspec::apps {

// As install_stop_signals(), also where the program that started us has them ignored: a terminal's
// Ctrl-C is meant for us.
void install_stop_signals_on_terminal();

// What is to be done before a second signal kills; nullptr: nothing. It runs in a signal's handler.
void restore_at_kill(void (*restore)());

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_TERMINAL_SIGNALS_H_
