// Writes small GGUF models with random weights, so that architectures can be tested without
// downloading any.
#ifndef GUMBELSPEC_TESTS_LLAMA_TINY_MODEL_H_
#define GUMBELSPEC_TESTS_LLAMA_TINY_MODEL_H_

#include <cstdint>
#include <map>
#include <string>

#include "ggml.h"

namespace gumbelspec::testing {

// A SentencePiece vocabulary: unknown, BOS (1), EOS (2), the 256 bytes, then words.
struct TinyVocabulary {
  std::string
      file;  // a GGUF file whose tokenizer it is instead; of the rest only chat_template counts
  int n_tokens = 320;
  int n_unused = 0;   // padding after them, of type unused
  int n_control = 0;  // control tokens after that
  bool add_bos = true;
  bool is_there = true;                // false: only the number of tokens
  std::map<int, std::string> renamed;  // token -> text
  std::string chat_template;           // Jinja; empty: that of the file, or none
};

struct TinyModel {
  // llama, qwen2, qwen3, gemma2, gemma3, phi2, phi3, gpt2, mamba, jamba, bert, t5, cogvlm,
  // chameleon (with at least 8,196 tokens); any other name gets llama's tensors.
  std::string architecture = "llama";
  std::int64_t n_layer = 2;
  std::int64_t n_layer_said = -1;  // what the file says instead; -1: the truth
  std::int64_t n_embd = 64;
  std::int64_t n_head = 4;
  std::int64_t n_head_kv = 2;
  std::int64_t n_ff = 96;
  std::int64_t n_context = 1024;
  std::int64_t n_window = 32;  // of sliding-window layers
  // phi3: the context up to which the short rotation factors hold; 0: no factors.
  std::int64_t n_context_original = 0;
  ggml_type weights = GGML_TYPE_F32;         // of matrices; vectors are F32
  ggml_type narrow_weights = GGML_TYPE_F32;  // of those with rows that weights cannot have
  ggml_type embeddings = GGML_TYPE_F32;
  std::uint64_t seed = 1;
  int pooling_type = -1;  // llama.cpp's number; -1: the file does not say
  bool ranks = false;     // bert: with a head of one score
  bool is_causal = true;
  std::uint32_t alignment = 32;  // of the tensors in the file
  TinyVocabulary vocabulary;
};

// Throws: std::runtime_error if the file cannot be written.
void write_tiny_model(const TinyModel& model, const std::string& path);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_LLAMA_TINY_MODEL_H_
