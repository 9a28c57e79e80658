// How the help is laid out.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstddef>
#include <memory>
#include <utility>

#include "apps/common/option_spellings.h"

namespace gumbelspec::apps {
namespace {

constexpr std::size_t kColumn = 28;
constexpr std::size_t kWidth = 80;

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
    return displayed(*option);
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    return takes_value(*option) ? " " + option->get_type_name() : std::string();
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

}  // namespace

void set_help_format(CLI::App& program) { program.formatter(std::make_shared<HelpFormat>()); }

}  // namespace gumbelspec::apps
