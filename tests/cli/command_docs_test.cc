#include "apps/cli/command_docs.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "apps/bench/bench.h"
#include "apps/cli/commands.h"

namespace gumbelspec::apps::cli {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

struct Program {
  Arguments app{"gumbelspec", "A test"};
  std::vector<Command> commands = {add_generate(app), add_chat(app),         add_serve(app),
                                   add_models(app),   bench::add_bench(app), add_selftest(app),
                                   add_info(app),     add_print_docs(app)};
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
  const std::string man = man_page(program.app);
  const std::string bash = bash_completion(program.app);
  const std::string zsh = zsh_completion(program.app);
  int n_options = 0;
  for (const Command& command : program.commands) {
    if (command.arguments->is_hidden()) continue;
    EXPECT_THAT(man, HasSubstr(".SS gumbelspec " + command.arguments->name() + "\n"));
    for (const Option& option : command.arguments->options()) {
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
  for (const std::string& text :
       {man_page(program.app), bash_completion(program.app), zsh_completion(program.app)}) {
    for (const char* hidden : {"sabotage", "--print-docs", "gumbelspec print-docs\n"}) {
      EXPECT_THAT(text, Not(HasSubstr(hidden)));
    }
  }
}

TEST(CommandDocs, OfferWordsThatTheProgramTakesAndNoOtherIsTaken) {
  int n_words = 0;
  Program listing;
  for (const Command& command : listing.commands) {
    for (const Option& option : command.arguments->options()) {
      const std::vector<std::string> words = choices_of(option);
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
  const std::string man = man_page(program.app);
  EXPECT_THAT(man, HasSubstr("\n\\&.not a command\n\\&'nor this\nback\\eslash\n"));
}

}  // namespace
}  // namespace gumbelspec::apps::cli
