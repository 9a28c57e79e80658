// Outputs that fail, and the picture of a round.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <nlohmann/json.hpp>
#include <regex>
#include <string>

#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;

TEST(Output, AFullDiskIsAnErrorOnOneLine) {
  for (const char* format : {"--json", "--no-display-prompt"}) {
    const ProcessResult result =
        generate({"-p", "x", "-n", "8", "-s", "1", format}, {.output_path = "/dev/full"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(n_lines(result.err), 1U);
    EXPECT_THAT(result.err, HasSubstr("standard output cannot be written: No space left"));
  }
  const ProcessResult help = run_program({"--help"}, {.output_path = "/dev/full"});
  EXPECT_EQ(help.exit_code, 1);
}

TEST(Output, AReaderThatGoesAwayEndsTheProgramQuietly) {
  Process process(GUMBELSPEC_PROGRAM, {"generate", "-t", "1", "-p", "x", "-n", "-1", "-s", "1"});
  process.wait_for_output(1);
  process.close_output();
  const ProcessResult result = process.finish();
  EXPECT_EQ(result.exit_code, 128 + SIGPIPE);
  EXPECT_EQ(result.err, "");
}

std::size_t n_matches(const std::string& text, const std::string& pattern) {
  const std::regex regex(pattern);
  return static_cast<std::size_t>(
      std::distance(std::sregex_iterator(text.begin(), text.end(), regex), std::sregex_iterator()));
}

TEST(DumpTree, WritesTheRoundWithTheMostAcceptedTokens) {
  const TemporaryFile file("");
  const ProcessResult result = generate({"-p", "The old house", "-n", "64", "-s", "7", "--method",
                                         "gumbel-beam", "--json", "--dump-tree", file.path()});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string dot = file.content();
  EXPECT_EQ(std::count(dot.begin(), dot.end(), '{'), 1);
  EXPECT_EQ(std::count(dot.begin(), dot.end(), '}'), 1);
  // A beam of 4 x 5 and its root; all nodes but the root have a parent, the target's choice too.
  EXPECT_EQ(n_matches(dot, "\n  n[0-9]+ \\[label="), 21U);
  EXPECT_EQ(n_matches(dot, "\n  n[0-9]+ -> n[0-9]+"), 20U);
  EXPECT_EQ(n_matches(dot, "\n  n[0-9]+ -> choice "), 1U);
  EXPECT_THAT(dot, HasSubstr(", 5 accepted"));
}

TEST(DumpTree, GraphvizReadsIt) {
  const TemporaryFile file("");
  ASSERT_EQ(
      generate({"-p", "He said: \"", "-n", "40", "-s", "7", "--dump-tree", file.path()}).exit_code,
      0);
  const ProcessResult dot = Process("/usr/bin/dot", {"-Tsvg", file.path()}).finish();
  if (dot.exit_code == 127) GTEST_SKIP() << "Graphviz is not installed";
  EXPECT_EQ(dot.exit_code, 0);
  EXPECT_EQ(dot.err, "");
  EXPECT_THAT(dot.out, HasSubstr("</svg>"));
}

TEST(DumpTree, WritesTheRoundAskedFor) {
  const TemporaryFile file("");
  ASSERT_EQ(generate({"-p", "The old house", "-n", "40", "-s", "7", "--dump-tree", file.path(),
                      "--dump-round", "2"})
                .exit_code,
            0);
  EXPECT_THAT(file.content(), HasSubstr("round 2:"));
}

TEST(DumpTree, ARoundThatDoesNotComeIsAnError) {
  const TemporaryFile file("");
  const ProcessResult result = generate({"-p", "The old house", "-n", "8", "-s", "7", "--dump-tree",
                                         file.path(), "--dump-round", "99"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(n_lines(result.err), 1U);
  EXPECT_THAT(result.err, HasSubstr("--dump-round is 99, but the last round is "));
}

TEST(DumpTree, AFileThatCannotBeWrittenIsAnError) {
  const ProcessResult missing =
      generate({"-p", "x", "-n", "4", "-s", "7", "--dump-tree", "/no/such/folder/x.dot"});
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_EQ(missing.out, "");
  EXPECT_THAT(missing.err, HasSubstr("/no/such/folder/x.dot"));
  const ProcessResult full =
      generate({"-p", "x", "-n", "4", "-s", "7", "--dump-tree", "/dev/full"});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(full.err, HasSubstr("\"/dev/full\" cannot be written: No space left"));
}

}  // namespace
}  // namespace gumbelspec::testing
