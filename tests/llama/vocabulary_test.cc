// Tokens and text, and whether two models share a vocabulary.
#include "src/llama/vocabulary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_model.h"
#include "src/llama/model_file.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;

std::unique_ptr<LlamaModel> load_demo(const std::string& name) {
  LlamaModelOptions options;
  options.path = std::string(GUMBELSPEC_MODELS_DIR) + "/" + name;
  options.n_context = 64;
  return LlamaModel::load(options);
}

std::string text_of(const LlamaModel& model, const std::vector<TokenId>& tokens) {
  std::string text;
  for (const TokenId token : tokens) text += model.piece(token);
  return text;
}

TEST(Vocabulary, GivesTheTextBack) {
  const auto model = load_demo("demo-draft-q8_0.gguf");
  for (const std::string text : {"The old house", "caf\xC3\xA9 \xF0\x9F\x98\x80", "<s>", "a\nb"}) {
    EXPECT_EQ(text_of(*model, model->tokenize(text)), " " + text);
  }
  EXPECT_TRUE(model->tokenize("").empty());
}

TEST(Vocabulary, AddsTheBosThatTheModelAsksForAndParsesNone) {
  TinyModel tiny;
  EXPECT_EQ(load_tiny(tiny)->tokenize(""), std::vector<TokenId>{token_id(1)});
  EXPECT_EQ(load_tiny(tiny)->tokenize("</s>").front(), token_id(1));
  EXPECT_GT(load_tiny(tiny)->tokenize("</s>").size(), 3U) << "text, not a control token";
  tiny.vocabulary.add_bos = false;
  EXPECT_TRUE(load_tiny(tiny)->tokenize("").empty());
}

TEST(Vocabulary, RefusesTextThatIsNotUtf8) {
  const auto model = load_demo("demo-draft-q8_0.gguf");
  try {
    (void)model->tokenize("good \xFF bad");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::invalid_prompt);
    EXPECT_THAT(error.what(), HasSubstr("byte 5 is \"\\xff\""));
  }
}

TEST(Vocabulary, KnowsEndTokensAndControlPieces) {
  const auto model = load_tiny({});
  EXPECT_TRUE(model->is_end(token_id(2)));
  EXPECT_FALSE(model->is_end(token_id(1)));
  EXPECT_FALSE(model->is_end(token_id(100000)));
  EXPECT_EQ(model->piece(token_id(2)), "");
  EXPECT_EQ(model->piece(token_id(3 + 0xC3)), "\xC3") << "a part of a character";
  EXPECT_EQ(model->piece(token_id(100000)), "");
}

void expect_mismatch(const TinyVocabulary& target, const TinyVocabulary& draft,
                     const std::string& part) {
  TinyModel left;
  left.vocabulary = target;
  TinyModel right;
  right.vocabulary = draft;
  try {
    LlamaModel::require_same_vocabulary(*load_tiny(left), *load_tiny(right));
    ADD_FAILURE() << "accepted; expected " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::vocabulary_mismatch);
    EXPECT_THAT(error.what(), HasSubstr(part));
  }
}

void expect_match(const TinyVocabulary& target, const TinyVocabulary& draft) {
  TinyModel left;
  left.vocabulary = target;
  TinyModel right;
  right.vocabulary = draft;
  EXPECT_NO_THROW(LlamaModel::require_same_vocabulary(*load_tiny(left), *load_tiny(right)));
}

TEST(SameVocabulary, HoldsForTheDemoPair) {
  const auto target = load_demo("demo-target-q8_0.gguf");
  for (const char* draft : {"demo-draft-q8_0.gguf", "demo-draft-weak-q8_0.gguf"}) {
    EXPECT_NO_THROW(LlamaModel::require_same_vocabulary(*target, *load_demo(draft)));
  }
}

TEST(SameVocabulary, AllowsPaddingAtTheEnd) {
  TinyVocabulary plain;
  TinyVocabulary padded;
  padded.n_unused = 12;
  padded.n_control = 4;
  expect_match(plain, padded);
  expect_match(padded, plain);
  TinyVocabulary renamed = padded;
  renamed.renamed[321] = "[another pad]";
  expect_match(padded, renamed);
}

TEST(SameVocabulary, RefusesTheFirstTokenThatDiffers) {
  TinyVocabulary target;
  TinyVocabulary draft;
  draft.renamed[300] = "two\nlines";
  draft.renamed[301] = "later";
  expect_mismatch(target, draft,
                  "token 300 is \"\xE2\x96\x81w300\" in the target but \"two\\x0alines\"");
}

TEST(SameVocabulary, RefusesMoreWords) {
  TinyVocabulary target;
  TinyVocabulary draft;
  draft.n_tokens = 321;
  expect_mismatch(target, draft, "token 320 is nothing in the target (320 tokens)");
  expect_mismatch(draft, target, "token 320 is \"\xE2\x96\x81w320\" in the target");
}

TEST(SameVocabulary, RefusesAnotherKindOfToken) {
  TinyVocabulary target;
  target.n_unused = 1;
  target.renamed[320] = "same";
  TinyVocabulary draft;
  draft.n_tokens = 321;
  draft.renamed[320] = "same";
  expect_mismatch(target, draft, "\"same\" (unused) in the target but \"same\" (normal)");
}

TEST(SameVocabulary, RefusesAnotherUseOfBos) {
  TinyVocabulary target;
  TinyVocabulary draft;
  draft.add_bos = false;
  expect_mismatch(target, draft, "only the target puts BOS");
}

// llama.cpp's own vocabularies have no weights, so they are compared one layer below.
TEST(SameVocabulary, TellsLlamaCppsVocabulariesApart) {
  const std::string folder = std::string(GUMBELSPEC_LLAMA_MODELS) + "/ggml-vocab-";
  const auto load = [&](const std::string& name) {
    internal::ModelFileOptions options;
    options.path = folder + name + ".gguf";
    options.vocabulary_only = true;
    return internal::load_model_file(options, {});
  };
  std::vector<internal::LlamaModelPtr> models;
  for (const char* name : {"gpt-2", "llama-bpe", "llama-spm", "phi-3", "qwen2"}) {
    models.push_back(load(name));
  }
  for (const auto& target_model : models) {
    const llama_vocab* target = llama_model_get_vocab(target_model.get());
    const std::string text = "Hello, world! 1234";
    std::string back;
    for (const TokenId token : internal::tokenize(target, text)) {
      back += internal::piece_of(target, token);
    }
    EXPECT_THAT(back, HasSubstr(text));
    for (const auto& draft_model : models) {
      const llama_vocab* draft = llama_model_get_vocab(draft_model.get());
      EXPECT_EQ(internal::vocabulary_difference(target, draft).has_value(), target != draft);
    }
  }
}

}  // namespace
}  // namespace gumbelspec::testing
