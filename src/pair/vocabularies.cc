#include "gumbelspec/vocabularies.h"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "gumbelspec/error.h"

namespace gumbelspec {
namespace {

class LlamaTexts final : public TokenTexts {
 public:
  explicit LlamaTexts(const LlamaModel& model) : model_(model) {
    const std::size_t n = model.limits().n_vocab;
    tokens_.reserve(n);
    for (std::size_t i = 0; i < n; ++i) {
      const TokenId id = token_id(i);
      const std::string name = model.token_text(id);
      Token token{model.piece(id), Kind::text};
      if (token.text.empty()) {
        token = {name, Kind::control};
      } else if (token.text.size() == 1 && name.size() == 6 && name.rfind("<0x", 0) == 0) {
        token.kind = Kind::byte;
      }
      tokens_.push_back(std::move(token));
    }
    const std::vector<TokenId> around = model.tokenize("", {.adds_special = true});
    if (!around.empty() && !model.is_end(around.front())) beginning_ = {around.front()};
  }
  [[nodiscard]] std::size_t n_vocab() const override { return tokens_.size(); }
  [[nodiscard]] Token token(TokenId token) const override { return tokens_[index(token)]; }
  [[nodiscard]] bool is_end(TokenId token) const override { return model_.is_end(token); }
  [[nodiscard]] std::vector<TokenId> tokenize(std::string_view text) const override {
    return model_.tokenize(text, {.adds_special = false, .reads_control = false});
  }
  [[nodiscard]] std::vector<TokenId> beginning() const override { return beginning_; }

 private:
  const LlamaModel& model_;
  std::vector<Token> tokens_;
  std::vector<TokenId> beginning_;
};

std::string share(std::size_t part, std::size_t whole) {
  char text[32];
  (void)std::snprintf(
      text, sizeof(text), "%.1f %%",
      whole == 0 ? 0.0 : 100.0 * static_cast<double>(part) / static_cast<double>(whole));
  return std::to_string(part) + " of " + std::to_string(whole) + " (" + text + ")";
}

bool share_vocabulary(const LlamaModel& target, const LlamaModel& draft) {
  try {
    LlamaModel::require_same_vocabulary(target, draft);
    return true;
  } catch (const Error& error) {
    const bool is_other = error.code() == ErrorCode::vocabulary_mismatch;
    if (!is_other || draft.limits().is_head()) throw;
    return false;
  }
}

}  // namespace

std::unique_ptr<TokenTexts> token_texts(const LlamaModel& model) {
  return std::make_unique<LlamaTexts>(model);
}

TranslatedDraft translate_draft(const LlamaModel& target, LlamaModel& draft) {
  if (share_vocabulary(target, draft)) return {};
  std::shared_ptr<TokenTexts> target_texts = token_texts(target);
  std::shared_ptr<TokenTexts> draft_texts = token_texts(draft);
  const VocabularyLikeness alike = likeness(*target_texts, *draft_texts);
  return {make_translated_model(draft, std::move(target_texts), std::move(draft_texts)), alike};
}

std::string to_string(const VocabularyLikeness& likeness) {
  const std::size_t n_ids = std::max(likeness.n_target, likeness.n_draft);
  if (likeness.is_alike()) {
    return "another vocabulary than the target's, but " + share(likeness.n_same_ids, n_ids) +
           " ids agree; the others are masked or found by their text";
  }
  return "another vocabulary than the target's: " + share(likeness.n_same_ids, n_ids) +
         " ids agree, and of the target's tokens " +
         share(likeness.n_same_texts, likeness.n_target) +
         " are tokens of the draft; texts are translated";
}

}  // namespace gumbelspec
