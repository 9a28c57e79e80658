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

TEST(ChatTerminal, StopsAnAnswerWithCtrlCAndGoesOn) {
  Terminal terminal(GUMBELSPEC_PROGRAM, chat_with({"-n", "-1", "--ignore-eos"}));
  terminal.wait_for("> ");
  terminal.type("The old house\r");
  terminal.wait_for("The old house");
  // Some of the answer is there.
  terminal.wait_for("\n");
  terminal.type("\x03");
  terminal.wait_for("gumbelspec: stopped; /regenerate");
  terminal.wait_for("> ");
  terminal.type("/seed\r");
  terminal.wait_for("gumbelspec: seed 7");
  terminal.wait_for("> ");
  // At the prompt it drops the line.
  terminal.type("nonsense\x03");
  terminal.wait_for("nonsense^C");
  terminal.type("/seed 8\r");
  terminal.wait_for("gumbelspec: seed 8");
  terminal.wait_for("> ");
  terminal.type("\x04");
  EXPECT_EQ(terminal.finish(), 0);
}

TEST(ChatTerminal, EndsAtSigterm) {
  Terminal terminal(GUMBELSPEC_PROGRAM, kChat);
  terminal.wait_for("> ");
  terminal.type("half a line");
  terminal.send(SIGTERM);
  EXPECT_EQ(terminal.finish(), 128 + SIGTERM);
}

TEST(ChatTerminal, IsTheTerminalItWasBefore) {
  Terminal terminal(GUMBELSPEC_PROGRAM, kChat);
  const std::string before = terminal.mode();
  terminal.wait_for("> ");
  terminal.type("/seed 3\r");
  terminal.wait_for("gumbelspec: seed 3");
  terminal.type("\x04");
  terminal.drain();
  EXPECT_EQ(terminal.mode(), before);
  EXPECT_EQ(terminal.finish(), 0);
}

TEST(ChatTerminal, IsTheTerminalItWasBeforeWhereASignalKills) {
  for (const int signal : {SIGQUIT, SIGHUP}) {
    Terminal terminal(GUMBELSPEC_PROGRAM, kChat);
    const std::string before = terminal.mode();
    terminal.wait_for("> ");
    terminal.send(signal);
    terminal.drain();
    EXPECT_EQ(terminal.mode(), before) << signal;
    EXPECT_EQ(terminal.finish(), 128 + signal);
  }
}

#ifdef GUMBELSPEC_HAS_LIBEDIT

TEST(ChatTerminal, KeepsWhatIsTypedWhileAnAnswerIsWritten) {
  Terminal terminal(GUMBELSPEC_PROGRAM, chat_with({"-n", "60", "--ignore-eos"}));
  terminal.wait_for("> ");
  terminal.type("The old house\r");
  terminal.wait_for("\n");
  // A command that is edited, a line of its own, and the end.
  terminal.type(
      "/seex\x7F"
      "d 9\r");
  terminal.type("/seed 10\r\x04");
  terminal.wait_for("gumbelspec: seed 9");
  terminal.wait_for("gumbelspec: seed 10");
  EXPECT_EQ(terminal.finish(), 0);
}

TEST(ChatTerminal, KnowsWhereCtrlCWasTyped) {
  // All at once: the terminal has the keys before the program looks at any of them.
  Terminal terminal(GUMBELSPEC_PROGRAM, chat_with({"-n", "-1", "--ignore-eos"}));
  terminal.wait_for("> ");
  terminal.type("drop this\x03/seed 11\rThe old house\r\x03/seed 12\r");
  terminal.wait_for("gumbelspec: seed 11");
  terminal.wait_for("gumbelspec: stopped; /regenerate");
  terminal.wait_for("gumbelspec: seed 12");
  terminal.type("/history\r");
  terminal.wait_for("user: The old house\r\nassistant:");
  terminal.type("\x04");
  EXPECT_EQ(terminal.finish(), 0);
}

TEST(ChatTerminal, SaysHowToLeaveAtCtrlCOnAnEmptyLine) {
  Terminal terminal(GUMBELSPEC_PROGRAM, kChat);
  terminal.wait_for("> ");
  terminal.type("\x03");
  terminal.wait_for("gumbelspec: Ctrl-D or /quit ends");
  terminal.type("\x04");
  EXPECT_EQ(terminal.finish(), 0);
}

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
  terminal.wait_for("> ");
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
