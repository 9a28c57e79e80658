#include "apps/common/output.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <iostream>
#include <system_error>
#include <utility>

#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps {

Output::Output(int descriptor, std::string name)
    : descriptor_(descriptor), name_(std::move(name)) {}

Output::Output(Output&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), name_(std::move(other.name_)) {}

Output::~Output() {
  if (descriptor_ >= 0 && descriptor_ != STDOUT_FILENO) ::close(descriptor_);
}

Output Output::standard() { return {STDOUT_FILENO, "standard output"}; }

Output Output::file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  Output output(descriptor, in_quotes(path));
  if (descriptor < 0) output.fail(errno);
  return output;
}

void Output::fail(int error) const {
  const char* remedy = error == ENOSPC || error == EDQUOT ? "free some space or write elsewhere"
                                                          : "check the path and its permissions";
  throw OutputError(
      name_ + " cannot be written: " + std::generic_category().message(error) + "; " + remedy,
      error == EPIPE);
}

void Output::write(std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(descriptor_, text.data(), text.size());
    if (n >= 0) {
      text.remove_prefix(static_cast<std::size_t>(n));
    } else if (errno != EINTR) {
      fail(errno);
    }
  }
}

void Output::close() {
  const int descriptor = std::exchange(descriptor_, -1);
  // Interrupted or not, the descriptor is closed afterwards (Linux).
  if (descriptor >= 0 && ::close(descriptor) != 0 && errno != EINTR) fail(errno);
}

Progress::Progress() : is_terminal_(::isatty(STDERR_FILENO) == 1) {}

void Progress::show(std::string_view line) {
  if (!is_terminal_) return;
  winsize size{};
  const bool knows_width = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
  // A line that wraps could not be written over.
  const std::size_t width = knows_width ? size.ws_col - 1U : 79U;
  std::string text(line.substr(0, std::min(width, line.size())));
  if (text == shown_) return;
  std::cerr << "\r\x1B[K" << text << std::flush;
  shown_ = std::move(text);
}

void Progress::clear() {
  if (shown_.empty()) return;
  std::cerr << "\r\x1B[K" << std::flush;
  shown_.clear();
}

void say(std::string_view line) { std::cerr << "gumbelspec: " << line << std::endl; }

}  // namespace gumbelspec::apps
