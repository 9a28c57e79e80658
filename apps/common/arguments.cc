#include "apps/common/arguments.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <utility>

#include "apps/common/environment.h"
#include "apps/common/option_spellings.h"
#include "apps/common/utf8_stream.h"

namespace gumbelspec::apps {
namespace {

bool needs_value(const CLI::App* app, const std::string& name) {
  if (app == nullptr || name.size() < 2 || name[0] != '-') return false;
  const CLI::Option* option = app->get_option_no_throw(name);
  return option != nullptr && takes_value(*option);
}

int n_values(const CLI::App* app, const std::string& name) {
  if (!needs_value(app, name)) return 0;
  return app->get_option_no_throw(name)->get_expected_min();
}

const CLI::App* find_command(const CLI::App& program, const std::string& name) {
  const auto commands = program.get_subcommands({});
  const auto found = std::find_if(commands.begin(), commands.end(),
                                  [&](const CLI::App* app) { return app->get_name() == name; });
  return found == commands.end() ? nullptr : *found;
}

bool is_known(const CLI::App& program, const std::string& argument) {
  if (argument.rfind('-', 0) == 0) return program.get_option_no_throw(argument) != nullptr;
  return find_command(program, argument) != nullptr;
}

bool is_among(const std::vector<std::string>& given, const CLI::Option& option) {
  const std::vector<std::string> names = names_of(option);
  return std::any_of(given.begin(), given.end(), [&](const std::string& argument) {
    return std::find(names.begin(), names.end(), argument) != names.end();
  });
}

// An option that the environment gives, and from which variable.
struct FromEnvironment {
  std::string option;
  std::string variable;
};

// Puts in front of a command's arguments what the environment says of options that are not among
// them. given: normalized.
std::vector<FromEnvironment> take_environment(const CLI::App& program,
                                              std::vector<std::string>& given) {
  std::vector<FromEnvironment> taken;
  const CLI::App* command = given.empty() ? nullptr : find_command(program, given.front());
  if (command == nullptr) return taken;
  std::vector<std::string> front;
  for (const CLI::Option* option : command->get_options()) {
    if (option->get_lnames().empty() || is_among(given, *option)) continue;
    const std::string name = "--" + option->get_lnames().front();
    const auto rivals = rivals_of(name);
    const bool has_rival = std::any_of(rivals.begin(), rivals.end(), [&](std::string_view rival) {
      const CLI::Option* other = command->get_option_no_throw(std::string(rival));
      return other != nullptr && is_among(given, *other);
    });
    if (has_rival) continue;
    for (const std::string& variable : variables_of(name)) {
      const char* value = std::getenv(variable.c_str());
      if (value == nullptr || *value == '\0') continue;
      if (takes_value(*option)) {
        front.push_back(name);
        front.emplace_back(value);
      } else if (is_switched_on(variable, value)) {
        front.push_back(name);
      }
      taken.push_back({name, variable});
      break;
    }
  }
  given.insert(given.begin() + 1, front.begin(), front.end());
  return taken;
}

// What CLI11 has to say, as one line with a remedy.
std::string parse_error_line(const CLI::ParseError& error, const CLI::App& program) {
  const CLI::App* command = &program;
  std::string help = program.get_name() + " ";
  for (const CLI::App* parsed : program.get_subcommands()) {
    command = parsed;
    help += parsed->get_name() + " ";
  }
  const std::string remedy = "; \"" + help + "--help\" lists what there is";
  const std::vector<std::string> unknown = command->remaining();
  const std::string message = error.what();
  switch (static_cast<CLI::ExitCodes>(error.get_exit_code())) {
    case CLI::ExitCodes::RequiredError:
      if (program.get_subcommands({}).empty()) return visible(message) + remedy;
      return "no command given" + remedy;
    case CLI::ExitCodes::ExtrasError:
      return "unknown argument " + in_quotes(unknown.empty() ? message : unknown.front()) + remedy;
    case CLI::ExitCodes::ArgumentMismatch:
      // The option's name stands before a colon.
      return message.substr(0, message.find(':')) + " has no value" + remedy;
    default:
      return visible(message) + remedy;
  }
}

}  // namespace

Error bad_option(const std::string& message) { return {ErrorCode::invalid_option, message}; }

std::string Option::name() const { return option_->get_name(); }
std::vector<std::string> Option::names() const { return names_of(*option_); }
std::string Option::displayed_names() const { return displayed(*option_); }
std::string Option::type() const { return option_->get_type_name(); }
std::string Option::description() const { return option_->get_description(); }
std::string Option::group() const { return option_->get_group(); }
bool Option::is_hidden() const { return option_->get_group().empty(); }
bool Option::is_help() const { return option_->get_name() == "--help"; }
bool Option::takes_value() const { return apps::takes_value(*option_); }
std::vector<std::string> Option::texts() const { return option_->results(); }
bool Option::is_given() const { return option_->count() > 0; }
std::string Option::environment() const {
  const auto variables = option_->get_lnames().empty()
                             ? std::vector<std::string>()
                             : variables_of("--" + option_->get_lnames().front());
  return variables.empty() ? std::string() : variables.back();
}
void Option::describe(const std::string& description) const { option_->description(description); }
void Option::hide() const { option_->group(""); }

Arguments::Arguments(const std::string& name, const std::string& description)
    : program_(std::make_unique<CLI::App>(description, name)), app_(program_.get()) {
  // Its commands inherit it.
  set_help_format(*program_);
}

Arguments::Arguments(CLI::App& command) : app_(&command) {}

Arguments::~Arguments() = default;

Arguments& Arguments::add_command(const std::string& name, const std::string& description) {
  CLI::App* command = app_->add_subcommand(name, description);
  command->group("Commands");
  app_->require_subcommand(1);
  commands_.push_back(std::unique_ptr<Arguments>(new Arguments(*command)));
  return *commands_.back();
}

void Arguments::hide() { app_->group(""); }

void Arguments::set_version(const std::string& text) {
  app_->set_version_flag("--version", text, "Print the version");
}

void Arguments::set_footer(const std::string& text) {
  app_->footer(text);
  for (const auto& command : commands_) command->set_footer(text);
}

std::string Arguments::name() const { return app_->get_name(); }
std::string Arguments::description() const { return app_->get_description(); }
std::string Arguments::footer() const { return app_->get_footer(); }
bool Arguments::is_hidden() const { return app_->get_group().empty(); }
bool Arguments::is_parsed() const { return app_->parsed(); }

std::vector<const Arguments*> Arguments::commands() const {
  std::vector<const Arguments*> commands;
  for (const auto& command : commands_) commands.push_back(command.get());
  return commands;
}

std::vector<Option> Arguments::options() const {
  std::vector<Option> options;
  for (CLI::Option* option : app_->get_options()) options.emplace_back(*option);
  return options;
}

Option Arguments::option(const std::string& name) const { return Option(*app_->get_option(name)); }

Option Arguments::add_option(const std::string& names, const std::string& type,
                             const std::string& description,
                             const std::function<void(const std::string& text)>& set) {
  CLI::Option* option = app_->add_option_function<std::string>(names, set, description);
  option->type_name(type)->take_last();
  return Option(*option);
}

Option Arguments::add_optional_value(const std::string& names, const std::string& type,
                                     const std::string& description,
                                     const std::function<void(const std::string& text)>& set) {
  const auto set_last = [set](const std::vector<std::string>& texts) {
    set(texts.empty() ? std::string() : texts.back());
  };
  CLI::Option* option =
      app_->add_option_function<std::vector<std::string>>(names, set_last, description);
  option->type_name(type)->expected(0, 1);
  return Option(*option);
}

Option Arguments::add_list(const std::string& names, const std::string& type,
                           const std::string& description,
                           const std::function<void(const std::vector<std::string>& texts)>& set) {
  CLI::Option* option =
      app_->add_option_function<std::vector<std::string>>(names, set, description);
  option->type_name(type)->expected(1)->take_all()->allow_extra_args(false);
  return Option(*option);
}

Option Arguments::add_pair(
    const std::string& names, const std::string& type, const std::string& description,
    const std::function<void(const std::string& first, const std::string& second)>& set) {
  const auto set_both = [set](const std::vector<std::string>& texts) {
    set(texts.at(texts.size() - 2), texts.back());
  };
  CLI::Option* option =
      app_->add_option_function<std::vector<std::string>>(names, set_both, description);
  option->type_name(type)->expected(2);
  return Option(*option);
}

Option Arguments::add_flag(const std::string& names, bool& is_given,
                           const std::string& description) {
  return Option(*app_->add_flag(names, is_given, description));
}

Option Arguments::add_flag(const std::string& names, const std::function<void()>& set,
                           const std::string& description) {
  return Option(*app_->add_flag_callback(names, set, description));
}

Option Arguments::add_positional(const std::string& name, std::string& value,
                                 const std::string& description) {
  return Option(*app_->add_option(name, value, description)->required());
}

void Arguments::group_new_options(const std::string& group) {
  for (CLI::Option* option : app_->get_options()) {
    if (option->get_group() == "Options" && option != app_->get_help_ptr()) option->group(group);
  }
}

std::vector<std::string> Arguments::normalized(const std::vector<std::string>& given) const {
  std::vector<std::string> out;
  const CLI::App* command = app_;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::string name = long_spelling(given[i]);
    if (command == app_ && !commands_.empty() && !name.empty() && name[0] != '-') {
      command = find_command(*app_, name);
    }
    const std::size_t equals = name.find('=');
    const bool has_value = name.rfind("--", 0) == 0 && equals != std::string::npos;
    if (has_value && needs_value(command, name.substr(0, equals))) {
      out.push_back(name.substr(0, equals));
      out.push_back(name.substr(equals + 1));
      continue;
    }
    out.push_back(name);
    for (int n = n_values(command, name); n > 0 && i + 1 < given.size(); --n) {
      out.push_back(given[++i]);
    }
  }
  return out;
}

std::optional<std::string> Arguments::parse(const std::vector<std::string>& given) {
  // CLI11 would only say that a command is missing.
  if (!commands_.empty() && !given.empty() && !is_known(*app_, given[0])) {
    throw bad_option("unknown " +
                     std::string(given[0].rfind('-', 0) == 0 ? "argument " : "command ") +
                     in_quotes(given[0]) + "; \"" + name() + " --help\" lists what there is");
  }
  std::vector<std::string> arguments = normalized(given);
  const std::vector<FromEnvironment> taken = take_environment(*app_, arguments);
  try {
    std::reverse(arguments.begin(), arguments.end());
    app_->parse(arguments);
  } catch (const CLI::CallForHelp&) {
    return app_->help();
  } catch (const CLI::CallForVersion& version) {
    return std::string(version.what()) + "\n";
  } catch (const CLI::ParseError& error) {
    throw bad_option(parse_error_line(error, *app_));
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const FromEnvironment& one : taken) {
      if (message.find(one.option) == std::string::npos) continue;
      throw bad_option(message + " (it comes from the environment's " + one.variable + ")");
    }
    throw;
  }
  return std::nullopt;
}

}  // namespace gumbelspec::apps
