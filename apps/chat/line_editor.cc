#include "apps/chat/line_editor.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cwchar>
#include <iostream>
#include <optional>
#include <string_view>
#include <utility>

#ifdef GUMBELSPEC_HAS_LIBEDIT
#include <histedit.h>
#endif

#include "apps/chat/terminal_mode.h"
#include "apps/common/stop_signals.h"
#include "apps/common/terminal_signals.h"

namespace gumbelspec::chat {
namespace {

using apps::stop_requested;
using apps::stop_signal;
using apps::wait_for_input;

constexpr std::string_view kBlock = "\"\"\"";

// Lines of a descriptor, without the buffers of C and C++, which would wait through a signal.
class PlainLines {
 public:
  Input read(std::string& line) {
    for (;;) {
      if (const std::size_t end = held_.find('\n'); end != std::string::npos) {
        line = held_.substr(0, end);
        held_.erase(0, end + 1);
        return Input::line;
      }
      if (is_over_) {
        if (held_.empty()) return Input::end;
        line = std::exchange(held_, {});
        return Input::line;
      }
      if (const Input input = read_more(); input != Input::line) return input;
    }
  }

 private:
  Input read_more() {
    wait_for_input(STDIN_FILENO);
    if (stop_requested()) return stop_signal() == SIGINT ? Input::interrupt : Input::end;
    std::array<char, 4096> bytes{};
    const ssize_t n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
    if (n > 0) held_.append(bytes.data(), static_cast<std::size_t>(n));
    if (n == 0 || (n < 0 && errno != EINTR)) is_over_ = true;
    return Input::line;
  }
  std::string held_;
  bool is_over_ = false;
};

}  // namespace

#ifdef GUMBELSPEC_HAS_LIBEDIT

namespace {

constexpr std::wstring_view kPasteEnd = L"\x1B[201~";
constexpr char kCtrlC = '\x03';

}  // namespace

class LineEditor::Impl {
 public:
  explicit Impl(std::vector<std::string> words)
      : words_(std::move(words)), is_terminal_(::isatty(STDIN_FILENO) == 1) {
    if (!is_terminal_) return;
    out_ = ::isatty(STDOUT_FILENO) == 1 ? stdout : stderr;
    if (::isatty(::fileno(out_)) != 1) return;
    // Characters of several bytes; numbers stay as they are.
    const char* locale = std::setlocale(LC_CTYPE, "");
    if (locale == nullptr || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
    mode_.emplace(STDIN_FILENO, ::fileno(out_), /*marks_pastes=*/true);
    edit_ = el_init("gumbelspec", stdin, out_, stderr);
    if (edit_ == nullptr) {
      mode_.reset();
      return;
    }
    apps::install_stop_signals_on_terminal();
    history_ = history_init();
    HistEvent event;
    history(history_, &event, H_SETSIZE, 1000);
    history(history_, &event, H_SETUNIQUE, 1);
    el_set(edit_, EL_CLIENTDATA, this);
    el_set(edit_, EL_PROMPT, &Impl::show_prompt);
    el_set(edit_, EL_EDITOR, "emacs");
    el_set(edit_, EL_GETCFN, &Impl::get_character);
    el_set(edit_, EL_HIST, history, history_);
    el_set(edit_, EL_ADDFN, "gs-complete", "Complete a command", &Impl::complete);
    el_set(edit_, EL_ADDFN, "gs-paste", "Take pasted text as one", &Impl::paste);
    el_set(edit_, EL_ADDFN, "gs-interrupt", "Drop the line", &Impl::interrupt);
    el_set(edit_, EL_BIND, "^I", "gs-complete", nullptr);
    el_set(edit_, EL_BIND, "\\e[200~", "gs-paste", nullptr);
    el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(edit_, nullptr);  // ~/.editrc
    el_set(edit_, EL_BIND, "^C", "gs-interrupt", nullptr);
    // TerminalMode says why: libedit's own would go back to whole lines while an answer is written.
    el_set(edit_, EL_SETTY, "-d", "+noflsh", "intr=", nullptr);
    el_set(edit_, EL_SETTY, "-x", "-icanon", "-echo", "-iexten", "+inlcr", "+icrnl", "-igncr",
           "+noflsh", "intr=", nullptr);
  }
  ~Impl() {
    if (edit_ == nullptr) return;
    history_end(history_);
    // Else it would throw away what is typed for whoever comes next.
    el_set(edit_, EL_EDITMODE, 0);
    el_end(edit_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Input read_line(const std::string& prompt, std::string& line) {
    if (edit_ == nullptr) return plain_.read(line);
    prompt_ = prompt;
    dropped_.clear();
    is_interrupted_ = false;
    el_resize(edit_);  // the window may be another one by now
    int n = 0;
    const char* text = el_gets(edit_, &n);
    if (text == nullptr || n <= 0) {
      // A signal, Ctrl-C or Ctrl-D.
      std::fputs(is_interrupted_ ? "^C\n" : "\n", out_);
      std::fflush(out_);
      el_reset(edit_);
      line = dropped_;
      return is_interrupted_ ? Input::interrupt : stopped();
    }
    // A signal that came behind the line is for its answer.
    line.assign(text, static_cast<std::size_t>(n));
    if (!line.empty() && line.back() == '\n') line.pop_back();
    return Input::line;
  }

  void set_answering(bool is_answering) {
    if (edit_ != nullptr) mode_->set_interrupts(is_answering);
  }

  bool typed_interrupt() {
    if (edit_ == nullptr) return false;
    std::array<char, 256> bytes{};
    pollfd input{STDIN_FILENO, POLLIN, 0};
    while (::poll(&input, 1, 0) > 0) {
      const ssize_t n = ::read(STDIN_FILENO, bytes.data(), bytes.size());
      if (n <= 0) break;
      typed_ahead_.append(bytes.data(), static_cast<std::size_t>(n));
    }
    const std::size_t at = typed_ahead_.find(kCtrlC);
    if (at == std::string::npos) return false;
    typed_ahead_.erase(at, 1);
    return true;
  }

  void remember(const std::string& line) {
    if (history_ == nullptr || line.empty()) return;
    HistEvent event;
    history(history_, &event, H_ENTER, line.c_str());
  }

  [[nodiscard]] bool is_terminal() const { return is_terminal_; }

 private:
  static Impl& of(EditLine* edit) {
    void* data = nullptr;
    el_get(edit, EL_CLIENTDATA, &data);
    return *static_cast<Impl*>(data);
  }
  static Input stopped() { return stop_signal() == SIGINT ? Input::interrupt : Input::end; }

  // Returns: 1, or 0 at the end of the input, or -1 where it fails or somebody wants to stop.
  int next_byte(char& byte) {
    for (;;) {
      if (stop_requested()) return -1;
      if (!typed_ahead_.empty()) {
        byte = typed_ahead_.front();
        typed_ahead_.erase(0, 1);
        return 1;
      }
      wait_for_input(STDIN_FILENO);
      if (TerminalMode::was_continued()) el_set(edit_, EL_REFRESH);
      pollfd input{STDIN_FILENO, POLLIN, 0};
      if (stop_requested() || ::poll(&input, 1, 0) == 0) continue;
      const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
      if (n >= 0) return static_cast<int>(n);
      if (errno != EINTR) return -1;
    }
  }

  // libedit's own would read on through a signal.
  static int get_character(EditLine* edit, wchar_t* character) {
    Impl& self = of(edit);
    std::mbstate_t state{};
    for (;;) {
      char byte = 0;
      const int n = self.next_byte(byte);
      if (n != 1) self.note_dropped();
      if (n != 1) return n;
      const std::size_t n_used = std::mbrtowc(character, &byte, 1, &state);
      if (n_used == static_cast<std::size_t>(-2)) continue;  // a part of a character
      if (n_used == static_cast<std::size_t>(-1)) *character = L'\xFFFD';
      return 1;
    }
  }
  static char* show_prompt(EditLine* edit) { return of(edit).prompt_.data(); }

  // The rest that all words with this beginning have in common.
  static unsigned char complete(EditLine* edit, int /*key*/) {
    const LineInfo* info = el_line(edit);
    const std::string begun(info->buffer, info->cursor);
    std::string common;
    bool is_found = false;
    for (const std::string& word : of(edit).words_) {
      if (begun.empty() || word.compare(0, begun.size(), begun) != 0) continue;
      if (!is_found) common = word;
      is_found = true;
      std::size_t n = 0;
      while (n < common.size() && n < word.size() && common[n] == word[n]) ++n;
      common.resize(n);
    }
    if (!is_found || common.size() == begun.size()) return CC_REFRESH_BEEP;
    return el_insertstr(edit, common.c_str() + begun.size()) == -1 ? CC_ERROR : CC_REFRESH;
  }

  void note_dropped() {
    const LineInfo* info = el_line(edit_);
    dropped_.assign(info->buffer, info->lastchar);
  }

  static unsigned char interrupt(EditLine* edit, int /*key*/) {
    of(edit).is_interrupted_ = true;
    of(edit).note_dropped();
    return CC_EOF;
  }

  static unsigned char paste(EditLine* edit, int /*key*/) {
    std::wstring text;
    wchar_t character = 0;
    while (el_wgetc(edit, &character) == 1) {
      text += character == L'\r' ? L'\n' : character;
      const std::size_t n = kPasteEnd.size();
      if (text.size() < n || text.compare(text.size() - n, n, kPasteEnd) != 0) continue;
      text.resize(text.size() - n);
      break;
    }
    return el_winsertstr(edit, text.c_str()) == -1 ? CC_ERROR : CC_REFRESH;
  }

  std::vector<std::string> words_;
  bool is_terminal_;
  FILE* out_ = stdout;
  EditLine* edit_ = nullptr;
  History* history_ = nullptr;
  std::optional<TerminalMode> mode_;  // outlives edit_
  std::string prompt_;
  std::string dropped_;      // of a line that was given up
  std::string typed_ahead_;  // bytes that were read while an answer was written
  bool is_interrupted_ = false;
  PlainLines plain_;
};

#else

class LineEditor::Impl {
 public:
  explicit Impl(const std::vector<std::string>& /*words*/)
      : is_terminal_(::isatty(STDIN_FILENO) == 1) {}

  Input read_line(const std::string& prompt, std::string& line) {
    if (is_terminal_) std::cerr << prompt << std::flush;
    return plain_.read(line);
  }
  static void set_answering(bool /*is_answering*/) {}
  [[nodiscard]] static bool typed_interrupt() { return false; }
  void remember(const std::string& /*line*/) {}
  [[nodiscard]] bool is_terminal() const { return is_terminal_; }

 private:
  bool is_terminal_;
  PlainLines plain_;
};

#endif

LineEditor::LineEditor(std::vector<std::string> words)
    : impl_(std::make_unique<Impl>(std::move(words))) {}
LineEditor::~LineEditor() = default;

Input LineEditor::read_line(const std::string& prompt, std::string& line) {
  return impl_->read_line(prompt, line);
}
void LineEditor::set_answering(bool is_answering) { impl_->set_answering(is_answering); }
bool LineEditor::typed_interrupt() { return impl_->typed_interrupt(); }
void LineEditor::remember(const std::string& line) { impl_->remember(line); }
bool LineEditor::is_terminal() const { return impl_->is_terminal(); }

namespace {

Input read_block(LineEditor& editor, std::string& text) {
  std::string line;
  for (;;) {
    const Input input = editor.read_line(". ", line);
    if (input != Input::line) return input == Input::end && !text.empty() ? Input::line : input;
    const std::size_t end = line.find(kBlock);
    if (!text.empty()) text += '\n';
    text += line.substr(0, end);
    if (end == std::string::npos) continue;
    // A closing mark on a line of its own leaves no empty line behind.
    if (end == 0 && !text.empty()) text.pop_back();
    return Input::line;
  }
}

}  // namespace

Input read_message(LineEditor& editor, const std::string& prompt, std::string& text) {
  text.clear();
  std::string line;
  Input input = editor.read_line(prompt, line);
  if (input == Input::interrupt) text = line;
  if (input != Input::line) return input;
  if (line.compare(0, kBlock.size(), kBlock) == 0) {
    const std::string rest = line.substr(kBlock.size());
    if (const std::size_t end = rest.find(kBlock); end != std::string::npos) {
      text = rest.substr(0, end);
    } else {
      text = rest;
      input = read_block(editor, text);
    }
  } else {
    for (text = line; !text.empty() && text.back() == '\\';) {
      text.back() = '\n';
      input = editor.read_line(". ", line);
      if (input == Input::interrupt) return input;
      if (input == Input::end) break;
      text += line;
    }
    if (input == Input::end) {
      text.pop_back();
      input = Input::line;
    }
  }
  if (input == Input::line) editor.remember(text);
  return input;
}

}  // namespace gumbelspec::chat
