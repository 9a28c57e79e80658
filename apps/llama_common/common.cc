#include "apps/llama_common/common.h"

#include <cctype>
#include <cstdarg>
#include <cstdio>
#include <stdexcept>

std::string string_format(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  va_list again;
  va_copy(again, arguments);
  const int n = std::vsnprintf(nullptr, 0, format, arguments);
  va_end(arguments);
  std::string text(n > 0 ? static_cast<std::size_t>(n) : 0, '\0');
  if (n > 0) std::vsnprintf(text.data(), text.size() + 1, format, again);
  va_end(again);
  return text;
}

std::string string_strip(const std::string& text) {
  const auto is_space = [](char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; };
  std::size_t begin = 0;
  std::size_t end = text.size();
  while (begin < end && is_space(text[begin])) ++begin;
  while (end > begin && is_space(text[end - 1])) --end;
  return text.substr(begin, end - begin);
}

std::string string_join(const std::vector<std::string>& values, const std::string& separator) {
  std::string out;
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (i > 0) out += separator;
    out += values[i];
  }
  return out;
}

std::vector<std::string> string_split(const std::string& text, const std::string& delimiter) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  for (std::size_t end = text.find(delimiter); end != std::string::npos;
       end = text.find(delimiter, begin)) {
    parts.push_back(text.substr(begin, end - begin));
    begin = end + delimiter.size();
  }
  parts.push_back(text.substr(begin));
  return parts;
}

std::string string_repeat(const std::string& text, std::size_t n) {
  std::string out;
  out.reserve(text.size() * n);
  for (std::size_t i = 0; i < n; ++i) out += text;
  return out;
}

void string_replace_all(std::string& text, const std::string& search, const std::string& replace) {
  if (!search.empty()) text = string_join(string_split(text, search), replace);
}

namespace {

[[noreturn]] void refuse() {
  throw std::logic_error("llama.cpp's chat code is used here without a model");
}

}  // namespace

const char* llama_model_chat_template(const llama_model* /*model*/, const char* /*name*/) {
  refuse();
}
const llama_vocab* llama_model_get_vocab(const llama_model* /*model*/) { refuse(); }
llama_token llama_vocab_bos(const llama_vocab* /*vocab*/) { refuse(); }
llama_token llama_vocab_eos(const llama_vocab* /*vocab*/) { refuse(); }
bool llama_vocab_get_add_bos(const llama_vocab* /*vocab*/) { refuse(); }
bool llama_vocab_get_add_eos(const llama_vocab* /*vocab*/) { refuse(); }
std::int32_t llama_chat_apply_template(const char* /*source*/, const llama_chat_message* /*chat*/,
                                       std::size_t /*n*/, bool /*adds_prompt*/, char* /*buffer*/,
                                       std::int32_t /*length*/) {
  refuse();
}
llama_tokens common_tokenize(const llama_vocab* /*vocab*/, const std::string& /*text*/,
                             bool /*adds_special*/, bool /*reads_special*/) {
  refuse();
}
std::string common_token_to_piece(const llama_vocab* /*vocab*/, llama_token /*token*/,
                                  bool /*special*/) {
  refuse();
}
