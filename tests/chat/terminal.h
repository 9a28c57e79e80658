// A program on a terminal of its own (a pty), as a user in front of it.
#ifndef GUMBELSPEC_TESTS_CHAT_TERMINAL_H_
#define GUMBELSPEC_TESTS_CHAT_TERMINAL_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace gumbelspec::testing {

class Terminal {
 public:
  // Throws: std::runtime_error.
  Terminal(const std::string& program, const std::vector<std::string>& arguments);
  ~Terminal();  // kills it if it still runs
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  void type(const std::string& keys) const;
  void send(int signal) const;
  // Waits until this has been shown since the last wait; what came up to its end is returned.
  // Throws: std::runtime_error if the program ends before, or after three minutes.
  std::string wait_for(const std::string& text);
  // How the terminal treats keys, as a text to compare.
  [[nodiscard]] std::string mode() const;
  // Reads until the program has ended. Throws: as finish().
  void drain();
  // Its exit code, as a shell tells it. Throws: std::runtime_error after three minutes.
  int finish();

 private:
  bool read_some();
  pid_t pid_ = -1;
  int terminal_ = -1;
  std::string shown_;  // since the last wait
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_CHAT_TERMINAL_H_
