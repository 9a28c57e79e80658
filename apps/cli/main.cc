// The program gumbelspec: options -> engine -> text, JSON. One file per command.
#include <algorithm>
#include <exception>
#include <iostream>
#include <new>
#include <string>
#include <vector>

#include "apps/bench/bench.h"
#include "apps/cli/command_docs.h"
#include "apps/cli/commands.h"
#include "apps/common/arguments.h"
#include "apps/common/option_names.h"
#include "apps/common/output.h"
#include "apps/common/stop_signals.h"
#include "apps/common/utf8_stream.h"
#include "gumbelspec/error.h"

namespace gumbelspec::apps::cli {
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

int run(const std::vector<std::string>& given) {
  Arguments program("gumbelspec", "Exact speculative decoding with shared Gumbel noise");
  program.set_version(std::string("gumbelspec ") + GUMBELSPEC_VERSION);
  const std::vector<Command> commands = {add_generate(program),     add_chat(program),
                                         add_serve(program),        add_models(program),
                                         bench::add_bench(program), add_selftest(program),
                                         add_info(program),         add_print_docs(program)};
  program.set_footer(kFooter);
  if (const auto text = program.parse(given)) return print_and_exit(*text);
  const auto command = std::find_if(commands.begin(), commands.end(), [](const Command& candidate) {
    return candidate.arguments->is_parsed();
  });
  return command == commands.end() ? kExitBadInput : command->run();
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
    say(visible(message_of(error)));
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
}  // namespace gumbelspec::apps::cli

int main(int argc, char** argv) {
  gumbelspec::apps::install_stop_signals();
  return gumbelspec::apps::cli::run_and_report(std::vector<std::string>(argv + 1, argv + argc));
}
