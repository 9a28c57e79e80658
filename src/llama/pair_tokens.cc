#include "src/llama/pair_tokens.h"

#include <algorithm>
#include <string>

#include "src/llama/vocabulary.h"

namespace gumbelspec::internal {
namespace {

constexpr TokenizeOptions kText{.adds_special = false, .reads_control = false};
constexpr TokenizeOptions kControl{.adds_special = false, .reads_control = true};

struct Part {
  std::string_view text;
  bool is_input = false;  // of the request, not of the template
};

// The template cut at its placeholders. Texts that look like one stay what they are.
std::vector<Part> parts_of(std::string_view form, std::string_view query,
                           std::string_view document) {
  constexpr std::string_view kQuery = "{query}";
  constexpr std::string_view kDocument = "{document}";
  std::vector<Part> parts;
  while (!form.empty()) {
    const std::size_t at = std::min(form.find(kQuery), form.find(kDocument));
    parts.push_back({form.substr(0, at)});
    if (at == std::string_view::npos) break;
    const bool is_query = form.substr(at, kQuery.size()) == kQuery;
    parts.push_back({is_query ? query : document, true});
    form.remove_prefix(at + (is_query ? kQuery : kDocument).size());
  }
  return parts;
}

// As a whole, as the model was trained; part by part where a text would become a control token.
std::vector<TokenId> tokens_of(const llama_vocab* vocab, const std::vector<Part>& parts) {
  const bool is_harmless = std::all_of(parts.begin(), parts.end(), [&](const Part& part) {
    return !part.is_input ||
           tokenize(vocab, part.text, kControl) == tokenize(vocab, part.text, kText);
  });
  std::vector<TokenId> tokens;
  if (is_harmless) {
    std::string whole;
    for (const Part& part : parts) whole += part.text;
    return tokenize(vocab, whole, kControl);
  }
  for (const Part& part : parts) {
    const auto more = tokenize(vocab, part.text, part.is_input ? kText : kControl);
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  return tokens;
}

}  // namespace

std::vector<TokenId> pair_tokens(const llama_model* model, std::string_view query,
                                 std::string_view document) {
  const llama_vocab* vocab = llama_model_get_vocab(model);
  if (const char* form = llama_model_chat_template(model, "rerank"); form != nullptr) {
    return tokens_of(vocab, parts_of(form, query, document));
  }
  std::vector<TokenId> out;
  const auto add = [&](bool is_wanted, llama_token token) {
    if (is_wanted && token != LLAMA_TOKEN_NULL) out.push_back(static_cast<TokenId>(token));
  };
  const auto add_text = [&](std::string_view text) {
    const std::vector<TokenId> tokens = tokenize(vocab, text, kText);
    out.insert(out.end(), tokens.begin(), tokens.end());
  };
  const llama_token sep = llama_vocab_sep(vocab);
  const llama_token eos = llama_vocab_eos(vocab);
  const llama_token end = eos == LLAMA_TOKEN_NULL ? sep : eos;
  add(llama_vocab_get_add_bos(vocab), llama_vocab_bos(vocab));
  add_text(query);
  add(llama_vocab_get_add_eos(vocab), end);
  add(llama_vocab_get_add_sep(vocab), sep);
  add_text(document);
  add(llama_vocab_get_add_eos(vocab), end);
  return out;
}

}  // namespace gumbelspec::internal
