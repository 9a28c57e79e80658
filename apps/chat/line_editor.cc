#include "apps/chat/line_editor.h"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cwchar>
#include <iostream>
#include <string_view>
#include <utility>

#ifdef GUMBELSPEC_HAS_LIBEDIT
#include <histedit.h>
#endif

#include "apps/common/stop_signals.h"

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

// The terminal marks what is pasted.
void mark_pastes(FILE* out, bool is_on) {
  std::fputs(is_on ? "\x1B[?2004h" : "\x1B[?2004l", out);
  std::fflush(out);
}

}  // namespace

class LineEditor::Impl {
 public:
  explicit Impl(std::vector<std::string> words)
      : words_(std::move(words)), is_terminal_(::isatty(STDIN_FILENO) == 1) {
    if (!is_terminal_) return;
    out_ = ::isatty(STDOUT_FILENO) == 1 ? stdout : stderr;
    // Characters of several bytes; numbers stay as they are.
    const char* locale = std::setlocale(LC_CTYPE, "");
    if (locale == nullptr || MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
    edit_ = el_init("gumbelspec", stdin, out_, stderr);
    if (edit_ == nullptr) return;
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
    el_set(edit_, EL_BIND, "^I", "gs-complete", nullptr);
    el_set(edit_, EL_BIND, "\\e[200~", "gs-paste", nullptr);
    el_set(edit_, EL_BIND, "^R", "em-inc-search-prev", nullptr);
    el_source(edit_, nullptr);  // ~/.editrc
  }
  ~Impl() {
    if (edit_ == nullptr) return;
    history_end(history_);
    el_end(edit_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Input read_line(const std::string& prompt, std::string& line) {
    if (edit_ == nullptr) return plain_.read(line);
    prompt_ = prompt;
    el_resize(edit_);  // the window may be another one by now
    mark_pastes(out_, true);
    int n = 0;
    const char* text = el_gets(edit_, &n);
    mark_pastes(out_, false);
    if (stop_requested()) {
      std::fputs("\n", out_);
      std::fflush(out_);
      el_reset(edit_);
      return stop_signal() == SIGINT ? Input::interrupt : Input::end;
    }
    if (text == nullptr || n <= 0) {
      std::fputs("\n", out_);
      std::fflush(out_);
      return Input::end;
    }
    line.assign(text, static_cast<std::size_t>(n));
    if (!line.empty() && line.back() == '\n') line.pop_back();
    return Input::line;
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
  // libedit's own would read on through a signal.
  static int get_character(EditLine* /*edit*/, wchar_t* character) {
    std::mbstate_t state{};
    for (;;) {
      wait_for_input(STDIN_FILENO);
      if (stop_requested()) return -1;
      char byte = 0;
      const ssize_t n = ::read(STDIN_FILENO, &byte, 1);
      if (n == 0) return 0;
      if (n < 0 && errno != EINTR) return -1;
      if (n < 0) continue;
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
  std::string prompt_;
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
