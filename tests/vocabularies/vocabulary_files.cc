#include "tests/vocabularies/vocabulary_files.h"

#include <algorithm>
#include <fstream>
#include <iterator>
#include <ostream>
#include <sstream>

namespace gumbelspec::testing {
namespace {

constexpr VocabularyFile kAll[] = {
    {"aquila", "llama"},    {"baichuan", "llama"},       {"bert-bge", ""},
    {"command-r", "llama"}, {"deepseek-coder", "llama"}, {"deepseek-llm", "llama"},
    {"falcon", "llama"},    {"gemma-4", "gemma3"},       {"gpt-2", "gpt2"},
    {"gpt-neox", "llama"},  {"llama-bpe", "llama"},      {"llama-spm", "llama"},
    {"mpt", "llama"},       {"nomic-bert-moe", ""},      {"phi-3", "phi3"},
    {"qwen2", "qwen2"},     {"qwen35", "qwen3"},         {"refact", "llama"},
    {"starcoder", "llama"},
};

std::string read(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

void PrintTo(const VocabularyFile& file, std::ostream* out) { *out << file.name; }

std::string test_name(const ::testing::TestParamInfo<VocabularyFile>& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::span<const VocabularyFile> all_vocabularies() { return kAll; }

std::vector<VocabularyFile> generating_vocabularies() {
  std::vector<VocabularyFile> out;
  for (const VocabularyFile& file : kAll) {
    if (*file.architecture != '\0') out.push_back(file);
  }
  return out;
}

std::string path_of(const VocabularyFile& file) {
  return std::string(GUMBELSPEC_LLAMA_MODELS) + "/ggml-vocab-" + file.name + ".gguf";
}

internal::LlamaModelPtr load_vocabulary(const VocabularyFile& file) {
  internal::ModelFileOptions options;
  options.path = path_of(file);
  options.vocabulary_only = true;
  return internal::load_model_file(options, {});
}

TinyModel tiny_model_with(const VocabularyFile& file) {
  TinyModel tiny;
  tiny.architecture = file.architecture;
  tiny.vocabulary.file = path_of(file);
  tiny.weights = GGML_TYPE_Q8_0;
  tiny.embeddings = GGML_TYPE_Q8_0;
  tiny.n_context = 512;
  return tiny;
}

std::vector<KnownTokens> known_tokens(const VocabularyFile& file) {
  static const std::string kBetween = "\n__ggml_vocab_test__\n";
  std::vector<KnownTokens> out;
  std::string texts = read(path_of(file) + ".inp");
  std::istringstream lines(read(path_of(file) + ".out"));
  for (std::string line; std::getline(lines, line);) {
    const std::size_t end = std::min(texts.find(kBetween), texts.size());
    KnownTokens known{texts.substr(0, end), {}};
    texts.erase(0, end + kBetween.size());
    std::istringstream numbers(line);
    for (std::size_t id = 0; numbers >> id;) known.tokens.push_back(token_id(id));
    out.push_back(std::move(known));
  }
  return out;
}

}  // namespace gumbelspec::testing
