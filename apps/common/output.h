// Where text goes: standard output, or a file. Every failed write is noticed.
#ifndef GUMBELSPEC_APPS_COMMON_OUTPUT_H_
#define GUMBELSPEC_APPS_COMMON_OUTPUT_H_

#include <stdexcept>
#include <string>
#include <string_view>

namespace gumbelspec::apps {

// One line: what could not be written, why, and the remedy.
class OutputError : public std::runtime_error {
 public:
  OutputError(const std::string& message, bool is_broken_pipe)
      : std::runtime_error(message), is_broken_pipe_(is_broken_pipe) {}
  // The reader has gone (| head): nobody wants to hear about it.
  [[nodiscard]] bool is_broken_pipe() const { return is_broken_pipe_; }

 private:
  bool is_broken_pipe_;
};

// Not buffered: a reader sees the text as it comes, and a full disk is known at once.
class Output {
 public:
  static Output standard();
  // Creates or empties the file. Throws: OutputError.
  static Output file(const std::string& path);
  ~Output();
  Output(Output&& other) noexcept;
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;
  Output& operator=(Output&&) = delete;

  // Throws: OutputError.
  void write(std::string_view text);
  // Some file systems tell only now that a disk is full. Throws: OutputError.
  void close();

 private:
  Output(int descriptor, std::string name);
  [[noreturn]] void fail(int error) const;

  int descriptor_;
  std::string name_;
};

// Progress on standard error: one line that is written over. Silent unless that is a terminal.
class Progress {
 public:
  Progress();
  ~Progress() { clear(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(std::string_view line);
  void clear();

 private:
  bool is_terminal_;
  std::string shown_;
};

// A line on standard error, with the program's name in front.
void say(std::string_view line);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_OUTPUT_H_
