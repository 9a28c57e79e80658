// Vectors of texts, by llama.cpp's own functions: one text alone in a context of its own.
#include <gguf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <llama.h>

#include <cmath>
#include <cstddef>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gumbelspec/error.h"
#include "gumbelspec/llama_embedder.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;
using Text = std::vector<TokenId>;
using Vectors = std::vector<std::vector<float>>;

constexpr std::size_t kVocabulary = 320;
// A pass over several texts adds up in another order, and attention does so in float16. Numbers are
// about 1; texts that saw each other would be apart by a tenth and more.
constexpr float kRounding = 1e-2F;

std::string written(const TinyModel& tiny, const TemporaryFolder& folder) {
  std::string path = folder.file("tiny.gguf");
  write_tiny_model(tiny, path);
  return path;
}

LlamaEmbedderOptions options_of(const std::string& path, Pooling pooling) {
  LlamaEmbedderOptions options;
  options.model.path = path;
  options.model.use_mmap = false;
  options.model.n_threads = 1;
  options.model.n_sequences = 4;
  options.model.n_context = 128;
  options.pooling = pooling;
  options.max_tokens = 64;
  return options;
}

std::unique_ptr<LlamaEmbedder> load(const TinyModel& tiny, Pooling pooling) {
  const TemporaryFolder folder;
  return LlamaEmbedder::load(options_of(written(tiny, folder), pooling));
}

struct Free {
  void operator()(llama_model* model) const { llama_model_free(model); }
  void operator()(llama_context* context) const { llama_free(context); }
};

// What llama.cpp makes of each text alone; all of its vectors without pooling.
Vectors of_llama(const TinyModel& tiny, enum llama_pooling_type pooling,
                 const std::vector<Text>& texts) {
  const TemporaryFolder folder;
  llama_model_params load = llama_model_default_params();
  load.load_mode = LLAMA_LOAD_MODE_NONE;
  const std::unique_ptr<llama_model, Free> model(
      llama_model_load_from_file(written(tiny, folder).c_str(), load));
  Vectors out;
  for (const Text& text : texts) {
    llama_context_params params = llama_context_default_params();
    params.n_ctx = params.n_batch = params.n_ubatch = 128;
    params.n_threads = params.n_threads_batch = 1;
    params.embeddings = true;
    params.pooling_type = pooling;
    const std::unique_ptr<llama_context, Free> context(llama_init_from_model(model.get(), params));
    llama_batch batch = llama_batch_init(128, 0, 1);
    for (const TokenId token : text) {
      const std::int32_t i = batch.n_tokens++;
      batch.token[i] = static_cast<llama_token>(token);
      batch.pos[i] = i;
      batch.n_seq_id[i] = 1;
      batch.seq_id[i][0] = 0;
      batch.logits[i] = 1;
    }
    EXPECT_EQ(llama_decode(context.get(), batch), 0);
    std::vector<float> vector;
    const int n = pooling == LLAMA_POOLING_TYPE_RANK ? 1 : llama_model_n_embd_out(model.get());
    if (pooling == LLAMA_POOLING_TYPE_NONE) {
      for (std::int32_t i = 0; i < batch.n_tokens; ++i) {
        const float* row = llama_get_embeddings_ith(context.get(), i);
        vector.insert(vector.end(), row, row + n);
      }
    } else {
      const float* row = llama_get_embeddings_seq(context.get(), 0);
      vector.assign(row, row + n);
    }
    llama_batch_free(batch);
    out.push_back(std::move(vector));
  }
  return out;
}

std::vector<Text> some_texts() {
  std::mt19937 random(7);
  std::vector<Text> texts;
  for (const std::size_t n : {3, 17, 1, 60, 9, 20, 30, 5, 2}) {
    texts.push_back(random_text(random, n, kVocabulary));
  }
  return texts;
}

float difference(const std::vector<float>& left, const std::vector<float>& right) {
  float most = 0.0F;
  for (std::size_t i = 0; i < std::min(left.size(), right.size()); ++i) {
    most = std::max(most, std::abs(left[i] - right[i]));
  }
  return most;
}

struct Kind {
  const char* architecture;
  Pooling pooling;
  enum llama_pooling_type llama;
};

TEST(Embedder, MakesTheVectorsOfLlamaCpp) {
  const std::vector<Text> texts = some_texts();
  for (const Kind kind : {Kind{"bert", Pooling::mean, LLAMA_POOLING_TYPE_MEAN},
                          Kind{"bert", Pooling::cls, LLAMA_POOLING_TYPE_CLS},
                          Kind{"bert", Pooling::last, LLAMA_POOLING_TYPE_LAST},
                          Kind{"bert", Pooling::none, LLAMA_POOLING_TYPE_NONE},
                          Kind{"bert", Pooling::rank, LLAMA_POOLING_TYPE_RANK},
                          Kind{"llama", Pooling::mean, LLAMA_POOLING_TYPE_MEAN},
                          Kind{"llama", Pooling::last, LLAMA_POOLING_TYPE_LAST},
                          Kind{"gemma3", Pooling::none, LLAMA_POOLING_TYPE_NONE},
                          Kind{"qwen3", Pooling::cls, LLAMA_POOLING_TYPE_CLS}}) {
    SCOPED_TRACE(std::string(kind.architecture) + " " + to_string(kind.pooling));
    TinyModel tiny;
    tiny.architecture = kind.architecture;
    tiny.ranks = kind.pooling == Pooling::rank;
    tiny.n_head_kv = tiny.architecture == "bert" ? tiny.n_head : tiny.n_head_kv;
    const auto embedder = load(tiny, kind.pooling);
    EXPECT_EQ(embedder->pooling(), kind.pooling);
    EXPECT_EQ(embedder->max_tokens(), 64U);
    const Vectors oracle = of_llama(tiny, kind.llama, texts);
    // Twice: nothing is left of the first time.
    for (int time = 0; time < 2; ++time) {
      const Vectors ours = embedder->embed(texts);
      ASSERT_EQ(ours.size(), texts.size());
      for (std::size_t i = 0; i < texts.size(); ++i) {
        ASSERT_EQ(ours[i].size(), oracle[i].size());
        EXPECT_LT(difference(ours[i], oracle[i]), kRounding) << i;
      }
    }
    // Different texts have different vectors, or the comparison would say nothing.
    EXPECT_GT(difference(oracle[0], oracle[1]), 10 * kRounding);
  }
}

// Whatever makes a vector differ from that of its text alone: it is not what the others say.
TEST(Embedder, WhatOtherTextsSayChangesNoBitOfAVector) {
  std::mt19937 random(3);
  for (const char* architecture : {"bert", "llama", "gemma3"}) {
    for (const Pooling pooling : {Pooling::mean, Pooling::cls, Pooling::last, Pooling::none}) {
      SCOPED_TRACE(std::string(architecture) + " " + to_string(pooling));
      TinyModel tiny;
      tiny.architecture = architecture;
      tiny.n_head_kv = tiny.architecture == "bert" ? tiny.n_head : tiny.n_head_kv;
      const auto embedder = load(tiny, pooling);
      const Text text = random_text(random, 9, kVocabulary);
      for (const std::size_t place : {0, 1, 2}) {
        Vectors first;
        for (int time = 0; time < 3; ++time) {
          std::vector<Text> texts = {random_text(random, 17, kVocabulary),
                                     random_text(random, 5, kVocabulary)};
          texts.insert(texts.begin() + static_cast<std::ptrdiff_t>(place), text);
          const Vectors vectors = embedder->embed(texts);
          if (time == 0) first = vectors;
          EXPECT_EQ(vectors[place], first[place]) << place;
          EXPECT_TRUE(time == 0 || vectors[(place + 1) % 3] != first[(place + 1) % 3]);
        }
      }
    }
  }
}

// A copy of the file with one tensor of another type; its name, or none behind the last one.
std::string with_other_type(const std::string& from, const std::string& to, std::int64_t n) {
  ggml_context* data = nullptr;
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> source(
      gguf_init_from_file(from.c_str(), {/*no_alloc=*/false, &data}), &gguf_free);
  const std::unique_ptr<ggml_context, decltype(&ggml_free)> tensors(data, &ggml_free);
  if (n >= gguf_get_n_tensors(source.get())) return {};
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> copy(gguf_init_empty(), &gguf_free);
  gguf_set_kv(copy.get(), source.get());
  std::string changed;
  for (std::int64_t i = 0; i < gguf_get_n_tensors(source.get()); ++i) {
    const char* name = gguf_get_tensor_name(source.get(), i);
    ggml_tensor* tensor = ggml_get_tensor(tensors.get(), name);
    gguf_add_tensor(copy.get(), tensor);
    if (i != n || tensor->type != GGML_TYPE_F32 || tensor->ne[0] % 32 != 0) continue;
    changed = name;
    const std::int64_t n_rows = ggml_nrows(tensor);
    std::vector<float> values(static_cast<std::size_t>(ggml_nelements(tensor)));
    std::memcpy(values.data(), tensor->data, ggml_nbytes(tensor));
    ggml_quantize_chunk(GGML_TYPE_Q8_0, values.data(), tensor->data, 0, n_rows, tensor->ne[0],
                        nullptr);
    gguf_set_tensor_type(copy.get(), name, GGML_TYPE_Q8_0);
  }
  gguf_write_to_file(copy.get(), to.c_str(), /*only_meta=*/false);
  return changed.empty() ? "none" : changed;
}

// ggml ends the process when a pass comes to what it does not compute.
TEST(Embedder, AFileWithAQuantizedTensorIsReadOrRefused) {
  const TemporaryFolder folder;
  TinyModel tiny;
  tiny.architecture = "bert";
  tiny.n_head_kv = tiny.n_head;
  const std::string original = written(tiny, folder);
  const std::string path = folder.file("other.gguf");
  std::vector<std::string> refused;
  std::size_t n_read = 0;
  for (std::int64_t i = 0;; ++i) {
    const std::string name = with_other_type(original, path, i);
    if (name.empty()) break;
    if (name == "none") continue;
    SCOPED_TRACE(name);
    try {
      const auto embedder = LlamaEmbedder::load(options_of(path, Pooling::mean));
      const std::vector<Text> texts = {{TokenId{5}, TokenId{6}, TokenId{7}}, {TokenId{8}}};
      EXPECT_EQ(embedder->embed(texts).size(), 2U);
      ++n_read;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::invalid_model);
      EXPECT_THAT(error.what(), HasSubstr("convert it again"));
      EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos);
      refused.push_back(name);
    }
  }
  EXPECT_GT(n_read, 5U) << "matrices";
  EXPECT_THAT(refused, ::testing::Contains("token_types.weight"));
}

TEST(Embedder, TakesThePoolingOfTheFile) {
  TinyModel tiny;
  tiny.architecture = "bert";
  tiny.n_head_kv = tiny.n_head;
  tiny.pooling_type = LLAMA_POOLING_TYPE_CLS;
  EXPECT_EQ(load(tiny, Pooling::model)->pooling(), Pooling::cls);
  EXPECT_EQ(load(tiny, Pooling::mean)->pooling(), Pooling::mean);
  EXPECT_EQ(load(TinyModel(), Pooling::model)->pooling(), Pooling::none);
}

std::string refusal_of(const TinyModel& tiny, const LlamaEmbedderOptions& given) {
  const TemporaryFolder folder;
  LlamaEmbedderOptions options = given;
  options.model.path = written(tiny, folder);
  try {
    (void)LlamaEmbedder::load(options);
  } catch (const Error& error) {
    return error.what();
  }
  return "loaded";
}

TEST(Embedder, RefusesModelsThatMakeNoVectors) {
  TinyModel t5;
  t5.architecture = "t5";
  EXPECT_THAT(refusal_of(t5, options_of("", Pooling::mean)), HasSubstr("encoder and a decoder"));
  EXPECT_THAT(refusal_of(TinyModel(), options_of("", Pooling::rank)), HasSubstr("cls.weight"));
  LlamaEmbedderOptions long_one = options_of("", Pooling::mean);
  long_one.model.n_context = 4096;
  EXPECT_THAT(refusal_of(TinyModel(), long_one), HasSubstr("trained for 1024"));
  EXPECT_THROW((void)parse_pooling("max"), Error);
  EXPECT_EQ(parse_pooling("rank"), Pooling::rank);
}

TEST(Embedder, RefusesTextsThatItCannotRead) {
  const auto embedder = load(TinyModel(), Pooling::mean);
  const auto code_of = [&](const std::vector<Text>& texts) {
    try {
      (void)embedder->embed(texts);
    } catch (const Error& error) {
      return error.code();
    }
    return ErrorCode::peer_lost;
  };
  const Text good(64, token_id(5));
  EXPECT_EQ(code_of({good, {}}), ErrorCode::invalid_prompt);
  EXPECT_EQ(code_of({good, {token_id(kVocabulary)}}), ErrorCode::invalid_prompt);
  EXPECT_EQ(code_of({good, Text(65, token_id(5))}), ErrorCode::prompt_too_long);
  EXPECT_EQ(embedder->embed(std::vector<Text>{good}).size(), 1U);
  EXPECT_TRUE(embedder->embed({}).empty());
}

TEST(Embedder, EndsAPassThatIsCancelled) {
  bool is_cancelled = false;
  const TemporaryFolder folder;
  TinyModel tiny;
  LlamaEmbedderOptions options = options_of(written(tiny, folder), Pooling::mean);
  options.model.is_cancelled = [&] { return is_cancelled; };
  const auto embedder = LlamaEmbedder::load(options);
  const std::vector<Text> texts = some_texts();
  const Vectors whole = embedder->embed(texts);
  is_cancelled = true;
  EXPECT_THROW((void)embedder->embed(texts), Error);
  is_cancelled = false;
  EXPECT_EQ(embedder->embed(texts), whole);
}

TEST(Embedder, NormalizesAsLlamaCppsProgramsDo) {
  const std::vector<float> vector = {3.0F, -4.0F, 0.0F};
  const auto by = [&](int norm) {
    std::vector<float> out = vector;
    normalize(out, norm);
    return out;
  };
  EXPECT_EQ(by(-1), vector);
  EXPECT_LT(difference(by(0), {24570.0F, -32760.0F, 0.0F}), 0.01F);
  EXPECT_LT(difference(by(1), {3.0F / 7, -4.0F / 7, 0.0F}), 1e-6F);
  EXPECT_LT(difference(by(2), {0.6F, -0.8F, 0.0F}), 1e-6F);
  const auto cubes = static_cast<float>(std::cbrt(27.0 + 64.0));
  EXPECT_LT(difference(by(3), {3.0F / cubes, -4.0F / cubes, 0.0F}), 1e-6F);
  std::vector<float> zeros(4, 0.0F);
  normalize(zeros, 2);
  EXPECT_EQ(zeros, std::vector<float>(4, 0.0F));
}

TEST(Embedder, PutsTheVocabularysTokensAroundAPair) {
  TinyModel tiny;
  tiny.architecture = "bert";
  tiny.n_head_kv = tiny.n_head;
  tiny.ranks = true;
  const auto embedder = load(tiny, Pooling::rank);
  const auto text = [&](const char* words) {
    return embedder->tokenize(words, {.adds_special = false});
  };
  Text expected = {token_id(1)};  // the vocabulary adds its first token, and no last one
  for (const char* words : {"abc", "de <s>"}) {
    const Text more = text(words);
    expected.insert(expected.end(), more.begin(), more.end());
  }
  EXPECT_EQ(embedder->pair_tokens("abc", "de <s>"), expected);
}

}  // namespace
}  // namespace gumbelspec::testing
