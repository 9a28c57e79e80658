// Loading: what is accepted, and one clear line for everything else.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_grammar.h"
#include "gumbelspec/llama_model.h"
#include "gumbelspec/token_constraint.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

const std::string kModels = GUMBELSPEC_MODELS_DIR;
const std::string kDraft = kModels + "/demo-draft-q8_0.gguf";

LlamaModelOptions options_for(const std::string& path) {
  LlamaModelOptions options;
  options.path = path;
  return options;
}

void expect_refused(const LlamaModelOptions& options, ErrorCode code, const std::string& part) {
  ::testing::internal::CaptureStderr();
  try {
    const auto model = LlamaModel::load(options);
    ADD_FAILURE() << options.path << " was loaded";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    EXPECT_THAT(error.what(), AllOf(HasSubstr(part), Not(HasSubstr("\n"))));
  }
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream(path, std::ios::binary) << content;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(Loading, RefusesAMissingFile) {
  expect_refused(options_for("/nowhere/at all.gguf"), ErrorCode::file_not_found, "does not exist");
}

TEST(Loading, RefusesADirectory) {
  expect_refused(options_for(kModels), ErrorCode::file_not_found, "is a directory");
}

TEST(Loading, RefusesAnUnreadableFile) {
  if (geteuid() == 0) GTEST_SKIP() << "root reads everything";
  const TemporaryFolder folder;
  const std::string path = folder.file("locked.gguf");
  write_file(path, "GGUF");
  std::filesystem::permissions(path, std::filesystem::perms::none);
  expect_refused(options_for(path), ErrorCode::file_not_found, "cannot be opened");
}

TEST(Loading, RefusesAnEmptyFile) {
  const TemporaryFolder folder;
  write_file(folder.file("empty.gguf"), "");
  expect_refused(options_for(folder.file("empty.gguf")), ErrorCode::invalid_model, "is empty");
}

TEST(Loading, RefusesAFileThatIsNotGguf) {
  const TemporaryFolder folder;
  write_file(folder.file("text.gguf"), "It was a dark and stormy night.");
  expect_refused(options_for(folder.file("text.gguf")), ErrorCode::invalid_model,
                 "it begins with \"It w\"");
}

TEST(Loading, RefusesATruncatedFileWhereverItEnds) {
  const TemporaryFolder folder;
  const std::string whole = read_file(kDraft);
  for (const std::size_t n : {std::size_t{4}, std::size_t{20}, std::size_t{4000}}) {
    write_file(folder.file("short.gguf"), whole.substr(0, n));
    expect_refused(options_for(folder.file("short.gguf")), ErrorCode::invalid_model, "damaged");
  }
  for (const std::size_t n : {whole.size() / 2, whole.size() - 1}) {
    write_file(folder.file("short.gguf"), whole.substr(0, n));
    expect_refused(options_for(folder.file("short.gguf")), ErrorCode::invalid_model, "truncated");
  }
}

TEST(Loading, RefusesFilesOfAnotherVersionOrOrderOfBytes) {
  const TemporaryFolder folder;
  std::string content = read_file(kDraft);
  const std::pair<const char*, const char*> kCases[] = {
      {"\x01\0\0\0", "GGUF version 1, but llama.cpp reads 2 and 3"},
      {"\x04\0\0\0", "GGUF version 4, but llama.cpp 0.5.0 reads 2 to 3"},
      {"\0\0\0\x02", "order of bytes"},
      {"\0\0\0\x03", "order of bytes"},
      {"\0\0\0\0", "damaged"}};
  for (const auto& [version, part] : kCases) {
    content.replace(4, 4, version, 4);
    write_file(folder.file("other.gguf"), content);
    expect_refused(options_for(folder.file("other.gguf")), ErrorCode::invalid_model, part);
  }
}

TEST(Loading, RefusesMoreOrFewerLayersThanLlamaCppTakes) {
  const TemporaryFolder folder;
  for (const std::int64_t n_layer : {0, 513, 100000}) {
    TinyModel tiny;
    tiny.n_layer_said = n_layer;
    write_tiny_model(tiny, folder.file("tiny.gguf"));
    expect_refused(options_for(folder.file("tiny.gguf")), ErrorCode::invalid_model,
                   "has " + std::to_string(n_layer) + " layers (\"llama.block_count\")");
  }
}

TEST(Loading, RefusesTwoTokensWithOneText) {
  const TemporaryFolder folder;
  TinyModel tiny;
  tiny.vocabulary.renamed[300] = "x";
  write_tiny_model(tiny, folder.file("tiny.gguf"));
  expect_refused(options_for(folder.file("tiny.gguf")), ErrorCode::invalid_model,
                 "token \"x\" twice, as 282 and 300");
}

TEST(Loading, TakesFilesWithEveryAlignment) {
  const TemporaryFolder folder;
  const std::string path = folder.file("tiny.gguf");
  std::vector<Logits> rows;
  for (const std::uint32_t alignment : {8U, 16U, 32U, 64U}) {
    // Names of different lengths move the data to other places.
    for (int length = 0; length < 32; length += 3) {
      TinyModel tiny;
      tiny.alignment = alignment;
      tiny.vocabulary.renamed[300] = std::string(static_cast<std::size_t>(length) + 2, 'x');
      write_tiny_model(tiny, path);
      const auto model = LlamaModel::load(options_for(path));
      const PassNode node{model->open(), kCommitted, token_id(5), true};
      ASSERT_EQ(model->evaluate({&node, 1}), PassOutcome::ok);
      rows.emplace_back(model->row(0).begin(), model->row(0).end());
      EXPECT_TRUE(same_bits(rows.back(), rows.front())) << alignment << ", " << length;
    }
  }
}

TEST(Loading, TakesAModelWithoutVocabularyButNoTexts) {
  const TemporaryFolder folder;
  TinyModel tiny;
  tiny.vocabulary.is_there = false;
  write_tiny_model(tiny, folder.file("tiny.gguf"));
  const auto model = LlamaModel::load(options_for(folder.file("tiny.gguf")));
  EXPECT_EQ(model->limits().n_vocab, 320U);
  const PassNode node{model->open(), kCommitted, token_id(5), true};
  EXPECT_EQ(model->evaluate({&node, 1}), PassOutcome::ok);
  EXPECT_EQ(model->piece(token_id(5)), "");
  EXPECT_EQ(model->eos_text(), "");
  EXPECT_FALSE(model->is_end(token_id(2)));
  EXPECT_NO_THROW(LlamaModel::require_same_vocabulary(*model, *model));
  const auto expect_no_texts = [](auto&& call) {
    try {
      call();
      ADD_FAILURE() << "a text was taken";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_model);
      EXPECT_THAT(error.what(), HasSubstr("has no vocabulary"));
    }
  };
  expect_no_texts([&] { (void)model->tokenize("a"); });
  expect_no_texts([&] { (void)compile_grammar(*model, "root ::= \"a\""); });
}

TEST(Loading, RefusesAVocabularyWithoutWeights) {
  const std::string path = std::string(GUMBELSPEC_LLAMA_MODELS) + "/ggml-vocab-llama-spm.gguf";
  expect_refused(options_for(path), ErrorCode::invalid_model, "no weights");
}

TEST(Loading, RefusesWhatIsNoCausalDecoder) {
  const TemporaryFolder folder;
  TinyModel tiny;
  tiny.n_head_kv = tiny.n_head;
  const std::pair<const char*, const char*> kCases[] = {
      {"nosuch", "unknown model architecture: 'nosuch'"},
      {"bert", "bert, keeps no cache"},
      {"t5", "t5, has an encoder"},
      {"llama-embed", "llama-embed, has no output head (it makes embeddings)"}};
  for (const auto& [architecture, part] : kCases) {
    tiny.architecture = architecture;
    write_tiny_model(tiny, folder.file("tiny.gguf"));
    expect_refused(options_for(folder.file("tiny.gguf")), ErrorCode::invalid_model, part);
  }
}

TEST(Loading, RefusesFilesMadeForEmbeddingsOrRanking) {
  const TemporaryFolder folder;
  const std::string path = folder.file("tiny.gguf");
  for (const char* architecture : {"llama", "qwen2"}) {
    TinyModel tiny;
    tiny.architecture = architecture;
    for (const int pooling : {1, 2, 3, 4}) {
      tiny.pooling_type = pooling;
      write_tiny_model(tiny, path);
      expect_refused(options_for(path), ErrorCode::invalid_model,
                     "embeddings or ranks texts (" + std::string(architecture) +
                         ".pooling_type is " + std::to_string(pooling) + "); use a causal");
    }
    tiny.pooling_type = 0;
    write_tiny_model(tiny, path);
    EXPECT_NO_THROW(LlamaModel::load(options_for(path))) << "no pooling";
    tiny.is_causal = false;
    write_tiny_model(tiny, path);
    expect_refused(options_for(path), ErrorCode::invalid_model, "is not causal");
  }
}

TEST(Loading, RefusesOptionsOutsideTheirLimits) {
  LlamaModelOptions options = options_for(kDraft);
  options.n_context = 5000;
  expect_refused(options, ErrorCode::invalid_option, "n_context is 5000 tokens, but");
  expect_refused(options, ErrorCode::invalid_option, "at most 1024");
  options = options_for(kDraft);
  options.n_sequences = 0;
  expect_refused(options, ErrorCode::invalid_option, "n_sequences is 0");
  options = options_for(kDraft);
  options.max_pass_nodes = 1 << 20;
  expect_refused(options, ErrorCode::invalid_option, "max_pass_nodes is 1048576");
  options = options_for(kDraft);
  options.n_threads = -3;
  expect_refused(options, ErrorCode::invalid_option, "n_threads is -3");
}

TEST(Loading, StopsWhenProgressSaysSo) {
  LlamaModelOptions options = options_for(kDraft);
  options.on_progress = [](float) { return false; };
  expect_refused(options, ErrorCode::invalid_model, "on_progress returned false");
}

TEST(Loading, PassesAnExceptionOfTheProgressCallbackOn) {
  LlamaModelOptions options = options_for(kDraft);
  options.on_progress = [](float) -> bool { throw std::domain_error("mine"); };
  EXPECT_THROW(LlamaModel::load(options), std::domain_error);
}

TEST(Loading, ReportsProgressAndMessagesButPrintsNothing) {
  float last = -1;
  std::size_t n_lines = 0;
  LlamaModelOptions options = options_for(kDraft);
  options.on_progress = [&](float value) {
    EXPECT_GE(value, last);
    last = value;
    return true;
  };
  options.on_log = [&](std::string_view line) {
    EXPECT_EQ(line.find('\n'), std::string_view::npos);
    ++n_lines;
  };
  ::testing::internal::CaptureStderr();
  LlamaModel::load(options).reset();
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "");
  EXPECT_FLOAT_EQ(last, 1.0F);
  EXPECT_GT(n_lines, 10U);
}

TEST(Loading, DescribesTheModelAndItsLimits) {
  const auto model = LlamaModel::load(options_for(kDraft));
  EXPECT_EQ(model->description(), "llama 0.926 M Q8_0");
  EXPECT_GE(model->n_threads(), 1);
  const ModelLimits& limits = model->limits();
  EXPECT_EQ(limits.n_vocab, 4096U);
  EXPECT_EQ(limits.n_context, 1024U);
  EXPECT_EQ(limits.max_pass_nodes, 256U);
  EXPECT_GE(limits.max_leaves, 64U);
  EXPECT_TRUE(limits.can_branch);
  EXPECT_TRUE(limits.can_drop);
  EXPECT_THAT(LlamaModel::backend_description(), HasSubstr("llama.cpp"));
}

TEST(Loading, TakesTheThreadsAskedFor) {
  LlamaModelOptions options = options_for(kDraft);
  options.n_threads = 3;
  EXPECT_EQ(LlamaModel::load(options)->n_threads(), 3);
}

}  // namespace
}  // namespace gumbelspec::testing
