// Long runs of one kind of character: llama.cpp's regular expressions recurse over them.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>

#include "gguf.h"
#include "gumbelspec/error.h"
#include "src/llama/deep_stack.h"
#include "src/llama/utf8.h"
#include "src/llama/vocabulary.h"
#include "tests/llama/llama_fixture.h"
#include "tests/vocabularies/vocabulary_files.h"

namespace gumbelspec::testing {
namespace {

// llama.cpp's ways to split texts, and what of one character has no room in an ordinary stack.
struct Split {
  const char* pre;
  const char* unit;
};
constexpr Split kSplits[] = {
    {"default", "7"},        {"deepseek-llm", " "},
    {"deepseek-coder", "a"}, {"deepseek-v3", "\n"},
    {"falcon", ","},         {"tekken", "\xE4\xB8\xAD"},
    {"gpt-4o", "A"},         {"bloom", "\xF0\x9F\x98\x80"},
    {"exaone-moe", "a b "},  {"seed-coder", ","},
    {"gpt-2", "a"},
};

internal::LlamaModelPtr load_with(const std::string& pre, const TemporaryFolder& folder) {
  const std::string source = std::string(GUMBELSPEC_LLAMA_MODELS) + "/ggml-vocab-gpt-2.gguf";
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> gguf(
      gguf_init_from_file(source.c_str(), {true, nullptr}), &gguf_free);
  gguf_set_val_str(gguf.get(), "tokenizer.ggml.pre", pre.c_str());
  internal::ModelFileOptions options;
  options.path = folder.file("vocab.gguf");
  options.vocabulary_only = true;
  gguf_write_to_file(gguf.get(), options.path.c_str(), true);
  return internal::load_model_file(options, {});
}

std::string repeated(const std::string& unit, std::size_t n_characters) {
  std::string text;
  for (std::size_t n = 0; n < n_characters; n += internal::n_characters(unit)) text += unit;
  return text;
}

std::string text_of(const llama_vocab* vocab, const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) text += internal::piece_of(vocab, token);
  return text;
}

// 8 MiB of stack, which is usual, end at some 26,000 characters of a match.
TEST(LongTexts, AreTokenizedWhateverTheVocabularySplitsThemBy) {
  const TemporaryFolder folder;
  for (const Split& split : kSplits) {
    const internal::LlamaModelPtr model = load_with(split.pre, folder);
    const llama_vocab* vocab = llama_model_get_vocab(model.get());
    const std::string text = repeated(split.unit, 40'000);
    EXPECT_EQ(text_of(vocab, internal::tokenize(vocab, text, {.adds_special = false})), text)
        << split.pre;
  }
}

TEST(LongTexts, AreTokenizedOnThreadsWithLittleStackToo) {
  const TemporaryFolder folder;
  const internal::LlamaModelPtr model = load_with("deepseek-llm", folder);
  const llama_vocab* vocab = llama_model_get_vocab(model.get());
  const std::string text = repeated("7", 100'000);
  std::string back;
  internal::run_with_stack(std::size_t{512} << 10U, [&] {
    back = text_of(vocab, internal::tokenize(vocab, text, {.adds_special = false}));
  });
  EXPECT_EQ(back, text);
}

TEST(LongTexts, AreRefusedWhereNoStackIsLongEnough) {
  const TemporaryFolder folder;
  const internal::LlamaModelPtr model = load_with("gpt-2", folder);
  try {
    (void)internal::tokenize(llama_model_get_vocab(model.get()), repeated("7", 5'000'000));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::prompt_too_long);
    EXPECT_STREQ(
        error.what(),
        "the text has 5000000 characters, at most 4194304 can be tokenized for this model; "
        "shorten it");
  }
}

TEST(DeepStack, GivesOnWhatIsThrown) {
  const auto fail = [] { throw Error(ErrorCode::invalid_prompt, "x"); };
  EXPECT_THROW(internal::run_with_stack(1, fail), Error);
  const auto here = std::this_thread::get_id();
  internal::run_with_stack(1, [&] { EXPECT_NE(std::this_thread::get_id(), here); });
}

TEST(DeepStack, SaysThatThereIsNoRoom) {
  try {
    internal::run_with_stack(std::size_t{1} << 60U, [] {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::out_of_memory);
  }
}

}  // namespace
}  // namespace gumbelspec::testing
