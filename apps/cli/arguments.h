// Options of the command line: llama.cpp's spellings, values with limits, errors on one line.
#ifndef GUMBELSPEC_APPS_CLI_ARGUMENTS_H_
#define GUMBELSPEC_APPS_CLI_ARGUMENTS_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gumbelspec/error.h"

namespace gumbelspec::cli {

// A command of the program: its options, and what it does once they are parsed. Returns the exit
// code. Throws: Error, OutputError, Stopped.
struct Command {
  CLI::App* app = nullptr;
  std::function<int()> run;
};

// Exit codes besides 0, and 128 + signal.
inline constexpr int kExitFailure = 1;   // the self-test failed, output could not be written
inline constexpr int kExitBadInput = 2;  // options, files, prompts

[[nodiscard]] Error bad_option(const std::string& message);

// What is left of the arguments after llama.cpp's spellings (-md, -ngl), which CLI11 would take for
// -m -d, have become long names, and --name=value two arguments. Values stay as they are.
// Requires: all options are registered.
[[nodiscard]] std::vector<std::string> normalized_arguments(const CLI::App& program,
                                                            const std::vector<std::string>& given);

// Short and long name as the help shows them: "-md, --model-draft".
[[nodiscard]] std::string displayed_names(const CLI::Option& option);

// Help with llama.cpp's spellings and wrapped descriptions, for the program and its commands.
void use_help_format(CLI::App& program);

// What CLI11 has to say, as one line with a remedy.
[[nodiscard]] std::string parse_error_line(const CLI::ParseError& error, const CLI::App& program);

// Option with a value, given as `type` in the help. Given twice, the last one counts.
// `set` may throw bad_option().
CLI::Option* add_option(CLI::App& app, const std::string& names, const std::string& type,
                        const std::string& description,
                        const std::function<void(const std::string& text)>& set);

void add_text(CLI::App& app, const std::string& names, const std::string& type, std::string& value,
              const std::string& description);
void add_text(CLI::App& app, const std::string& names, const std::string& type,
              std::optional<std::string>& value, const std::string& description);

void add_integer(CLI::App& app, const std::string& names, std::int64_t low, std::int64_t high,
                 const std::function<void(std::int64_t)>& set, const std::string& description);

// The limits are the library's to check.
void add_number(CLI::App& app, const std::string& names, float& value,
                const std::string& description);

}  // namespace gumbelspec::cli

#endif  // GUMBELSPEC_APPS_CLI_ARGUMENTS_H_
