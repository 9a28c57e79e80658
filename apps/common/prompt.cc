#include "apps/common/prompt.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <system_error>

#include "apps/common/arguments.h"
#include "apps/common/stop_signals.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps {
namespace {

// A prompt of more bytes fits no context; stops what never ends (/dev/zero).
constexpr std::size_t kMaxBytes = std::size_t{64} << 20U;

class InputFile {
 public:
  explicit InputFile(const std::string& path)
      : name_(path == "-" ? "standard input" : "file " + in_quotes(path)),
        descriptor_(path == "-" ? STDIN_FILENO : ::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    if (descriptor_ < 0) fail(errno);
  }
  ~InputFile() {
    if (descriptor_ > STDIN_FILENO) ::close(descriptor_);
  }
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  std::string read_all() {
    std::string out;
    std::array<char, 65536> buffer{};
    while (true) {
      wait_for_input(descriptor_);
      if (stop_requested()) throw Stopped();
      const ssize_t n = ::read(descriptor_, buffer.data(), buffer.size());
      if (n == 0) return out;
      if (n < 0 && errno != EINTR) fail(errno);
      if (n > 0) out.append(buffer.data(), static_cast<std::size_t>(n));
      if (out.size() > kMaxBytes) {
        throw Error(ErrorCode::invalid_prompt, name_ + " has more than " +
                                                   std::to_string(kMaxBytes >> 20U) +
                                                   " MiB; give a shorter one");
      }
    }
  }

 private:
  [[noreturn]] void fail(int error) const {
    throw Error(ErrorCode::file_not_found,
                name_ + " cannot be read: " + std::generic_category().message(error) +
                    "; check the path and its permissions");
  }

  std::string name_;
  int descriptor_;
};

// A mark of the order of bytes, which UTF-8 does not need, and the final line break of a text file.
void strip_what_editors_add(std::string& text) {
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (text.compare(0, kMark.size(), kMark) == 0) text.erase(0, kMark.size());
  if (text.empty() || text.back() != '\n') return;
  text.pop_back();
  if (!text.empty() && text.back() == '\r') text.pop_back();
}

}  // namespace

std::string read_file(const std::string& path) { return InputFile(path).read_all(); }

std::string read_prompt(const std::optional<std::string>& text,
                        const std::optional<std::string>& path) {
  if (text && path) throw bad_option("both --prompt and --file are given; give one of them");
  if (!text && !path) throw bad_option("there is no prompt; give one with -p TEXT or -f FILE");
  std::string prompt = text ? *text : read_file(*path);
  if (path) strip_what_editors_add(prompt);
  if (prompt.empty()) {
    throw Error(ErrorCode::invalid_prompt,
                "the prompt is empty, but must have at least 1 token; give some text");
  }
  if (const auto at = first_invalid_utf8(prompt)) {
    throw Error(ErrorCode::invalid_prompt,
                "the prompt is not UTF-8: byte " + in_quotes(prompt.substr(*at, 1)) +
                    " at offset " + std::to_string(*at) + "; convert it, e.g. with iconv -t UTF-8");
  }
  return prompt;
}

}  // namespace gumbelspec::apps
