#include "apps/chat/display.h"

namespace gumbelspec::chat {
namespace {

constexpr std::string_view kOff = "\x1B[0m";
constexpr std::string_view kThought = "\x1B[2m";
constexpr std::string_view kDrafted = "\x1B[32m";
constexpr std::string_view kDraftedThought = "\x1B[2;32m";

}  // namespace

void Display::write(std::string_view text) {
  if (text.empty()) return;
  out_.write(text);
  is_line_open_ = text.back() != '\n';
}

void Display::set_style(std::string_view style) {
  if (!options_.has_colors || style == style_) return;
  if (!style_.empty()) out_.write(kOff);
  if (!style.empty()) out_.write(style);
  style_ = style;
}

void Display::end_thoughts() {
  if (!is_in_thoughts_) return;
  is_in_thoughts_ = false;
  set_style({});
  if (is_line_open_) write("\n");
  write(options_.has_colors ? "\n" : "[/thinking]\n");
}

void Display::show(std::string_view text, bool is_thought, bool was_drafted) {
  if (text.empty() || (is_thought && !options_.shows_thoughts)) return;
  if (is_thought && !is_in_thoughts_) {
    is_in_thoughts_ = true;
    if (!options_.has_colors) write("[thinking]\n");
  }
  if (!is_thought) end_thoughts();
  const bool is_marked = options_.shows_drafts && was_drafted;
  set_style(is_marked    ? (is_thought ? kDraftedThought : kDrafted)
            : is_thought ? kThought
                         : std::string_view());
  write(text);
}

void Display::finish() {
  end_thoughts();
  set_style({});
  if (is_line_open_) write("\n");
}

}  // namespace gumbelspec::chat
