#include "apps/cli/arguments.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <memory>
#include <system_error>
#include <utility>

#include "apps/cli/utf8_stream.h"

namespace gumbelspec::cli {
namespace {

struct Spelling {
  std::string_view given;
  std::string_view long_name;
};

constexpr std::array<Spelling, 10> kSpellings = {{
    {"-dev", "--device"},
    {"-devd", "--device-draft"},
    {"-md", "--model-draft"},
    {"-ngl", "--gpu-layers"},
    {"-ngld", "--gpu-layers-draft"},
    {"-mg", "--main-gpu"},
    {"-np", "--parallel"},
    {"-sm", "--split-mode"},
    {"-to", "--timeout"},
    {"-ts", "--tensor-split"},
}};

constexpr std::size_t kColumn = 28;
constexpr std::size_t kWidth = 80;

std::string long_spelling(const std::string& argument) {
  for (const Spelling& spelling : kSpellings) {
    if (argument == spelling.given) return std::string(spelling.long_name);
  }
  return argument;
}

bool takes_value(const CLI::App* app, const std::string& name) {
  if (app == nullptr || name.size() < 2 || name[0] != '-') return false;
  const CLI::Option* option = app->get_option_no_throw(name);
  return option != nullptr && option->get_expected_min() > 0;
}

const CLI::App* find_command(const CLI::App& program, const std::string& name) {
  const auto commands = program.get_subcommands({});
  const auto found = std::find_if(commands.begin(), commands.end(),
                                  [&](const CLI::App* app) { return app->get_name() == name; });
  return found == commands.end() ? nullptr : *found;
}

std::string wrapped(const std::string& text, std::size_t width) {
  std::string out;
  std::size_t column = 0;
  std::size_t begin = 0;
  while (begin < text.size()) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::size_t length = end - begin;
    if (column > 0 && column + 1 + length > width) {
      out += '\n';
      column = 0;
    } else if (column > 0) {
      out += ' ';
      ++column;
    }
    out.append(text, begin, length);
    column += length;
    begin = end + 1;
  }
  return out;
}

class HelpFormat : public CLI::Formatter {
 public:
  HelpFormat() {
    column_width(kColumn);
    label("SUBCOMMAND", "COMMAND");
  }

  std::string make_help(const CLI::App* app, std::string name,
                        CLI::AppFormatMode mode) const override {
    return CLI::detail::find_and_replace(CLI::Formatter::make_help(app, std::move(name), mode),
                                         "\n\n\n", "\n\n");
  }
  std::string make_option_name(const CLI::Option* option, bool /*is_positional*/) const override {
    return displayed_names(*option);
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    return option->get_expected_min() > 0 ? " " + option->get_type_name() : std::string();
  }
  std::string make_option_desc(const CLI::Option* option) const override {
    return wrapped(option->get_description(), kWidth - kColumn);
  }
  std::string make_description(const CLI::App* app) const override {
    return app->get_description() + "\n\n";
  }
  std::string make_subcommand(const CLI::App* sub) const override {
    std::string name = sub->get_name();
    name.resize(std::max(name.size() + 1, kColumn - 2), ' ');
    return "  " + name + sub->get_description() + "\n";
  }
};

template <class Number>
std::optional<Number> parse_number(const std::string& text) {
  Number value{};
  const char* end = text.data() + text.size();
  const auto [stopped_at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped_at != end) return std::nullopt;
  return value;
}

// "-n,--predict,--n-predict" -> "-n/--predict"; "--gpu-layers" -> "-ngl/--gpu-layers".
std::string told_name(const std::string& names) {
  const std::size_t begin = names.find("--");
  const std::string long_name = names.substr(begin, names.find(',', begin) - begin);
  std::string short_name = names.substr(0, begin == 0 ? 0 : begin - 1);
  for (const Spelling& spelling : kSpellings) {
    if (spelling.long_name == long_name) short_name = spelling.given;
  }
  return short_name.empty() ? long_name : short_name + "/" + long_name;
}

}  // namespace

Error bad_option(const std::string& message) { return {ErrorCode::invalid_option, message}; }

std::vector<std::string> normalized_arguments(const CLI::App& program,
                                              const std::vector<std::string>& given) {
  std::vector<std::string> out;
  const CLI::App* command = &program;
  for (std::size_t i = 0; i < given.size(); ++i) {
    const std::string name = long_spelling(given[i]);
    if (command == &program && !name.empty() && name[0] != '-') {
      command = find_command(program, name);
    }
    const std::size_t equals = name.find('=');
    const bool has_value = name.rfind("--", 0) == 0 && equals != std::string::npos;
    if (has_value && takes_value(command, name.substr(0, equals))) {
      out.push_back(name.substr(0, equals));
      out.push_back(name.substr(equals + 1));
      continue;
    }
    out.push_back(name);
    if (takes_value(command, name) && i + 1 < given.size()) out.push_back(given[++i]);
  }
  return out;
}

std::string displayed_names(const CLI::Option& option) {
  std::string names;
  for (const std::string& name : option.get_snames()) names += "-" + name + ", ";
  for (const std::string& name : option.get_lnames()) {
    for (const Spelling& spelling : kSpellings) {
      if (spelling.long_name == "--" + name) names += std::string(spelling.given) + ", ";
    }
  }
  for (const std::string& name : option.get_lnames()) names += "--" + name + ", ";
  return names.substr(0, names.size() - 2);
}

void use_help_format(CLI::App& program) {
  const auto format = std::make_shared<HelpFormat>();
  program.formatter(format);
  for (CLI::App* command : program.get_subcommands({})) {
    command->formatter(format);
    if (!command->get_group().empty()) command->group("Commands");
  }
}

std::string parse_error_line(const CLI::ParseError& error, const CLI::App& program) {
  const CLI::App* command = &program;
  std::string help = "gumbelspec ";
  for (const CLI::App* parsed : program.get_subcommands()) {
    command = parsed;
    help += parsed->get_name() + " ";
  }
  const std::string remedy = "; \"" + help + "--help\" lists what there is";
  const std::vector<std::string> unknown = command->remaining();
  const std::string message = error.what();
  switch (static_cast<CLI::ExitCodes>(error.get_exit_code())) {
    case CLI::ExitCodes::RequiredError:
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

CLI::Option* add_option(CLI::App& app, const std::string& names, const std::string& type,
                        const std::string& description,
                        const std::function<void(const std::string& text)>& set) {
  return app.add_option_function<std::string>(names, set, description)
      ->type_name(type)
      ->take_last();
}

void add_text(CLI::App& app, const std::string& names, const std::string& type, std::string& value,
              const std::string& description) {
  add_option(app, names, type, description, [&value](const std::string& text) { value = text; });
}

void add_text(CLI::App& app, const std::string& names, const std::string& type,
              std::optional<std::string>& value, const std::string& description) {
  add_option(app, names, type, description, [&value](const std::string& text) { value = text; });
}

void add_integer(CLI::App& app, const std::string& names, std::int64_t low, std::int64_t high,
                 const std::function<void(std::int64_t)>& set, const std::string& description) {
  const auto parse = [=](const std::string& text) {
    const auto value = parse_number<std::int64_t>(text);
    if (!value || *value < low || *value > high) {
      throw bad_option(told_name(names) + " is " + in_quotes(text) + "; give a whole number from " +
                       std::to_string(low) + " to " + std::to_string(high));
    }
    set(*value);
  };
  add_option(app, names, "N", description, parse);
}

void add_number(CLI::App& app, const std::string& names, float& value,
                const std::string& description) {
  add_option(app, names, "X", description, [names, &value](const std::string& text) {
    const auto number = parse_number<double>(text);
    if (!number) throw bad_option(told_name(names) + " is " + in_quotes(text) + "; give a number");
    value = static_cast<float>(*number);
  });
}

}  // namespace gumbelspec::cli
