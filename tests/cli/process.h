// Runs the program as a user would: arguments in; both outputs and the exit code out.
#ifndef GUMBELSPEC_TESTS_CLI_PROCESS_H_
#define GUMBELSPEC_TESTS_CLI_PROCESS_H_

#include <sys/types.h>

#include <cstddef>
#include <string>
#include <vector>

namespace gumbelspec::testing {

struct ProcessResult {
  int exit_code = -1;  // as a shell tells it: 128 + signal for a program that a signal ended
  std::string out;
  std::string err;
};

class Process {
 public:
  struct Setup {
    std::string input = {};        // standard input; then it ends
    std::string output_path = {};  // where standard output goes; empty: into ProcessResult::out
    bool keeps_input_open = false;
  };

  // Throws: std::runtime_error if it cannot be started.
  Process(const std::string& program, const std::vector<std::string>& arguments);
  Process(const std::string& program, const std::vector<std::string>& arguments,
          const Setup& setup);
  ~Process();  // kills it if it still runs
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Waits until so many bytes of standard output (standard error) have come, or it has ended.
  // Throws: std::runtime_error after two minutes.
  void wait_for_output(std::size_t n_bytes);
  void wait_for_errors(std::size_t n_bytes);
  // The same until standard error has a text. Returns: what has come there so far.
  // Throws: std::runtime_error also if the program ends before.
  const std::string& wait_for_errors_with(const std::string& text);

  void send(int signal) const;
  // The reader goes away, as `head` does.
  void close_output();

  // Waits for its end. Throws: std::runtime_error after five minutes.
  ProcessResult finish();

 private:
  void read_some(int timeout_ms);
  [[nodiscard]] bool is_open() const { return out_ >= 0 || err_ >= 0; }

  pid_t pid_ = -1;
  int in_ = -1;
  int out_ = -1;
  int err_ = -1;
  ProcessResult result_;
};

// The program gumbelspec.
[[nodiscard]] ProcessResult run_program(const std::vector<std::string>& arguments,
                                        const Process::Setup& setup = {});
// With "generate -t 1" in front: tests run side by side, and threads that wait for each other in
// every layer are slow on a busy machine.
[[nodiscard]] ProcessResult generate(const std::vector<std::string>& arguments,
                                     const Process::Setup& setup = {});

[[nodiscard]] std::string model_path(const std::string& name);

// A file that lives as long as this.
class TemporaryFile {
 public:
  explicit TemporaryFile(const std::string& content);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string content() const;

 private:
  std::string path_;
};

[[nodiscard]] std::size_t n_lines(const std::string& text);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_CLI_PROCESS_H_
