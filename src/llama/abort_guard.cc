#include "src/llama/abort_guard.h"

#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

#include "ggml.h"

namespace gumbelspec::internal {
namespace {

// As for messages (log_capture.cc), there is one callback for the process.
thread_local int n_guards = 0;

ggml_abort_callback_t& outer_callback() {
  static ggml_abort_callback_t outer = nullptr;
  return outer;
}

// "/build/src/llama-vocab.cpp:12: GGML_ASSERT(x) failed" without the folders, on one line.
std::string shown(std::string_view message) {
  const std::size_t colon = message.find(": ");
  const std::size_t slash = message.substr(0, colon).rfind('/');
  std::string text(slash == std::string_view::npos ? message : message.substr(slash + 1));
  for (char& c : text) {
    if (c == '\n' || c == '\r') c = ' ';
  }
  return text;
}

void on_abort(const char* message) {
  if (n_guards > 0) throw AbortError(shown(message));
  if (outer_callback() != nullptr) return outer_callback()(message);
  std::fprintf(stderr, "%s\n", message);  // the process ends, as without us
}

}  // namespace

AbortGuard::AbortGuard() {
  static std::once_flag once;
  std::call_once(once, [] { outer_callback() = ggml_set_abort_callback(on_abort); });
  ++n_guards;
}

AbortGuard::~AbortGuard() { --n_guards; }

}  // namespace gumbelspec::internal
