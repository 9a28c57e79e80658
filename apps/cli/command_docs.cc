#include "apps/cli/command_docs.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include "apps/common/output.h"
#include "apps/common/utf8_stream.h"
#include "gumbelspec/method.h"

namespace gumbelspec::apps::cli {
namespace {

// The parsers have these words in their own code; tests see to it that they take each of them.
struct Choices {
  std::string_view option;
  std::array<std::string_view, 5> words;
};
constexpr std::array<Choices, 9> kChoices = {{
    {"--attention", {"exact", "fast"}},
    {"--format", {"table", "md", "csv", "json"}},
    {"--guarantee", {"seed", "distribution"}},
    {"--log-format", {"text", "json"}},
    {"--numa", {"distribute", "isolate", "numactl"}},
    {"--pooling", {"none", "mean", "cls", "last", "rank"}},
    {"--reasoning-format", {"auto", "deepseek", "none"}},
    {"--rope-scaling", {"none", "linear", "yarn"}},
    {"--split-mode", {"none", "layer", "row"}},
}};

std::vector<const Arguments*> commands_of(const Arguments& program) {
  std::vector<const Arguments*> shown;
  for (const Arguments* command : program.commands()) {
    if (!command->is_hidden()) shown.push_back(command);
  }
  return shown;
}

std::vector<Option> options_of(const Arguments& command) {
  std::vector<Option> shown;
  for (const Option& option : command.options()) {
    if (!option.is_hidden()) shown.push_back(option);
  }
  return shown;
}

std::string joined(const std::vector<std::string>& words, const char* separator) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : separator) + word;
  return text;
}

// ---- the man page ----

std::string roff(std::string_view text) {
  std::string out;
  bool at_line_start = true;
  for (const char c : text) {
    if (at_line_start && (c == '.' || c == '\'')) out += "\\&";
    if (c == '-') {
      out += "\\-";
    } else if (c == '\\') {
      out += "\\e";
    } else {
      out += c;
    }
    at_line_start = c == '\n';
  }
  return out;
}

std::string man_option(const Option& option) {
  std::string head;
  for (const std::string& name : option.names()) {
    head += (head.empty() ? "\\fB" : ", \\fB") + roff(name) + "\\fR";
  }
  if (option.takes_value()) head += " \\fI" + roff(option.type()) + "\\fR";
  return ".TP\n" + head + "\n" + roff(option.description()) + "\n";
}

std::string man_command(const Arguments& command) {
  std::string text =
      ".SS gumbelspec " + command.name() + "\n" + roff(command.description()) + ".\n";
  std::string group;
  for (const Option& option : options_of(command)) {
    if (option.is_help()) continue;
    if (option.group() != group) {
      group = option.group();
      text += ".PP\n\\fI" + roff(group) + "\\fR\n";
    }
    text += man_option(option);
  }
  return text;
}

constexpr const char* kManEnd = R"(.SH ENVIRONMENT
.TP
\fBGUMBELSPEC_CPU_VARIANT\fR
In portable builds: llama.cpp's CPU code for this kind of processor instead of the best one that
runs here, e.g. haswell; \fBgumbelspec info\fR tells which one is used.
.TP
\fBGUMBELSPEC_KERNELS_ISA\fR
Instruction set of the program's own kernels: auto, amx, avx512, avxvnni, avx2 or off.
.TP
\fBGUMBELSPEC_ARG_\fIOPTION\fR, \fBLLAMA_ARG_\fIOPTION\fR
Options that are not given, by their long names: GUMBELSPEC_ARG_CTX_SIZE for \fB--ctx-size\fR; of
llama.cpp's variables those whose options this program has.
.TP
\fBHF_TOKEN\fR, \fBHF_ENDPOINT\fR, \fBHF_HUB_CACHE\fR
Token, address and cache of models by name, as for Hugging Face's own tools.
.TP
\fBXDG_CACHE_HOME\fR
Where measured costs of passes are kept, in a folder gumbelspec; by default ~/.cache. Nothing is kept
where it cannot be written.
.SH FILES
.TP
\fI/etc/gumbelspec/serve.env\fR
Options of the systemd unit \fBgumbelspec.service\fR, which the Debian package brings and does not
enable.
.SH EXAMPLES
.nf
gumbelspec generate \-p "The old house" \-n 64 \-\-seed 7
gumbelspec serve \-m target.gguf \-md draft.gguf
gumbelspec selftest \-m target.gguf \-md draft.gguf
.fi
)";

// ---- shells ----

// What may follow an option, as both shells' functions tell it.
enum class Value { none, file, model, folder, choice, free };

Value value_of(const Option& option) {
  if (!option.takes_value()) return Value::none;
  const std::string type = option.type();
  const std::vector<std::string> names = option.names();
  if (names.back() == "--model" || names.back() == "--model-draft") return Value::model;
  if (type == "FILE") return Value::file;
  if (type == "DIR") return Value::folder;
  return choices_of(option).empty() ? Value::free : Value::choice;
}

std::string bash_value(const Option& option) {
  switch (value_of(option)) {
    case Value::model:
      return "_gumbelspec_files '*.gguf'";
    case Value::file:
      return "_gumbelspec_files '*'";
    case Value::folder:
      return "_gumbelspec_files ''";
    case Value::choice:
      return "_gumbelspec_words '" + joined(choices_of(option), " ") + "'";
    default:
      return ":";
  }
}

std::string bash_command(const Arguments& command) {
  std::string cases;
  std::vector<std::string> names;
  for (const Option& option : options_of(command)) {
    const std::vector<std::string> own = option.names();
    names.insert(names.end(), own.begin(), own.end());
    if (!option.takes_value()) continue;
    cases += "        " + joined(own, "|") + ") " + bash_value(option) + "; return ;;\n";
  }
  return "    " + command.name() + ")\n      case $previous in\n" + cases +
         "      esac\n      _gumbelspec_words '" + joined(names, " ") + "' ;;\n";
}

constexpr const char* kBashHead =
    R"(# Completion of gumbelspec for bash; printed by the program: gumbelspec print-docs bash
_gumbelspec_words() {
  mapfile -t COMPREPLY < <(compgen -W "$1" -- "$current")
}
# Folders, and files whose names fit.
_gumbelspec_files() {
  compopt -o filenames
  mapfile -t COMPREPLY < <(compgen -d -- "$current"
    [ -z "$1" ] || compgen -f -X "!$1" -- "$current")
}
_gumbelspec() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command= i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case ${COMP_WORDS[i]} in -*) ;; *) command=${COMP_WORDS[i]} && break ;; esac
  done
  case $command in
)";

// Inside the brackets of an _arguments specification in single quotes.
std::string zsh_text(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '[' || c == ']' || c == ':' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\'') {
      out += "'\\''";
    } else {
      out += c;
    }
  }
  return out;
}

std::string zsh_value(const Option& option) {
  const std::string start = ":" + zsh_text(option.type());
  switch (value_of(option)) {
    case Value::none:
      return {};
    case Value::model:
      return start + ":_files -g \"*.gguf\"";
    case Value::file:
      return start + ":_files";
    case Value::folder:
      return start + ":_files -/";
    case Value::choice:
      return start + ":(" + joined(choices_of(option), " ") + ")";
    case Value::free:
      return start + ": ";
  }
  return {};
}

std::string zsh_command(const Arguments& command) {
  std::string text = "    " + command.name() + ")\n      _arguments";
  for (const Option& option : options_of(command)) {
    const std::string description = "[" + zsh_text(option.description()) + "]";
    for (const std::string& name : option.names()) {
      text.append(" \\\n        '").append(name).append(description).append(zsh_value(option)) +=
          '\'';
    }
  }
  return text + " ;;\n";
}

int print(const Arguments& program, const std::string& kind) {
  std::string text;
  if (kind == "man") {
    text = man_page(program);
  } else if (kind == "bash") {
    text = bash_completion(program);
  } else if (kind == "zsh") {
    text = zsh_completion(program);
  } else {
    throw bad_option("print-docs is asked for " + in_quotes(kind) + "; give man, bash or zsh");
  }
  Output out = Output::standard();
  out.write(text);
  out.close();
  return 0;
}

}  // namespace

std::vector<std::string> choices_of(const Option& option) {
  const std::vector<std::string> names = option.names();
  if (names.empty()) return {};
  const std::string& name = names.back();
  std::vector<std::string> words;
  if (name == "--method") {
    for (const std::string_view method : method_names()) words.emplace_back(method);
  }
  for (const Choices& choices : kChoices) {
    if (choices.option != name) continue;
    for (const std::string_view word : choices.words) {
      if (!word.empty()) words.emplace_back(word);
    }
  }
  return words;
}

std::string man_page(const Arguments& program) {
  std::string text =
      ".\\\" Printed by the program: gumbelspec print\\-docs man\n"
      ".TH GUMBELSPEC 1 \"\" \"gumbelspec " GUMBELSPEC_VERSION
      "\"\n"
      ".SH NAME\ngumbelspec \\- " +
      roff(program.description()) + "\n.SH SYNOPSIS\n";
  for (const Arguments* command : commands_of(program)) {
    text += "\\fBgumbelspec " + command->name() + "\\fR [\\fIOPTION\\fR...]\n.br\n";
  }
  text +=
      "\\fBgumbelspec\\fR [\\fICOMMAND\\fR] \\fB\\-\\-help\\fR\n.br\n"
      "\\fBgumbelspec \\-\\-version\\fR\n"
      ".SH DESCRIPTION\nRuns large language models faster without changing what they say: a "
      "small draft model\nproposes, the target model decides with the same noise, and for a "
      "seed the text is the same as\nwithout a draft. Without \\fB\\-m\\fR the commands use the "
      "demo pair that comes with the program.\n.SH COMMANDS\n";
  for (const Arguments* command : commands_of(program)) text += man_command(*command);
  std::string footer = program.footer();
  text += kManEnd;
  text += ".SH EXIT STATUS\n" + roff(footer) + "\n";
  return text;
}

std::string bash_completion(const Arguments& program) {
  std::string text = kBashHead;
  std::vector<std::string> words = {"--help", "--version"};
  for (const Arguments* command : commands_of(program)) {
    text += bash_command(*command);
    words.push_back(command->name());
  }
  return text + "    '') _gumbelspec_words '" + joined(words, " ") +
         "' ;;\n  esac\n}\ncomplete -F _gumbelspec gumbelspec\n";
}

std::string zsh_completion(const Arguments& program) {
  std::string names;
  std::string cases;
  for (const Arguments* command : commands_of(program)) {
    names += "\n    '" + command->name() + ":" + zsh_text(command->description()) + "'";
    cases += zsh_command(*command);
  }
  return "#compdef gumbelspec\n"
         "# Completion of gumbelspec for zsh; printed by the program: gumbelspec print-docs zsh\n"
         "_gumbelspec() {\n  local -a commands\n  commands=(" +
         names +
         "\n  )\n  if (( CURRENT == 2 )); then\n"
         "    _describe command commands\n"
         "    _values option '--help[Show the options]' '--version[Print the version]'\n"
         "    return\n  fi\n  local command=$words[2]\n  shift words\n  (( CURRENT-- ))\n"
         "  case $command in\n" +
         cases + "  esac\n}\n_gumbelspec \"$@\"\n";
}

Command add_print_docs(Arguments& program) {
  const auto kind = std::make_shared<std::string>();
  Arguments& arguments = program.add_command("print-docs", "The man page or a shell's completion");
  arguments.hide();
  arguments.add_positional("kind", *kind, "man, bash or zsh");
  return {&arguments, [&program, kind] { return print(program, *kind); }};
}

}  // namespace gumbelspec::apps::cli
