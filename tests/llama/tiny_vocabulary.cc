#include "tests/llama/tiny_vocabulary.h"

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace gumbelspec::testing {
namespace {

// Of the file's other values none fits a tiny model.
void copy_vocabulary(gguf_context* gguf, const std::string& path) {
  const std::unique_ptr<gguf_context, decltype(&gguf_free)> file(
      gguf_init_from_file(path.c_str(), {true, nullptr}), &gguf_free);
  if (file == nullptr || gguf_find_key(file.get(), "tokenizer.ggml.tokens") < 0) {
    throw std::runtime_error("no tokenizer in " + path);
  }
  std::vector<std::string> others;
  for (std::int64_t i = 0; i < gguf_get_n_kv(file.get()); ++i) {
    const std::string key = gguf_get_key(file.get(), i);
    if (key.rfind("tokenizer.", 0) != 0) others.push_back(key);
  }
  for (const std::string& key : others) gguf_remove_key(file.get(), key.c_str());
  gguf_set_kv(gguf, file.get());
}

void make_vocabulary(gguf_context* gguf, const TinyVocabulary& vocabulary) {
  std::vector<std::string> texts;
  std::vector<std::int32_t> types;
  std::vector<float> scores;
  const auto add = [&](std::string text, int type) {
    if (const auto renamed = vocabulary.renamed.find(static_cast<int>(texts.size()));
        renamed != vocabulary.renamed.end()) {
      text = renamed->second;
    }
    scores.push_back(-static_cast<float>(texts.size()));
    texts.push_back(std::move(text));
    types.push_back(type);
  };
  add("<unk>", 2);
  add("<s>", 3);
  add("</s>", 3);
  static constexpr char kHex[] = "0123456789ABCDEF";
  for (unsigned byte = 0; byte < 256; ++byte) {
    add(std::string("<0x") + kHex[byte / 16] + kHex[byte % 16] + ">", 6);
  }
  for (char letter = 'a'; letter <= 'z'; ++letter) add(std::string(1, letter), 1);
  add("\xE2\x96\x81", 1);
  while (static_cast<int>(texts.size()) < vocabulary.n_tokens) {
    add("\xE2\x96\x81w" + std::to_string(texts.size()), 1);
  }
  for (int i = 0; i < vocabulary.n_unused; ++i) add("[PAD" + std::to_string(i) + "]", 5);
  for (int i = 0; i < vocabulary.n_control; ++i) add("<ctl" + std::to_string(i) + ">", 3);
  std::vector<const char*> pointers;
  for (const std::string& text : texts) pointers.push_back(text.c_str());
  gguf_set_val_str(gguf, "tokenizer.ggml.model", "llama");
  gguf_set_arr_str(gguf, "tokenizer.ggml.tokens", pointers.data(), pointers.size());
  gguf_set_arr_data(gguf, "tokenizer.ggml.scores", GGUF_TYPE_FLOAT32, scores.data(), scores.size());
  gguf_set_arr_data(gguf, "tokenizer.ggml.token_type", GGUF_TYPE_INT32, types.data(), types.size());
  gguf_set_val_u32(gguf, "tokenizer.ggml.bos_token_id", 1);
  gguf_set_val_u32(gguf, "tokenizer.ggml.eos_token_id", 2);
  gguf_set_val_bool(gguf, "tokenizer.ggml.add_bos_token", vocabulary.add_bos);
  gguf_set_val_bool(gguf, "tokenizer.ggml.add_eos_token", false);
}

}  // namespace

void write_vocabulary(gguf_context* gguf, const TinyVocabulary& vocabulary) {
  if (!vocabulary.file.empty()) {
    copy_vocabulary(gguf, vocabulary.file);
  } else if (vocabulary.is_there) {
    make_vocabulary(gguf, vocabulary);
  } else {
    gguf_set_val_str(gguf, "tokenizer.ggml.model", "none");
  }
  if (!vocabulary.chat_template.empty()) {
    gguf_set_val_str(gguf, "tokenizer.chat_template", vocabulary.chat_template.c_str());
  }
}

}  // namespace gumbelspec::testing
