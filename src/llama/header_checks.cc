#include "src/llama/header_checks.h"

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gumbelspec/error.h"
#include "src/llama/utf8.h"

namespace gumbelspec::internal {
namespace {

constexpr const char* kDraftedIds = "d2t";

[[noreturn]] void fail(const std::string& path, const std::string& what) {
  throw Error(ErrorCode::invalid_model, "model file " + printable(path) + " " + what, "path");
}

// llama.cpp would end in a complaint about a tensor that a model of weights must have.
void check_has_weights(const std::string& path, const gguf_context* gguf) {
  // The first part of a split model may hold metadata only.
  const bool is_split = gguf_find_key(gguf, "split.count") >= 0;
  if (gguf_get_n_tensors(gguf) == 0 && !is_split) {
    fail(path, "holds a vocabulary but no weights; give the model's own .gguf file");
  }
}

// llama.cpp aborts outside this range; its LLAMA_MAX_LAYERS is not in llama.h.
void check_block_count(const std::string& path, const gguf_context* gguf) {
  constexpr std::uint32_t kMaxBlocks = 512;
  const std::int64_t name = gguf_find_key(gguf, "general.architecture");
  if (name < 0 || gguf_get_kv_type(gguf, name) != GGUF_TYPE_STRING) return;
  const std::string key = std::string(gguf_get_val_str(gguf, name)) + ".block_count";
  const std::int64_t count = gguf_find_key(gguf, key.c_str());
  // llama.cpp says what is wrong with another type.
  if (count < 0 || gguf_get_kv_type(gguf, count) != GGUF_TYPE_UINT32) return;
  const std::uint32_t n = gguf_get_val_u32(gguf, count);
  if (n >= 1 && n <= kMaxBlocks) return;
  fail(path, "has " + std::to_string(n) + " layers (" + printable(key) +
                 "), but llama.cpp takes 1 to " + std::to_string(kMaxBlocks) +
                 "; convert it again");
}

// llama.cpp aborts at two tokens with one text. Empty ones it gives texts of their own.
void check_tokens_differ(const std::string& path, const gguf_context* gguf) {
  const std::int64_t key = gguf_find_key(gguf, "tokenizer.ggml.tokens");
  if (key < 0 || gguf_get_kv_type(gguf, key) != GGUF_TYPE_ARRAY ||
      gguf_get_arr_type(gguf, key) != GGUF_TYPE_STRING) {
    return;
  }
  std::unordered_map<std::string_view, std::size_t> tokens;
  const std::size_t n = gguf_get_arr_n(gguf, key);
  tokens.reserve(n);
  for (std::size_t i = 0; i < n; ++i) {
    const std::string_view text = gguf_get_arr_str(gguf, key, i);
    const auto [known, is_new] = tokens.emplace(text, i);
    if (is_new || text.empty()) continue;
    fail(path, "has the token " + printable(text) + " twice, as " + std::to_string(known->second) +
                   " and " + std::to_string(i) + "; convert it again");
  }
}

// Types that only exist within a computation; ggml ends the process where a weight has one. I32 is
// that of tables in some models.
bool is_type_of_weights(ggml_type type) {
  switch (type) {
    case GGML_TYPE_I8:
    case GGML_TYPE_I16:
    case GGML_TYPE_I64:
    case GGML_TYPE_F64:
    case GGML_TYPE_Q8_1:
    case GGML_TYPE_Q8_K:
      return false;
    default:
      return true;
  }
}

void check_tensor_types(const std::string& path, const gguf_context* gguf) {
  for (std::int64_t i = 0; i < gguf_get_n_tensors(gguf); ++i) {
    const std::string_view name = gguf_get_tensor_name(gguf, i);
    const ggml_type type = gguf_get_tensor_type(gguf, i);
    const bool is_table = name.find("tid2eid") != std::string_view::npos;
    if (is_type_of_weights(type) && (type != GGML_TYPE_I32 || is_table)) continue;
    if (name == kDraftedIds && type == GGML_TYPE_I64) continue;  // see check_drafted_ids()
    fail(path, "has the tensor " + printable(name) + " of type " + ggml_type_name(type) +
                   ", which no weights have; download or convert it again");
  }
}

// The ids of the tokens that an EAGLE-3 head can draft: llama.cpp ends the process in the middle of
// a pass where one is none of the vocabulary.
void check_drafted_ids(const std::string& path, const gguf_context* gguf) {
  const std::int64_t tensor = gguf_find_tensor(gguf, kDraftedIds);
  const std::int64_t tokens = gguf_find_key(gguf, "tokenizer.ggml.tokens");
  if (tensor < 0 || tokens < 0 || gguf_get_kv_type(gguf, tokens) != GGUF_TYPE_ARRAY) return;
  if (gguf_get_tensor_type(gguf, tensor) != GGML_TYPE_I64) {
    fail(path, std::string("has token ids (d2t) of type ") +
                   ggml_type_name(gguf_get_tensor_type(gguf, tensor)) +
                   ", but llama.cpp reads i64; convert it again");
  }
  const auto n_vocab = static_cast<std::int64_t>(gguf_get_arr_n(gguf, tokens));
  std::vector<std::int64_t> ids(gguf_get_tensor_size(gguf, tensor) / sizeof(std::int64_t));
  std::ifstream file(path, std::ios::binary);
  file.seekg(static_cast<std::streamoff>(gguf_get_data_offset(gguf) +
                                         gguf_get_tensor_offset(gguf, tensor)));
  file.read(reinterpret_cast<char*>(ids.data()),
            static_cast<std::streamsize>(ids.size() * sizeof ids[0]));
  if (!file) fail(path, "ends within its token ids (d2t); download or convert it again");
  for (const std::int64_t id : ids) {
    if (id >= 0 && id < n_vocab) continue;
    fail(path, "drafts the token " + std::to_string(id) + " (d2t), but its vocabulary has " +
                   std::to_string(n_vocab) + "; download or convert it again");
  }
}

// No number of a model is none; and ggml ends the process at a negative epsilon.
void check_numbers(const std::string& path, const gguf_context* gguf) {
  for (std::int64_t i = 0; i < gguf_get_n_kv(gguf); ++i) {
    if (gguf_get_kv_type(gguf, i) != GGUF_TYPE_FLOAT32) continue;
    const std::string_view key = gguf_get_key(gguf, i);
    const float value = gguf_get_val_f32(gguf, i);
    const bool is_epsilon = key.find("epsilon") != std::string_view::npos;
    if (!std::isnan(value) && (!is_epsilon || (value >= 0.0F && !std::isinf(value)))) continue;
    fail(path, "says that " + printable(key) + " is " + std::to_string(value) +
                   ", which cannot be; download or convert it again");
  }
}

}  // namespace

void check_header(const std::string& path, const gguf_context* gguf, bool vocabulary_only) {
  if (!vocabulary_only) {
    check_has_weights(path, gguf);
    check_block_count(path, gguf);
    check_tensor_types(path, gguf);
    check_drafted_ids(path, gguf);
    check_numbers(path, gguf);
  }
  check_tokens_differ(path, gguf);
}

}  // namespace gumbelspec::internal
