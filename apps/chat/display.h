// An answer on the screen, or in a pipe.
#ifndef GUMBELSPEC_APPS_CHAT_DISPLAY_H_
#define GUMBELSPEC_APPS_CHAT_DISPLAY_H_

#include <string>
#include <string_view>

#include "apps/common/output.h"

namespace gumbelspec::chat {

struct DisplayOptions {
  bool has_colors = false;
  bool shows_thoughts = true;
  bool shows_drafts = false;  // text of accepted tokens in a color of its own
};

// Writes an answer's parts as they come, and colors where there may be any. Thoughts are dimmed, or
// where there are no colors stand between marks.
class Display {
 public:
  Display(apps::Output& out, const DisplayOptions& options) : out_(out), options_(options) {}

  void show(std::string_view text, bool is_thought, bool was_drafted);
  // The answer is over: colors off, and a line's end.
  void finish();

 private:
  void set_style(std::string_view style);
  void write(std::string_view text);
  void end_thoughts();

  apps::Output& out_;
  DisplayOptions options_;
  std::string style_;
  bool is_in_thoughts_ = false;
  bool is_line_open_ = false;
};

}  // namespace gumbelspec::chat

#endif  // GUMBELSPEC_APPS_CHAT_DISPLAY_H_
