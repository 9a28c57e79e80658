// gumbelspec chat in front of a user.
#include "tests/chat/terminal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

const std::vector<std::string> kChat = {"chat",
                                        "-t",
                                        "1",
                                        "-c",
                                        "512",
                                        "-s",
                                        "7",
                                        "-n",
                                        "12",
                                        "--method",
                                        "gumbel-chain:length=4",
                                        "--temp",
                                        "0.7",
                                        "--top-p",
                                        "0.95"};

std::vector<std::string> chat_with(const std::vector<std::string>& more) {
  std::vector<std::string> arguments = kChat;
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(ChatTerminal, EndsAtSigterm) {
  Terminal terminal(GUMBELSPEC_PROGRAM, kChat);
  terminal.wait_for("> ");
  terminal.type("half a line");
  terminal.send(SIGTERM);
  EXPECT_EQ(terminal.finish(), 128 + SIGTERM);
}

#ifdef GUMBELSPEC_HAS_LIBEDIT

TEST(ChatTerminal, EditsLinesAndKnowsEarlierOnes) {
  Terminal terminal(GUMBELSPEC_PROGRAM, kChat);
  terminal.wait_for("> ");
  // Backspace, the beginning of the line, a character of two bytes.
  terminal.type(
      "seeX\x7F"
      "d 42\x01/\x05\r");
  terminal.wait_for("gumbelspec: seed 42");
  terminal.wait_for("> ");
  terminal.type("/seed 43\r");
  terminal.wait_for("gumbelspec: seed 43");
  terminal.wait_for("> ");
  terminal.type("\x1B[A\x1B[A\r");
  terminal.wait_for("gumbelspec: seed 42");
  terminal.wait_for("> ");
  terminal.type("/sa\t\r");
  terminal.wait_for("/save needs a file");
  terminal.wait_for("> ");
  terminal.type("\x04");
  EXPECT_EQ(terminal.finish(), 0);
}

TEST(ChatTerminal, TakesPastedLinesAsOneMessage) {
  Terminal terminal(GUMBELSPEC_PROGRAM, kChat);
  terminal.wait_for("> ");
  terminal.type("\x1B[200~first line\nh\u00e9 second\x1B[201~\r");
  // The line is taken; the next prompt comes behind the answer.
  terminal.wait_for("\x1B[?2004l");
  terminal.wait_for("\x1B[?2004h> ");
  terminal.type("/history\r");
  terminal.wait_for("user: first line\r\nh\u00e9 second\r\nassistant:");
  terminal.type("\x04");
  EXPECT_EQ(terminal.finish(), 0);
}

#endif

TEST(ChatTerminal, ColorsAcceptedTokens) {
  Terminal terminal(GUMBELSPEC_PROGRAM,
                    chat_with({"-p", "The old house", "-st", "--show-drafts", "-n", "60"}));
  const std::string shown = terminal.wait_for("\x1B[32m");
  EXPECT_THAT(shown, Not(HasSubstr("\x1B[2m")));
  EXPECT_EQ(terminal.finish(), 0);
}

}  // namespace
}  // namespace gumbelspec::testing
