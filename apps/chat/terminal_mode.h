// How the terminal treats keys while a program talks with somebody.
//
// Between canonical lines and single keys a terminal loses some: a Ctrl-D typed while an answer is
// written becomes a zero byte, and Ctrl-C throws away what was typed but not read yet. So there is
// one mode for the whole conversation: keys come as they are, without an echo, and nothing is ever
// thrown away. Only what Ctrl-C is differs: while a line is edited it is a key like others, in its
// place among them; while an answer is written it is a signal.
#ifndef GUMBELSPEC_APPS_CHAT_TERMINAL_MODE_H_
#define GUMBELSPEC_APPS_CHAT_TERMINAL_MODE_H_

#include <termios.h>

namespace gumbelspec::chat {

// Puts the terminal back when it goes, and when a signal ends or stops the program.
// Requires: at most one lives at a time. Threads: one.
class TerminalMode {
 public:
  // marks_pastes: the terminal is asked to mark what is pasted.
  TerminalMode(int in, int out, bool marks_pastes);
  ~TerminalMode();
  TerminalMode(const TerminalMode&) = delete;
  TerminalMode& operator=(const TerminalMode&) = delete;

  // Whether Ctrl-C is a signal or a key.
  void set_interrupts(bool are_signals);
  // Whether the program was stopped and went on since the last call; what the screen showed is
  // gone.
  [[nodiscard]] static bool was_continued();
};

}  // namespace gumbelspec::chat

#endif  // GUMBELSPEC_APPS_CHAT_TERMINAL_MODE_H_
