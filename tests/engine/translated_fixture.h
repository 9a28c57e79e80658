// Vocabularies of a few letters.
#ifndef GUMBELSPEC_TESTS_ENGINE_TRANSLATED_FIXTURE_H_
#define GUMBELSPEC_TESTS_ENGINE_TRANSLATED_FIXTURE_H_

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "gumbelspec/translated_model.h"

namespace gumbelspec::testing {

using Strings = std::vector<std::string>;

// Words begin with their space; the longest token that fits is taken, again and again.
class ListTexts final : public TokenTexts {
 public:
  explicit ListTexts(Strings texts, std::vector<TokenId> beginning = {})
      : texts_(std::move(texts)), beginning_(std::move(beginning)) {}
  [[nodiscard]] std::size_t n_vocab() const override { return texts_.size(); }
  [[nodiscard]] Token token(TokenId token) const override {
    const std::string& text = texts_[index(token)];
    return {text, text.front() == '<' ? Kind::control : Kind::text};
  }
  [[nodiscard]] bool is_end(TokenId token) const override {
    return texts_[index(token)].rfind("<end", 0) == 0;
  }
  [[nodiscard]] std::vector<TokenId> tokenize(std::string_view text) const override {
    std::vector<TokenId> tokens;
    while (!text.empty()) {
      std::size_t best = texts_.size();
      for (std::size_t i = 0; i < texts_.size(); ++i) {
        const bool fits = texts_[i].front() != '<' && text.substr(0, texts_[i].size()) == texts_[i];
        if (fits && (best == texts_.size() || texts_[i].size() > texts_[best].size())) best = i;
      }
      if (best == texts_.size()) return tokens;  // nothing writes the rest
      tokens.push_back(token_id(best));
      text.remove_prefix(texts_[best].size());
    }
    return tokens;
  }
  [[nodiscard]] std::vector<TokenId> beginning() const override { return beginning_; }

 private:
  Strings texts_;
  std::vector<TokenId> beginning_;
};

inline std::shared_ptr<ListTexts> texts_of(Strings texts, std::vector<TokenId> beginning = {}) {
  return std::make_shared<ListTexts>(std::move(texts), std::move(beginning));
}

// All letters, and some longer tokens of them that may begin with a space.
inline Strings random_vocabulary(std::mt19937& random, std::size_t n) {
  Strings texts = {"a", "b", "c", " "};
  while (texts.size() < n) {
    std::string text = random() % 3 == 0 ? " " : "";
    for (std::size_t k = 1 + random() % 3; k > 0; --k)
      text += static_cast<char>('a' + random() % 3);
    if (std::find(texts.begin(), texts.end(), text) == texts.end()) texts.push_back(text);
  }
  std::shuffle(texts.begin(), texts.end(), random);
  return texts;
}

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTS_ENGINE_TRANSLATED_FIXTURE_H_
