// Other programs that the benchmark runs.
#ifndef GUMBELSPEC_APPS_BENCH_CHILD_PROCESS_H_
#define GUMBELSPEC_APPS_BENCH_CHILD_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace gumbelspec::apps::bench {

struct ChildResult {
  int exit_code = -1;  // 128 + signal for a program that a signal ended; 127: it cannot be started
  std::string output;  // standard output and error
};

// Runs a program, found on PATH if it has no slash, to its end; it reads `input`.
[[nodiscard]] ChildResult run_child(const std::vector<std::string>& arguments,
                                    const std::string& input = {});

// A program in the background, without output; ended with the object.
class BackgroundChild {
 public:
  explicit BackgroundChild(const std::vector<std::string>& arguments);
  ~BackgroundChild();
  BackgroundChild(const BackgroundChild&) = delete;
  BackgroundChild& operator=(const BackgroundChild&) = delete;

  [[nodiscard]] bool is_running();

 private:
  pid_t pid_ = -1;
};

// A TCP port of 127.0.0.1 that nobody listens on now.
[[nodiscard]] int free_port();

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_CHILD_PROCESS_H_
