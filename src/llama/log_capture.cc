#include "src/llama/log_capture.h"

#include <mutex>

#include "llama.h"

namespace gumbelspec::internal {
namespace {

// The C API has one callback for the process and no handle to tell callers apart; the thread is
// the only thing that does.
thread_local LogCapture* current_capture = nullptr;

void on_message(ggml_log_level level, const char* text, void* /*user_data*/) {
  if (current_capture == nullptr || text == nullptr) return;
  current_capture->add(text, level == GGML_LOG_LEVEL_ERROR, level == GGML_LOG_LEVEL_CONT);
}

// "llama_model_load: error loading model: x" -> "x": the names mean nothing to a user.
std::string_view without_prefix(std::string_view line) {
  static constexpr std::string_view kCauses[] = {"error loading model: ",
                                                 "failed to initialize the context: "};
  for (const std::string_view cause : kCauses) {
    if (const auto at = line.find(cause); at != std::string_view::npos) {
      return line.substr(at + cause.size());
    }
  }
  const auto colon = line.find(": ");
  const bool is_function =
      colon != std::string_view::npos && line.substr(0, colon).find(' ') == std::string_view::npos;
  return is_function ? line.substr(colon + 2) : line;
}

}  // namespace

void LogCapture::install() {
  static std::once_flag once;
  std::call_once(once, [] { llama_log_set(on_message, nullptr); });
}

LogCapture::LogCapture(const LogSink& sink) : sink_(sink), outer_(current_capture) {
  current_capture = this;
}

LogCapture::~LogCapture() {
  try {
    flush();
  } catch (...) {
    // A log sink that throws must not end the process from a destructor.
  }
  current_capture = outer_;
}

void LogCapture::add(std::string_view text, bool is_error, bool is_continued) {
  if (!is_continued) {
    flush();
    line_is_error_ = is_error;
  }
  line_ += text;
  if (!line_.empty() && line_.back() == '\n') flush();
}

void LogCapture::flush() {
  while (!line_.empty() && (line_.back() == '\n' || line_.back() == '\r')) line_.pop_back();
  if (line_.empty()) return;
  const std::string_view cause = without_prefix(line_);
  // llama.cpp follows the cause by lines that only say that something failed.
  const bool is_echo = cause.find("failed to load model") != std::string_view::npos;
  if (line_is_error_ && !(is_echo && !last_error_.empty())) last_error_ = cause;
  std::string line;
  line.swap(line_);
  if (sink_) sink_(line);
}

std::string LogCapture::last_error() const { return last_error_; }

}  // namespace gumbelspec::internal
