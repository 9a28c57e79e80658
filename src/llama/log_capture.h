// llama.cpp reports through one callback per process. This routes its messages to whoever is
// calling llama.cpp on the current thread, and keeps what is needed for an error message.
#ifndef GUMBELSPEC_SRC_LLAMA_LOG_CAPTURE_H_
#define GUMBELSPEC_SRC_LLAMA_LOG_CAPTURE_H_

#include <functional>
#include <string>
#include <string_view>

namespace gumbelspec::internal {

using LogSink = std::function<void(std::string_view line)>;

// Receives llama.cpp's messages on this thread while it lives; scopes nest, the innermost wins.
// Messages outside any scope (or on llama.cpp's own threads) are dropped, so that nothing is
// ever printed.
// Threads: a scope belongs to the thread that made it.
class LogCapture {
 public:
  // Takes llama.cpp's callback over, once per process; needed before anything is captured. Whoever
  // sets another one afterwards has the messages, and our errors lose their cause.
  // Threads: any.
  static void install();

  // sink may be empty. Lifetime: sink must outlive the capture.
  explicit LogCapture(const LogSink& sink);
  ~LogCapture();
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;

  // The last error line so far, without llama.cpp's function names; empty if there was none.
  [[nodiscard]] std::string last_error() const;

  // Called by the process-wide callback.
  void add(std::string_view text, bool is_error, bool is_continued);

 private:
  void flush();

  const LogSink& sink_;
  LogCapture* outer_;
  std::string line_;
  bool line_is_error_ = false;
  std::string last_error_;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_LOG_CAPTURE_H_
