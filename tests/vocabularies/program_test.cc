// Real vocabularies through the program: what `generate` prints and what `serve` streams is the
// text that the bytes of the tokens say.
#include <gtest/gtest.h>
#include <httplib.h>

#include <csignal>
#include <string>
#include <vector>

#include "tests/cli/process.h"
#include "tests/vocabularies/naive_utf8.h"
#include "tests/vocabularies/served_model.h"

namespace gumbelspec::testing {
namespace {

constexpr const char* kPrompt =
    "The caf\xC3\xA9 \xF0\x9F\x91\x8D\xF0\x9F\x8F\xBD of\n\xE4\xB8\xAD\xE6\x96\x87";
constexpr std::uint64_t kSeed = 7;
constexpr int kTokens = 40;

// One of every kind of tokenizer, by pre-tokenizer and by how it has bytes. Without the kernels,
// which the library of these tests does not have.
class VocabularyProgram : public ::testing::TestWithParam<VocabularyFile> {
 protected:
  void SetUp() override {
    write_tiny_model(tiny_model_with(GetParam()), file_.path());
    std::string bytes;
    ServedModel model(GetParam());
    for (const std::string& piece : model.pieces(kPrompt, kSeed, kTokens)) bytes += piece;
    text_ = naive_utf8(bytes);
  }
  const TemporaryFile file_{""};
  std::string text_;
};
INSTANTIATE_TEST_SUITE_P(LlamaCpp, VocabularyProgram,
                         ::testing::Values(VocabularyFile{"llama-bpe", "llama"},
                                           VocabularyFile{"llama-spm", "llama"},
                                           VocabularyFile{"falcon", "llama"},
                                           VocabularyFile{"gemma-4", "gemma3"},
                                           VocabularyFile{"phi-3", "phi3"}),
                         test_name);

TEST_P(VocabularyProgram, GeneratePrintsTheText) {
  std::vector<std::string> arguments = {"-m",          file_.path(),
                                        "-c",          "512",
                                        "-p",          kPrompt,
                                        "-s",          std::to_string(kSeed),
                                        "-n",          std::to_string(kTokens),
                                        "--no-kernels"};
  const std::string printed = generate(arguments).out;
  EXPECT_EQ(printed, kPrompt + text_ + "\n");
  arguments.emplace_back("--json");
  const ProcessResult result = generate(arguments);
  ASSERT_TRUE(json::accept(result.out)) << result.out << result.err;
  EXPECT_EQ(json::parse(result.out)["text"], text_);
}

TEST_P(VocabularyProgram, ServeStreamsTheText) {
  Process server(GUMBELSPEC_PROGRAM, {"serve", "-t", "1", "--port", "0", "-m", file_.path(), "-c",
                                      "512", "--no-kernels"});
  const std::string& said = server.wait_for_errors_with("gumbelspec: ready");
  const std::string before = "listening on http://127.0.0.1:";
  httplib::Client client("127.0.0.1", std::stoi(said.substr(said.find(before) + before.size())));
  client.set_read_timeout(120);
  const json request = {
      {"prompt", kPrompt}, {"max_tokens", kTokens}, {"seed", kSeed}, {"stream", true}};
  const auto answer = client.Post("/v1/completions", request.dump(), "application/json");
  ASSERT_TRUE(answer);
  std::string streamed;
  const std::string start = "data: ";
  for (std::size_t at = 0; (at = answer->body.find(start, at)) != std::string::npos;) {
    at += start.size();
    const std::string event = answer->body.substr(at, answer->body.find('\n', at) - at);
    if (event == "[DONE]") break;
    const json parsed = json::parse(event);
    if (parsed["choices"].empty()) continue;
    const std::string part = parsed["choices"][0]["text"];
    EXPECT_EQ(naive_utf8(part), part) << "half a character";
    streamed += part;
  }
  EXPECT_EQ(streamed, text_);
  server.send(SIGTERM);
  EXPECT_EQ(server.finish().exit_code, 0);
}

}  // namespace
}  // namespace gumbelspec::testing
