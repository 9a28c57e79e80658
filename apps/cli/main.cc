// The program gumbelspec: options -> engine -> text, JSON. One file per command.
#include <algorithm>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "apps/cli/arguments.h"
#include "apps/cli/command_docs.h"
#include "apps/cli/commands.h"
#include "apps/cli/output.h"
#include "apps/cli/stop_signals.h"
#include "apps/cli/utf8_stream.h"
#include "gumbelspec/error.h"
#include "src/llama/processor_check.h"

namespace gumbelspec::cli {
namespace {

// A shell's number for a program that SIGPIPE ended.
constexpr int kExitBrokenPipe = 141;

constexpr const char* kFooter =
    R"(Text and JSON go to standard output, everything else to standard error. The first SIGINT or
SIGTERM stops cleanly, a second one at once; a server finishes what is under way first.

Exit codes: 0 done, also a server that was stopped; 1 failed: a self-test did not pass, output
could not be written, a model pass failed, an RPC server was lost; 2 bad options, files or prompts;
130 stopped by SIGINT; 143 by SIGTERM.)";

int exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::out_of_memory:
    case ErrorCode::evaluation_failed:
    case ErrorCode::no_token_allowed:
    case ErrorCode::peer_lost:
      return kExitFailure;
    default:
      return kExitBadInput;
  }
}

int print_and_exit(const std::string& text) {
  Output out = Output::standard();
  out.write(text);
  out.close();
  return 0;
}

bool is_known(const CLI::App& app, const std::string& argument) {
  if (!argument.empty() && argument[0] == '-') return app.get_option_no_throw(argument) != nullptr;
  const auto commands = app.get_subcommands({});
  return std::any_of(commands.begin(), commands.end(),
                     [&](const CLI::App* command) { return command->get_name() == argument; });
}

int run(const std::vector<std::string>& given) {
  CLI::App app("Exact speculative decoding with shared Gumbel noise", "gumbelspec");
  app.set_version_flag("--version", std::string("gumbelspec ") + GUMBELSPEC_VERSION,
                       "Print the version");
  app.require_subcommand(1);
  app.footer(kFooter);
  const std::vector<Command> commands = {add_generate(app), add_serve(app), add_bench(app),
                                         add_selftest(app), add_info(app),  add_print_docs(app)};
  use_help_format(app);
  for (const Command& command : commands) command.app->footer(kFooter);
  // CLI11 would only say that a command is missing.
  if (!given.empty() && !is_known(app, given[0])) {
    throw bad_option("unknown " +
                     std::string(given[0].rfind('-', 0) == 0 ? "argument " : "command ") +
                     in_quotes(given[0]) + "; \"gumbelspec --help\" lists what there is");
  }
  try {
    std::vector<std::string> arguments = normalized_arguments(app, given);
    std::reverse(arguments.begin(), arguments.end());
    app.parse(arguments);
  } catch (const CLI::CallForHelp&) {
    return print_and_exit(app.help());
  } catch (const CLI::CallForVersion& version) {
    return print_and_exit(std::string(version.what()) + "\n");
  } catch (const CLI::ParseError& error) {
    say(parse_error_line(error, app));
    return kExitBadInput;
  }
  for (const Command& command : commands) {
    if (command.app->parsed()) return command.run();
  }
  return kExitBadInput;
}

int run_and_report(const std::vector<std::string>& arguments) {
  try {
    return run(arguments);
  } catch (const Stopped&) {
    say("stopped by a signal");
    return stopped_exit_code();
  } catch (const OutputError& error) {
    if (error.is_broken_pipe()) return kExitBrokenPipe;
    say(error.what());
    return kExitFailure;
  } catch (const Error& error) {
    // Values in it may hold line breaks.
    say(visible(error.what()));
    return exit_code(error.code());
  } catch (const std::bad_alloc&) {
    say("out of memory; use a smaller model or a shorter context (-c)");
    return kExitFailure;
  } catch (const std::exception& error) {
    say("internal error: " + visible(error.what()) + "; please report it");
    return kExitFailure;
  }
}

}  // namespace
}  // namespace gumbelspec::cli

#if defined(__x86_64__) && defined(__linux__) && !defined(GUMBELSPEC_SANITIZED)
// Before the constructors of ggml's libraries, which are compiled for the processor that built
// them.
[[gnu::section(".preinit_array"),
  gnu::used]] void (*const kRefuse)(int, char**,
                                    char**) = gumbelspec::internal::refuse_lesser_processor;
#endif

int main(int argc, char** argv) {
  gumbelspec::cli::install_stop_signals();
  return gumbelspec::cli::run_and_report(std::vector<std::string>(argv + 1, argv + argc));
}
