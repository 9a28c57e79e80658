// Options of the command line: llama.cpp's spellings, values with limits, errors on one line.
//
// CLI11 parses them, whose header takes seconds to compile wherever it is included: arguments.cc,
// option_spellings.cc and help_format.cc do, everybody else sees the classes here.
#ifndef GUMBELSPEC_APPS_COMMON_ARGUMENTS_H_
#define GUMBELSPEC_APPS_COMMON_ARGUMENTS_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gumbelspec/error.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace gumbelspec::apps {

// Exit codes besides 0, and 128 + signal.
inline constexpr int kExitFailure = 1;   // the self-test failed, output could not be written
inline constexpr int kExitBadInput = 2;  // options, files, prompts

[[nodiscard]] Error bad_option(const std::string& message);

// One registered option. Lifetime: that of its Arguments.
class Option {
 public:
  explicit Option(CLI::Option& option) : option_(&option) {}

  // The long one where there is one: "--model". Of what stands without a name: what the help calls
  // it.
  [[nodiscard]] std::string name() const;
  // All, in llama.cpp's spelling, as the help shows them: {"-md", "--model-draft"}.
  [[nodiscard]] std::vector<std::string> names() const;
  [[nodiscard]] std::string displayed_names() const;  // with ", " between them
  [[nodiscard]] std::string type() const;             // of the value: "FILE"
  [[nodiscard]] std::string description() const;
  [[nodiscard]] std::string group() const;
  // The variable of the environment that stands for it where it is not given; empty: none.
  [[nodiscard]] std::string environment() const;
  [[nodiscard]] bool is_hidden() const;
  [[nodiscard]] bool is_help() const;
  [[nodiscard]] bool takes_value() const;
  [[nodiscard]] bool is_given() const;
  [[nodiscard]] std::vector<std::string> texts() const;  // its values as they were given

  void describe(const std::string& description) const;
  void hide() const;  // the help does not show it

 private:
  CLI::Option* option_;
};

// The options of a program or of one of its commands.
class Arguments {
 public:
  Arguments(const std::string& name, const std::string& description);  // of a program
  ~Arguments();
  Arguments(const Arguments&) = delete;
  Arguments& operator=(const Arguments&) = delete;

  // One of them has to be given then. Lifetime: the program's.
  Arguments& add_command(const std::string& name, const std::string& description);
  void hide();  // a command that the help does not show
  void set_version(const std::string& text);
  void set_footer(const std::string& text);  // of its help, and of its commands'

  [[nodiscard]] std::string name() const;
  [[nodiscard]] std::string description() const;
  [[nodiscard]] std::string footer() const;
  [[nodiscard]] bool is_hidden() const;
  [[nodiscard]] std::vector<const Arguments*> commands() const;  // in the order of their adding
  [[nodiscard]] std::vector<Option> options() const;             // likewise; --help, too
  // Requires: there is one of this name, short or long.
  [[nodiscard]] Option option(const std::string& name) const;
  [[nodiscard]] bool is_given(const std::string& name) const { return option(name).is_given(); }

  // Option with a value, given as `type` in the help. Given twice, the last one counts.
  // `set` may throw bad_option().
  Option add_option(const std::string& names, const std::string& type,
                    const std::string& description,
                    const std::function<void(const std::string& text)>& set);
  // The value may be left out; `set` then gets an empty one.
  Option add_optional_value(const std::string& names, const std::string& type,
                            const std::string& description,
                            const std::function<void(const std::string& text)>& set);
  // May be given several times; `set` gets all the values.
  Option add_list(const std::string& names, const std::string& type, const std::string& description,
                  const std::function<void(const std::vector<std::string>& texts)>& set);
  // Two values; given twice, the last ones count.
  Option add_pair(
      const std::string& names, const std::string& type, const std::string& description,
      const std::function<void(const std::string& first, const std::string& second)>& set);
  Option add_flag(const std::string& names, bool& is_given, const std::string& description);
  Option add_flag(const std::string& names, const std::function<void()>& set,
                  const std::string& description);
  // A value without a name, which has to be given.
  Option add_positional(const std::string& name, std::string& value,
                        const std::string& description);
  // The options that are in no group yet go into this one in the help.
  void group_new_options(const std::string& group);

  // Parses all of a program's arguments, with those of the environment in front of a command's.
  // Returns what was asked for instead of a command: the text
  // of --help or --version. Throws: Error{invalid_option}, one line with a remedy.
  std::optional<std::string> parse(const std::vector<std::string>& given);
  // Whether this is the command that was given.
  [[nodiscard]] bool is_parsed() const;

  // What is left of the arguments after llama.cpp's spellings (-md, -ngl), which CLI11 would take
  // for -m -d, have become long names, and --name=value two arguments. Values stay as they are.
  // Requires: all options are registered.
  [[nodiscard]] std::vector<std::string> normalized(const std::vector<std::string>& given) const;

 private:
  explicit Arguments(CLI::App& command);

  std::unique_ptr<CLI::App> program_;  // null: a command, which belongs to its program
  CLI::App* app_;
  std::vector<std::unique_ptr<Arguments>> commands_;
};

// A command of the program: its options, and what it does once they are parsed. Returns the exit
// code. Throws: Error, OutputError, Stopped.
struct Command {
  Arguments* arguments = nullptr;
  std::function<int()> run;
};

void add_text(Arguments& arguments, const std::string& names, const std::string& type,
              std::string& value, const std::string& description);
void add_text(Arguments& arguments, const std::string& names, const std::string& type,
              std::optional<std::string>& value, const std::string& description);

void add_integer(Arguments& arguments, const std::string& names, std::int64_t low,
                 std::int64_t high, const std::function<void(std::int64_t)>& set,
                 const std::string& description);

// The limits are the library's to check.
void add_number(Arguments& arguments, const std::string& names, float& value,
                const std::string& description);

}  // namespace gumbelspec::apps

#endif  // GUMBELSPEC_APPS_COMMON_ARGUMENTS_H_
