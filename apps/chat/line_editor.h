// What the user types, line by line: with editing and a history on a terminal, as it comes from a
// pipe.
#ifndef GUMBELSPEC_APPS_CHAT_LINE_EDITOR_H_
#define GUMBELSPEC_APPS_CHAT_LINE_EDITOR_H_

#include <memory>
#include <string>
#include <vector>

namespace gumbelspec::chat {

enum class Input {
  line,
  end,        // of the input
  interrupt,  // Ctrl-C while a line was typed, which is dropped
};

// Editing is libedit's, where the program was built with it: arrows, Emacs keys, search with
// Ctrl-R, and pasted text of several lines as one. Else a terminal's own.
// Threads: one at a time.
class LineEditor {
 public:
  // words: what Tab completes at the beginning of a line.
  explicit LineEditor(std::vector<std::string> words);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // One line, without its end. prompt: shown on a terminal only. A signal to stop that is not
  // SIGINT ends the input. After an interrupt `line` is what was dropped.
  [[nodiscard]] Input read_line(const std::string& prompt, std::string& line);
  // While an answer is written Ctrl-C is a signal (SIGINT); else it is a key of the line.
  void set_answering(bool is_answering);
  // Whether Ctrl-C was typed behind the last line before it became a signal. What else was typed is
  // kept for the next lines.
  [[nodiscard]] bool typed_interrupt();
  // The line can be called back with the arrow up.
  void remember(const std::string& line);

  [[nodiscard]] bool is_terminal() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// A message of one or more lines: a line that ends in \ goes on with the next one, and what stands
// between two lines of """ is one message. Returns: as read_line().
[[nodiscard]] Input read_message(LineEditor& editor, const std::string& prompt, std::string& text);

}  // namespace gumbelspec::chat

#endif  // GUMBELSPEC_APPS_CHAT_LINE_EDITOR_H_
