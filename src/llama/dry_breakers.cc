// The rule is llama.cpp's (get_overlapping_token_sequences in src/llama-sampler.cpp of v0.5.0).
#include "gumbelspec/dry_breakers.h"

#include <algorithm>
#include <utility>

#include "gumbelspec/error.h"

namespace gumbelspec {
namespace {

constexpr std::size_t kMostBytes = 40;
constexpr std::size_t kMostTail = 20;  // tokens
constexpr TokenizeOptions kPlain{.adds_special = false, .reads_control = false};

// Whether a text of its own begins with a space that was not written.
bool adds_space(const LlamaModel& model) {
  const std::vector<TokenId> tokens = model.tokenize("x", kPlain);
  return !tokens.empty() && model.piece(tokens.front()).substr(0, 1) == " ";
}

// A token as a text of its own.
std::string word_of(const LlamaModel& model, TokenId token, bool strips_space) {
  std::string word = model.piece(token);
  if (word.empty()) word = model.token_text(token);
  if (strips_space && word.substr(0, 1) == " ") word.erase(0, 1);
  return word;
}

bool begins_a_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0U) != 0x80U; }

void add(const LlamaModel& model, TokenId token, const std::string& word, const std::string& text,
         std::vector<DryBreaker>& out) {
  if (word.find(text) != std::string::npos) {
    out.push_back({token, {}});
    return;
  }
  for (std::size_t at = word.find(text[0]); at != std::string::npos;
       at = word.find(text[0], at + 1)) {
    // It is not in the word, so what begins here has to reach the word's end.
    const std::size_t n = word.size() - at;
    if (n >= text.size() || word.compare(at, n, text, 0, n) != 0) continue;
    if (!begins_a_character(text[n])) continue;
    std::vector<TokenId> tail = model.tokenize(text.substr(n), kPlain);
    tail.resize(std::min(tail.size(), kMostTail));
    out.push_back({token, std::move(tail)});
  }
}

bool is_before(const DryBreaker& a, const DryBreaker& b) {
  return a.head != b.head ? a.head < b.head : a.tail < b.tail;
}

}  // namespace

std::shared_ptr<const std::vector<DryBreaker>> dry_breakers(const LlamaModel& model,
                                                            std::span<const std::string> texts) {
  for (const std::string& text : texts) {
    if (!text.empty() && text.size() <= kMostBytes) continue;
    throw Error(ErrorCode::invalid_option,
                "dry_breakers has a text of " + std::to_string(text.size()) +
                    " bytes, but must have texts of 1 to " + std::to_string(kMostBytes),
                "dry_breakers");
  }
  std::vector<DryBreaker> out;
  const bool strips_space = !texts.empty() && adds_space(model);
  for (std::size_t i = 0; !texts.empty() && i < model.limits().n_vocab; ++i) {
    const std::string word = word_of(model, token_id(i), strips_space);
    for (const std::string& text : texts) add(model, token_id(i), word, text, out);
  }
  std::sort(out.begin(), out.end(), is_before);
  const auto is_same = [](const DryBreaker& a, const DryBreaker& b) {
    return a.head == b.head && a.tail == b.tail;
  };
  out.erase(std::unique(out.begin(), out.end(), is_same), out.end());
  return std::make_shared<const std::vector<DryBreaker>>(std::move(out));
}

}  // namespace gumbelspec
