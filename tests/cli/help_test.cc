#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/cli/process.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string help(const std::string& command) {
  const ProcessResult result = run_program({command, "--help"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err, "");
  return result.out;
}

const std::vector<std::string> kModelOptions = {"-m, --model",
                                                "-md, --model-draft",
                                                "-c, --ctx-size",
                                                "-t, --threads",
                                                "-ngl, --gpu-layers",
                                                "-ngld, --gpu-layers-draft",
                                                "-dev, --device",
                                                "-devd, --device-draft",
                                                "-ts, --tensor-split",
                                                "-sm, --split-mode",
                                                "-mg, --main-gpu",
                                                "--rpc",
                                                "--rpc-timeout",
                                                "--attention",
                                                "--no-mmap",
                                                "--no-kernels",
                                                "-v, --verbose",
                                                "-hf, --hf-repo",
                                                "-hfd, --hf-repo-draft",
                                                "-hff, --hf-file",
                                                "-hft, --hf-token",
                                                "-mu, --model-url",
                                                "--offline",
                                                "-ctk, --cache-type-k",
                                                "-ctv, --cache-type-v",
                                                "-ub, --ubatch-size",
                                                "-tb, --threads-batch",
                                                "-lm, --load-mode",
                                                "--mlock",
                                                "--numa",
                                                "-C, --cpu-mask",
                                                "-Cr, --cpu-range",
                                                "--rope-scaling",
                                                "--rope-scale",
                                                "--rope-freq-base",
                                                "--yarn-orig-ctx",
                                                "--override-kv",
                                                "-ot, --override-tensor",
                                                "-cmoe, --cpu-moe",
                                                "-ncmoe, --n-cpu-moe",
                                                "--lora",
                                                "--lora-scaled",
                                                "--control-vector"};
const std::vector<std::string> kSamplingOptions = {"--temp",
                                                   "--top-k",
                                                   "--top-p",
                                                   "--min-p",
                                                   "--repeat-penalty",
                                                   "--presence-penalty",
                                                   "--frequency-penalty",
                                                   "--repeat-last-n",
                                                   "-l, --logit-bias TOKEN(+/-)BIAS"};

void expect_all(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_THAT(text, HasSubstr(part));
}

TEST(Help, OfTheProgramNamesTheCommandsAndTheExitCodes) {
  const ProcessResult result = run_program({"--help"});
  EXPECT_EQ(result.exit_code, 0);
  expect_all(result.out,
             {"generate", "bench", "selftest", "info", "--version", "Exit codes", "130", "143"});
}

TEST(Help, OfGenerateNamesEveryOption) {
  const std::string text = help("generate");
  expect_all(text, kModelOptions);
  expect_all(text, kSamplingOptions);
  expect_all(text, {"-p, --prompt", "-f, --file", "-n, --predict", "-s, --seed", "--method",
                    "--json", "--stats", "--no-display-prompt", "--dump-tree", "--dump-round"});
  // Methods, defaults and limits.
  expect_all(text, {"gumbel-chain", "gumbel-beam", "(default: 128)", "2^64", "Exit codes"});
}

TEST(Help, OfChatNamesEveryOption) {
  const std::string text = help("chat");
  expect_all(text, kModelOptions);
  expect_all(text, kSamplingOptions);
  expect_all(text, {"-sys, --system-prompt", "-st, --single-turn", "-r, --reverse-prompt",
                    "--chat-template-file", "--color", "--show-drafts", "--reasoning-format",
                    "--hide-reasoning", "-s, --seed", "--method", "-e, --escape"});
}

TEST(Help, OfBenchNamesEveryOption) {
  const std::string text = help("bench");
  expect_all(text, kModelOptions);
  expect_all(text, kSamplingOptions);
  expect_all(text, {"--methods", "--temps", "--prompts", "--n-prompts", "-n, --predict", "--runs",
                    "-s, --seed", "--sweep", "--format", "--out"});
}

TEST(Help, OfSelftestNamesEveryOptionButTheSabotage) {
  const std::string text = help("selftest");
  expect_all(text, kModelOptions);
  expect_all(text, kSamplingOptions);
  expect_all(text, {"--quick", "--prompts", "--seeds", "-n, --predict", "--json"});
  EXPECT_THAT(text, Not(HasSubstr("sabotage")));
}

TEST(Help, OfServeNamesEveryOption) {
  const std::string text = help("serve");
  expect_all(text, kModelOptions);
  expect_all(text, kSamplingOptions);
  expect_all(text, {"-np, --parallel",  "--queue",
                    "-b, --batch-size", "--max-gap-ms",
                    "--cache-texts",    "--no-cache-prompt",
                    "-a, --alias",      "--host",
                    "--port",           "--api-key",
                    "--api-key-file",   "--ssl-cert-file",
                    "--ssl-key-file",   "--cors-origin",
                    "-to, --timeout",   "--request-timeout",
                    "--drain-timeout",  "--log-format",
                    "--method",         "--draft-max",
                    "--no-cost-cache",  "--tags",
                    "--api-prefix",     "--no-ui",
                    "-s, --seed",       "-n, --predict",
                    "--no-slots",       "--slot-save-path",
                    "--no-metrics"});
  EXPECT_THAT(text, Not(HasSubstr("--print-docs")));
  EXPECT_THAT(text, Not(HasSubstr("--context-shift"))) << "refused with its reason";
}

TEST(Help, OfInfoNamesTheModelOptions) { expect_all(help("info"), kModelOptions); }

TEST(Help, LinesFitIntoATerminal) {
  for (const char* command : {"generate", "chat", "serve", "models", "bench", "selftest", "info"}) {
    const std::string text = help(command);
    for (std::size_t begin = 0; begin < text.size();) {
      const std::size_t end = text.find('\n', begin);
      EXPECT_LE(end - begin, 100U) << text.substr(begin, end - begin);
      begin = end + 1;
    }
  }
}

TEST(Version, IsOneLine) {
  const ProcessResult result = run_program({"--version"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, StartsWith("gumbelspec "));
  EXPECT_EQ(n_lines(result.out), 1U);
}

}  // namespace
}  // namespace gumbelspec::testing
