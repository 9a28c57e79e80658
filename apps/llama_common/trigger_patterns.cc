// The few regular expressions that llama.cpp's chat formats have for triggers, as the texts that
// they stand for: our grammars look for texts.
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "apps/llama_common/chat_engine.h"

namespace gumbelspec::llama_common {
namespace {

class Reader {
 public:
  explicit Reader(std::string_view pattern) : pattern_(pattern), rest_(pattern) {}

  std::vector<Trigger> read() {
    std::vector<Text> texts = alternatives();
    if (!rest_.empty()) refuse();
    std::vector<Trigger> out;
    for (Text& text : texts) {
      if (text.trigger.text.empty()) refuse();
      out.push_back(std::move(text.trigger));
    }
    return out;
  }

 private:
  struct Text {
    Trigger trigger = {};
    bool has_group = false;  // the first group's begin is the grammar's
  };

  [[noreturn]] void refuse() const {
    throw std::runtime_error("the template's tools have a trigger that is not read here: " +
                             std::string(pattern_));
  }

  bool eat(std::string_view text) {
    if (rest_.substr(0, text.size()) != text) return false;
    rest_.remove_prefix(text.size());
    return true;
  }

  std::vector<Text> alternatives() {
    std::vector<Text> out = sequence();
    while (eat("|")) {
      for (Text& text : sequence()) out.push_back(std::move(text));
    }
    return out;
  }

  std::vector<Text> sequence() {
    std::vector<Text> out(1);
    while (!rest_.empty() && rest_.front() != '|' && rest_.front() != ')') item(out);
    return out;
  }

  void item(std::vector<Text>& out) {
    if (eat("(?!")) {  // what must not follow shows only later
      while (!rest_.empty() && rest_.front() != ')') rest_.remove_prefix(1);
      close();
    } else if (eat("(?:")) {
      join(out, alternatives(), false);
      close();
    } else if (eat("(")) {
      join(out, alternatives(), true);
      close();
    } else if (eat("^")) {
      for (Text& text : out) {
        if (!text.trigger.text.empty()) refuse();
        text.trigger.at_begin = true;
      }
    } else if (eat("$")) {  // of what there is so far
      if (!rest_.empty() && rest_.front() != '|' && rest_.front() != ')') refuse();
    } else if (eat("\\s+")) {
      append(out, ' ');
    } else {
      character(out);
    }
  }

  void character(std::vector<Text>& out) {
    constexpr std::string_view kSpecial = ".[]{}*+?\\";
    if (eat("\\")) {
      if (rest_.empty() ||
          std::string_view("|.()[]{}^$*+?\\").find(rest_.front()) == std::string_view::npos) {
        refuse();
      }
    } else if (kSpecial.find(rest_.front()) != std::string_view::npos) {
      refuse();
    }
    append(out, rest_.front());
    rest_.remove_prefix(1);
    if (!rest_.empty() && std::string_view("*+?{").find(rest_.front()) != std::string_view::npos) {
      refuse();
    }
  }

  void close() {
    if (!eat(")")) refuse();
  }

  static void append(std::vector<Text>& out, char c) {
    for (Text& text : out) text.trigger.text += c;
  }

  static void join(std::vector<Text>& out, const std::vector<Text>& more, bool is_group) {
    std::vector<Text> joined;
    for (const Text& before : out) {
      for (const Text& after : more) {
        Text text = before;
        if (!text.has_group && (is_group || after.has_group)) {
          text.has_group = true;
          text.trigger.grammar_begins =
              text.trigger.text.size() + (is_group ? 0 : after.trigger.grammar_begins);
        }
        text.trigger.at_begin = text.trigger.at_begin || after.trigger.at_begin;
        text.trigger.text += after.trigger.text;
        joined.push_back(std::move(text));
      }
    }
    out = std::move(joined);
  }

  std::string_view pattern_;
  std::string_view rest_;
};

}  // namespace

std::vector<Trigger> triggers_of_pattern(std::string_view pattern) {
  return Reader(pattern).read();
}

}  // namespace gumbelspec::llama_common
