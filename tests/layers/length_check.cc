#include "tests/layers/length_check.h"

#include <algorithm>
#include <cctype>
#include <fstream>
#include <iterator>
#include <stdexcept>
#include <utility>

namespace gumbelspec::testing {
namespace {

namespace fs = std::filesystem;

bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }

// The source with blanks for what is no code; the lines stay where they are.
class Blanked {
 public:
  explicit Blanked(std::string_view source) : text_(source) {
    while (at_ < text_.size()) step();
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  [[nodiscard]] bool is_at(std::string_view word) const {
    return text_.compare(at_, word.size(), word) == 0;
  }
  [[nodiscard]] bool begins_line() const { return at_ == 0 || text_[at_ - 1] == '\n'; }
  [[nodiscard]] bool is_behind_word() const { return at_ > 0 && is_word(text_[at_ - 1]); }

  void step() {
    if (is_at("//")) return blank_to(text_.find('\n', at_));
    if (is_at("/*")) return blank_to(behind("*/", at_ + 2));
    if (text_[at_] == '#' && begins_line()) return blank_to(end_of_directive());
    if (is_at("R\"") && !is_behind_word()) return blank_to(end_of_raw_string());
    // A quote behind a digit separates others.
    if (text_[at_] == '"' || (text_[at_] == '\'' && !is_behind_word())) {
      return blank_to(end_of_quoted());
    }
    ++at_;
  }
  void blank_to(std::size_t end) {
    for (end = std::min(end, text_.size()); at_ < end; ++at_) {
      if (text_[at_] != '\n') text_[at_] = ' ';
    }
  }
  [[nodiscard]] std::size_t behind(const std::string& mark, std::size_t from) const {
    const std::size_t found = text_.find(mark, from);
    return found == std::string::npos ? found : found + mark.size();
  }
  [[nodiscard]] std::size_t end_of_directive() const {
    std::size_t end = text_.find('\n', at_);
    while (end != std::string::npos && text_[end - 1] == '\\') end = text_.find('\n', end + 1);
    return end;
  }
  [[nodiscard]] std::size_t end_of_raw_string() const {
    const std::size_t open = text_.find('(', at_);
    return behind(")" + text_.substr(at_ + 2, open - at_ - 2) + "\"", open);
  }
  [[nodiscard]] std::size_t end_of_quoted() const {
    std::size_t end = at_ + 1;
    while (end < text_.size() && text_[end] != text_[at_]) end += text_[end] == '\\' ? 2 : 1;
    return end + 1;
  }

  std::string text_;
  std::size_t at_ = 0;
};

bool has_word(const std::string& text, const std::string& word) {
  for (std::size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) {
    const bool begins = at == 0 || !is_word(text[at - 1]);
    if (begins && !is_word(text.c_str()[at + word.size()])) return true;
  }
  return false;
}

// What stands before a brace outside of functions. Types and namespaces name themselves before any
// parenthesis; what is assigned is a value.
bool opens_function(const std::string& head) {
  const std::size_t parenthesis = head.find('(');
  if (parenthesis == std::string::npos) return false;
  const std::string before = head.substr(0, parenthesis);
  if (has_word(before, "operator")) return true;
  for (const char* word : {"namespace", "class", "struct", "union", "enum"}) {
    if (has_word(before, word) && before.find('>') == std::string::npos) return false;
  }
  return before.find('=') == std::string::npos;
}

// "Session::start"; of a test "TEST(Walk, Stops)".
std::string name_in(const std::string& head) {
  if (head.rfind("TEST", 0) == 0) return head.substr(0, head.find(')') + 1);
  const std::string before = head.substr(0, head.find('('));
  const std::size_t blank = before.find_last_of(" \n*&");
  return blank == std::string::npos ? before : before.substr(blank + 1);
}

struct Brace {
  bool is_function = false;
  FunctionLength function;
};

std::string text_of(const fs::path& path) {
  std::ifstream file(path);
  if (!file) throw std::runtime_error("cannot read " + path.string());
  return {std::istreambuf_iterator<char>(file), {}};
}

class Lengths {
 public:
  Lengths(const fs::path& root, const LengthRules& rules) : root_(root), rules_(rules) {}

  void check(const fs::path& path) {
    const std::string name = path.lexically_relative(root_).generic_string();
    const std::string text = text_of(path);
    const auto n_lines = static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
    check_lines(name, n_lines, rules_.most_file_lines);
    for (const FunctionLength& f : functions_of(text)) {
      check_lines(name + ": " + f.name, f.n_lines, rules_.most_function_lines);
    }
  }
  [[nodiscard]] std::vector<std::string> found() && { return std::move(found_); }

 private:
  void check_lines(const std::string& name, std::size_t n_lines, std::size_t most) {
    const auto exception = rules_.exceptions.find(name);
    if (exception != rules_.exceptions.end()) most = exception->second;
    if (n_lines <= most) return;
    found_.push_back(name + " has " + std::to_string(n_lines) + " lines, more than " +
                     std::to_string(most));
  }

  const fs::path root_;
  const LengthRules& rules_;
  std::vector<std::string> found_;
};

}  // namespace

std::vector<FunctionLength> functions_of(std::string_view source) {
  std::vector<FunctionLength> functions;
  std::vector<Brace> open;
  std::string head;  // since the last statement
  std::size_t head_line = 1;
  std::size_t line = 1;
  const auto is_inside = [&] {
    return std::any_of(open.begin(), open.end(), [](const Brace& b) { return b.is_function; });
  };
  const Blanked code(source);
  for (const char c : code.text()) {
    if (c == '\n') ++line;
    if (c == '{') {
      Brace brace{!is_inside() && opens_function(head), {}};
      brace.function.name = name_in(head);
      brace.function.line = head_line;
      open.push_back(brace);
    } else if (c == '}' && !open.empty()) {
      if (open.back().is_function) {
        functions.push_back(open.back().function);
        functions.back().n_lines = line - functions.back().line + 1;
      }
      open.pop_back();
    }
    if (c == '{' || c == '}' || c == ';') {
      head.clear();
    } else if (!head.empty() || std::isspace(static_cast<unsigned char>(c)) == 0) {
      if (head.empty()) head_line = line;
      head.push_back(c);
    }
  }
  return functions;
}

std::vector<std::string> too_long(const fs::path& root, const std::vector<std::string>& folders,
                                  const LengthRules& rules) {
  Lengths lengths(root, rules);
  for (const std::string& folder : folders) {
    for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
      const std::string extension = entry.path().extension().string();
      if (extension == ".h" || extension == ".cc" || extension == ".inc") {
        lengths.check(entry.path());
      }
    }
  }
  return std::move(lengths).found();
}

}  // namespace gumbelspec::testing
