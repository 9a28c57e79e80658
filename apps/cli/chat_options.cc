#include "apps/cli/chat_options.h"

#include <limits>

#include "apps/common/method_option.h"
#include "apps/common/sampling_options.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps::cli {
namespace {

void add_screen_options(Arguments& arguments, ChatOptions& options) {
  arguments.add_optional_value(
      "--color", "WHEN",
      "Colors: on, off, or auto: on a terminal (default: auto; without WHEN: on)",
      [&options](const std::string& text) {
        if (text == "auto") {
          options.has_colors.reset();
        } else if (text == "on" || text.empty() || text == "off") {
          options.has_colors = text != "off";
        } else {
          throw bad_option("--color is " + in_quotes(text) + "; give on, off or auto");
        }
      });
  arguments.add_flag("--show-drafts", options.display.shows_drafts,
                     "Text that was accepted from the draft in a color of its own");
  arguments.add_option(
      "--reasoning", "WHEN",
      "Whether the model is to think first, where its template can say so: on, off or auto "
      "(default: auto)",
      [&options](const std::string& text) {
        if (text != "on" && text != "off" && text != "auto") {
          throw bad_option("--reasoning is " + in_quotes(text) + "; give on, off or auto");
        }
        options.thinks.reset();
        if (text != "auto") options.thinks = text == "on";
      });
  arguments.add_option("--reasoning-format", "NAME",
                       "auto or deepseek: thoughts are told from the answer, and shown dimmed; "
                       "none: they are a part "
                       "of it (default: auto)",
                       [&options](const std::string& text) {
                         if (text != "auto" && text != "deepseek" && text != "none") {
                           throw bad_option("--reasoning-format is " + in_quotes(text) +
                                            "; give auto, deepseek or none");
                         }
                         options.splits_thoughts = text != "none";
                       });
  add_integer(
      arguments, "--reasoning-budget", -1, std::numeric_limits<std::int32_t>::max(),
      [&options](std::int64_t n) { options.reasoning_budget = n; },
      "Tokens that the thoughts may have before they are closed; -1: any number (default: -1)");
  arguments.add_flag(
      "--hide-reasoning", [&options] { options.display.shows_thoughts = false; },
      "Thoughts are not shown");
}

void add_message_options(Arguments& arguments, ChatOptions& options) {
  add_text(arguments, "--system-prompt", "TEXT", options.system,
           "What the model is told before anything else");
  add_text(arguments, "--system-prompt-file", "FILE", options.system_file, "The same from a file");
  add_text(arguments, "-p,--prompt", "TEXT", options.prompt, "The first message");
  add_text(arguments, "-f,--file", "FILE", options.prompt_file, "A file with the first message");
  arguments.add_flag("-e,--escape", options.has_escapes,
                     "\\n, \\t, \\\\ and so on in -p and -sys stand for what they mean");
  arguments.add_flag("--single-turn", options.is_single_turn, "End after the first answer");
  add_integer(
      arguments, "-n,--predict,--n-predict", -1, std::numeric_limits<std::int32_t>::max(),
      [&options](std::int64_t n) { options.n_predict = n; },
      "Tokens of an answer at most; -1: as many as the context has room for (default: -1)");
  arguments.add_flag("--ignore-eos", options.ignores_end, "Go on after the model's end of text");
  arguments.add_list(
      "-r,--reverse-prompt", "TEXT", "An answer ends before this text; may be given several times",
      [&options](const std::vector<std::string>& texts) {
        for (const std::string& text : texts) {
          if (text.empty()) {
            throw bad_option("--reverse-prompt is empty; give a text or leave it out");
          }
        }
        options.stops = texts;
      });
  add_text(arguments, "--chat-template", "JINJA", options.chat_template,
           "Jinja instead of the model's chat template");
  add_text(arguments, "--chat-template-file", "FILE", options.chat_template_file,
           "The same from a file");
}

}  // namespace

void add_chat_options(Arguments& arguments, ChatOptions& options) {
  add_model_options(arguments, options.models);
  add_sampling_options(arguments, options.sampling);
  add_structure_options(arguments, options.structure);
  add_message_options(arguments, options);
  add_seed_option(arguments, options.seed);
  add_method_option(arguments, options.method);
  add_planner_options(arguments, options.planner);
  // Users of llama.cpp's programs give it.
  arguments
      .add_flag(
          "--jinja", [] {}, "Chat templates are always Jinja")
      .hide();
  add_screen_options(arguments, options);
}

}  // namespace gumbelspec::apps::cli
