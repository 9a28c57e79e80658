// Damaged model files: each is refused in one line, or loaded and works. None ends the process.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_model.h"
#include "src/llama/abort_guard.h"
#include "tests/llama/gguf_mutator.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

// GUMBELSPEC_DAMAGED_FILES: another number of files, for a longer search; with ",FIRST" from there.
struct Range {
  std::uint64_t first = 0;
  std::uint64_t n = 200;
};

Range range() {
  Range out;
  if (const char* asked = std::getenv("GUMBELSPEC_DAMAGED_FILES")) {
    char* end = nullptr;
    out.n = std::strtoull(asked, &end, 10);
    if (*end == ',') out.first = std::strtoull(end + 1, nullptr, 10);
  }
  return out;
}

std::string tiny_file(const TemporaryFolder& folder) {
  TinyModel tiny;
  tiny.n_layer = 1;
  tiny.n_embd = 32;
  tiny.n_ff = 32;
  tiny.n_context = 64;
  write_tiny_model(tiny, folder.file("whole.gguf"));
  std::ifstream file(folder.file("whole.gguf"), std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

enum class Verdict : unsigned char { refused = 1, works = 2, wrong = 3 };

// Everything a program does with a model.
Verdict try_file(const std::string& path, const std::string& what) {
  try {
    LlamaModelOptions options;
    options.path = path;
    options.n_threads = 1;
    options.n_context = 16;
    const auto model = LlamaModel::load(options);
    std::vector<TokenId> tokens = {token_id(1 % model->limits().n_vocab)};
    try {
      tokens = model->tokenize("a bc\xC3\xA9 1");
    } catch (const Error& error) {
      if (error.code() != ErrorCode::invalid_model) throw;
    }
    if (tokens.empty()) tokens = {token_id(0)};
    const SeqId seq = model->open();
    const PassNode node{seq, kCommitted, tokens.front(), true};
    (void)model->evaluate({&node, 1});
    (void)model->row(0);
    (void)model->eos_text();
    (void)model->metadata("tokenizer.chat_template");
    for (std::size_t i = 0; i < model->limits().n_vocab; ++i) (void)model->piece(token_id(i));
    return Verdict::works;
  } catch (const Error& error) {
    const std::string said = error.what();
    const bool is_line = said.find('\n') == std::string::npos && said.size() < 2000;
    const bool is_told = error.code() == ErrorCode::invalid_model ||
                         error.code() == ErrorCode::out_of_memory ||
                         error.code() == ErrorCode::invalid_option;
    if (is_line && is_told) return Verdict::refused;
    ADD_FAILURE() << what << ": " << said;
  } catch (const std::exception& error) {
    ADD_FAILURE() << what << ": an exception of another kind: " << error.what();
  }
  return Verdict::wrong;
}

struct Counts {
  std::size_t n_refused = 0;
  std::size_t n_works = 0;
  std::vector<std::string> ended;  // the process
};

// In a child, which tells its verdicts over a pipe; where it dies, another one goes on behind the
// file that it died of.
Counts try_all(const GgufMutator& mutator, const std::string& path, const Range& range) {
  Counts counts;
  std::uint64_t number = range.first;
  while (number < range.first + range.n) {
    std::array<int, 2> pipe_ends{};
    if (pipe(pipe_ends.data()) != 0) throw std::runtime_error("pipe failed");
    const pid_t child = fork();
    if (child == 0) {
      close(pipe_ends[0]);
      for (std::uint64_t i = number; i < range.first + range.n; ++i) {
        const GgufMutator::Mutant mutant = mutator.mutant(i);
        std::ofstream(path, std::ios::binary) << mutant.file;
        const auto verdict = static_cast<char>(try_file(path, mutant.what));
        if (write(pipe_ends[1], &verdict, 1) != 1) _exit(3);
      }
      _exit(0);
    }
    close(pipe_ends[1]);
    for (char verdict = 0; read(pipe_ends[0], &verdict, 1) == 1; ++number) {
      counts.n_refused += verdict == static_cast<char>(Verdict::refused) ? 1U : 0U;
      counts.n_works += verdict == static_cast<char>(Verdict::works) ? 1U : 0U;
    }
    close(pipe_ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) break;
    counts.ended.push_back(mutator.mutant(number).what);
    ++number;
  }
  return counts;
}

TEST(DamagedFiles, AreRefusedInOneLineOrWork) {
  const TemporaryFolder folder;
  const GgufMutator mutator(tiny_file(folder));
  const Range files = range();
  const Counts counts = try_all(mutator, folder.file("mutant.gguf"), files);
  EXPECT_EQ(counts.ended, std::vector<std::string>()) << "these ended the process";
  EXPECT_EQ(counts.n_refused + counts.n_works, files.n) << "the others said something else";
  EXPECT_GT(counts.n_refused, files.n / 4) << "the damage is seen";
  EXPECT_GT(counts.n_works, files.n / 20) << "and not all of it matters";
}

// ggml_abort() is what GGML_ASSERT calls.
TEST(AbortGuard, ThrowsWhatWouldEndTheProcess) {
  const internal::AbortGuard outer;
  for (int i = 0; i < 2; ++i) {
    try {
      const internal::AbortGuard guard;
      ggml_abort("/some/where/file.c", 7, "%s", "one\ntwo");
      FAIL();
    } catch (const internal::AbortError& error) {
      EXPECT_STREQ(error.what(), "file.c:7: one two");
    }
  }
}

TEST(AbortGuardDeathTest, WithoutOneTheProcessEnds) {
  { const internal::AbortGuard guard; }
  EXPECT_DEATH(ggml_abort("file.c", 7, "%s", "on purpose"), "on purpose");
}

}  // namespace
}  // namespace gumbelspec::testing
