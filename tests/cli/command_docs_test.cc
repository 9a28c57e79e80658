#include "apps/cli/command_docs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "apps/cli/commands.h"

namespace gumbelspec::testing {
namespace {

using cli::Command;
using ::testing::HasSubstr;
using ::testing::Not;

struct Program {
  cli::Arguments app{"gumbelspec", "A test"};
  std::vector<Command> commands = {cli::add_generate(app), cli::add_serve(app),
                                   cli::add_bench(app),    cli::add_selftest(app),
                                   cli::add_info(app),     cli::add_print_docs(app)};
  Program() { app.set_footer("The end."); }
};

// As a man page writes it.
std::string escaped(std::string text) {
  for (std::size_t at = text.find('-'); at != std::string::npos; at = text.find('-', at + 2)) {
    text.insert(at, "\\");
  }
  return text;
}

TEST(CommandDocs, NameEveryOptionOfEveryCommandThatTheHelpNames) {
  const Program program;
  const std::string man = cli::man_page(program.app);
  const std::string bash = cli::bash_completion(program.app);
  const std::string zsh = cli::zsh_completion(program.app);
  int n_options = 0;
  for (const Command& command : program.commands) {
    if (command.arguments->is_hidden()) continue;
    EXPECT_THAT(man, HasSubstr(".SS gumbelspec " + command.arguments->name() + "\n"));
    for (const cli::Option& option : command.arguments->options()) {
      if (option.is_hidden()) continue;
      ++n_options;
      const std::string name = option.names().back();
      EXPECT_THAT(man, HasSubstr("\\fB" + escaped(name) + "\\fR"));
      EXPECT_THAT(bash, HasSubstr(name));
      EXPECT_THAT(zsh, HasSubstr("'" + name + "["));
    }
  }
  EXPECT_GT(n_options, 100);
}

TEST(CommandDocs, DoNotNameWhatTheHelpHides) {
  const Program program;
  for (const std::string& text : {cli::man_page(program.app), cli::bash_completion(program.app),
                                  cli::zsh_completion(program.app)}) {
    for (const char* hidden : {"sabotage", "--print-docs", "gumbelspec print-docs\n"}) {
      EXPECT_THAT(text, Not(HasSubstr(hidden)));
    }
  }
}

TEST(CommandDocs, OfferWordsThatTheProgramTakesAndNoOtherIsTaken) {
  int n_words = 0;
  Program listing;
  for (const Command& command : listing.commands) {
    for (const cli::Option& option : command.arguments->options()) {
      const std::vector<std::string> words = cli::choices_of(option);
      const std::string name = option.names().empty() ? "" : option.names().back();
      if (words.empty()) {
        // Names of things of the user's own.
        const std::vector<std::string> own = {"--alias", "--sabotage"};
        EXPECT_TRUE(option.type() != "NAME" || std::find(own.begin(), own.end(), name) != own.end())
            << name << " takes a NAME, and none is offered";
        continue;
      }
      const auto parse = [&](const std::string& word) {
        Program program;
        (void)program.app.parse({command.arguments->name(), name, word});
      };
      for (const std::string& word : words) {
        EXPECT_NO_THROW(parse(word)) << name << " " << word;
        ++n_words;
      }
      EXPECT_THROW(parse("neither"), Error) << name;
    }
  }
  EXPECT_GT(n_words, 20);
}

TEST(CommandDocs, AManPageHasNoLineThatTroffWouldTakeForACommand) {
  Program program;
  program.app.set_footer(".not a command\n'nor this\nback\\slash");
  const std::string man = cli::man_page(program.app);
  EXPECT_THAT(man, HasSubstr("\n\\&.not a command\n\\&'nor this\nback\\eslash\n"));
}

}  // namespace
}  // namespace gumbelspec::testing
