// What the files that we take from llama.cpp's common/ want of its common.h, which would bring
// llama.h, the command line, downloads, ... The functions that need a model are there for the
// compiler: we give templates as text, and nobody calls them.
#ifndef GUMBELSPEC_APPS_LLAMA_COMMON_COMMON_H_
#define GUMBELSPEC_APPS_LLAMA_COMMON_COMMON_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

struct llama_model;
struct llama_vocab;
using llama_token = std::int32_t;
using llama_tokens = std::vector<llama_token>;
inline constexpr llama_token LLAMA_TOKEN_NULL = -1;

struct llama_chat_message {
  const char* role;
  const char* content;
};

enum common_reasoning_format {
  COMMON_REASONING_FORMAT_NONE,
  COMMON_REASONING_FORMAT_AUTO,
  COMMON_REASONING_FORMAT_DEEPSEEK_LEGACY,
  COMMON_REASONING_FORMAT_DEEPSEEK,
};

enum common_grammar_trigger_type {
  COMMON_GRAMMAR_TRIGGER_TYPE_TOKEN,
  COMMON_GRAMMAR_TRIGGER_TYPE_WORD,
  COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN,
  COMMON_GRAMMAR_TRIGGER_TYPE_PATTERN_FULL,
};

struct common_grammar_trigger {
  common_grammar_trigger_type type;
  std::string value;
  llama_token token = LLAMA_TOKEN_NULL;
};

std::string string_format(const char* format, ...);
std::string string_strip(const std::string& text);
std::string string_join(const std::vector<std::string>& values, const std::string& separator);
std::vector<std::string> string_split(const std::string& text, const std::string& delimiter);
std::string string_repeat(const std::string& text, std::size_t n);
void string_replace_all(std::string& text, const std::string& search, const std::string& replace);

inline bool string_starts_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}
inline bool string_starts_with(std::string_view text, char prefix) {
  return !text.empty() && text.front() == prefix;
}
inline bool string_ends_with(std::string_view text, std::string_view suffix) {
  return text.size() >= suffix.size() && text.substr(text.size() - suffix.size()) == suffix;
}

// All of these throw std::logic_error.
const char* llama_model_chat_template(const llama_model* model, const char* name);
const llama_vocab* llama_model_get_vocab(const llama_model* model);
llama_token llama_vocab_bos(const llama_vocab* vocab);
llama_token llama_vocab_eos(const llama_vocab* vocab);
bool llama_vocab_get_add_bos(const llama_vocab* vocab);
bool llama_vocab_get_add_eos(const llama_vocab* vocab);
std::int32_t llama_chat_apply_template(const char* source, const llama_chat_message* chat,
                                       std::size_t n, bool adds_prompt, char* buffer,
                                       std::int32_t length);
llama_tokens common_tokenize(const llama_vocab* vocab, const std::string& text, bool adds_special,
                             bool reads_special = false);
std::string common_token_to_piece(const llama_vocab* vocab, llama_token token, bool special = true);

#endif  // GUMBELSPEC_APPS_LLAMA_COMMON_COMMON_H_
