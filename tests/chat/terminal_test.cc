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

TEST(ChatTerminal, ColorsAcceptedTokens) {
  Terminal terminal(GUMBELSPEC_PROGRAM,
                    chat_with({"-p", "The old house", "-st", "--show-drafts", "-n", "60"}));
  const std::string shown = terminal.wait_for("\x1B[32m");
  EXPECT_THAT(shown, Not(HasSubstr("\x1B[2m")));
  EXPECT_EQ(terminal.finish(), 0);
}

}  // namespace
}  // namespace gumbelspec::testing
