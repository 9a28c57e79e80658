// Options of gumbelspec chat.
#ifndef GUMBELSPEC_APPS_CLI_CHAT_OPTIONS_H_
#define GUMBELSPEC_APPS_CLI_CHAT_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "apps/chat/display.h"
#include "apps/cli/planner_options.h"
#include "apps/cli/structure_options.h"
#include "apps/common/arguments.h"
#include "apps/common/model_options.h"
#include "gumbelspec/method.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec::apps::cli {

struct ChatOptions {
  ModelOptions models;
  SamplingOptions sampling;
  std::optional<Method> method;
  PlannerOptions planner;
  StructureOptions structure;         // of every answer
  std::optional<std::uint64_t> seed;  // none: a random one
  std::string system;
  std::optional<std::string> system_file;
  std::optional<std::string> prompt;       // the first message
  std::optional<std::string> prompt_file;  // likewise
  bool is_single_turn = false;
  bool has_escapes = false;     // in system and prompt
  std::int64_t n_predict = -1;  // tokens of an answer; -1: as the context has room for
  bool ignores_end = false;
  std::string chat_template;       // Jinja; empty: the model's
  std::string chat_template_file;  // empty: none
  std::optional<bool> thinks;      // none: as the template does by itself
  bool splits_thoughts = true;
  std::int64_t reasoning_budget = -1;  // tokens of the thoughts; -1: any number
  std::vector<std::string> stops;
  std::optional<bool> has_colors;  // none: on a terminal
  chat::DisplayOptions display;    // has_colors: not set here
};

void add_chat_options(Arguments& arguments, ChatOptions& options);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_CHAT_OPTIONS_H_
