#include "apps/server/api/reasoning.h"

#include <algorithm>
#include <utility>

namespace gumbelspec::server {
namespace {

using Tokens = std::vector<TokenId>;

enum class Phase { before, counting, within_character, closing, behind };

// A place of a text, as far as the rule goes.
struct Place {
  Phase phase = Phase::before;
  std::int64_t left = 0;  // of the budget
  std::size_t n_closed = 0;
  Tokens recent = {};  // that a tag may be made of
};

// Whether the token completes one of the tags; the longest one.
const Tokens* completed(Place& place, TokenId token, const std::vector<Tokens>& tags) {
  std::size_t most = 0;
  for (const Tokens& tag : tags) most = std::max(most, tag.size());
  place.recent.push_back(token);
  if (place.recent.size() > most) place.recent.erase(place.recent.begin());
  const Tokens* found = nullptr;
  for (const Tokens& tag : tags) {
    if (tag.empty() || tag.size() > place.recent.size()) continue;
    if (!std::equal(tag.rbegin(), tag.rend(), place.recent.rbegin())) continue;
    if (found == nullptr || tag.size() > found->size()) found = &tag;
  }
  if (found != nullptr) place.recent.clear();
  return found;
}

class ReasoningMatcher final : public TokenConstraint {
 public:
  ReasoningMatcher(std::shared_ptr<const ReasoningRule> rule,
                   std::unique_ptr<TokenConstraint> grammar)
      : rule_(std::move(rule)),
        starts_({rule_->start}),
        grammar_(std::move(grammar)),
        all_((rule_->n_vocab + 31) / 32, 0),
        mask_(all_.size(), 0) {
    for (std::size_t i = 0; i < rule_->n_vocab; ++i) all_[i / 32] |= 1U << (i % 32);
    reset();
  }

  std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                         std::span<const TokenId> path) override {
    follow(generated);
    Place place = base_;
    Tokens seen;
    for (const TokenId token : path) step(place, token, seen);
    if (place.phase == Phase::closing) return closing_mask(place, seen);
    if (grammar_ == nullptr || (rule_->hides && is_open(place))) return all_;
    return grammar_->allowed(seen_, seen);
  }

 private:
  static bool is_open(const Place& place) {
    return place.phase != Phase::before && place.phase != Phase::behind;
  }

  void reset() {
    followed_.clear();
    seen_.clear();
    base_ = {};
    Tokens unseen;  // the grammar begins behind the prompt
    for (const TokenId token : rule_->prompt_end) step(base_, token, unseen);
  }

  void follow(std::span<const TokenId> generated) {
    const bool goes_on = generated.size() >= followed_.size() &&
                         std::equal(followed_.begin(), followed_.end(), generated.begin());
    if (!goes_on) reset();
    for (const TokenId token : generated.subspan(followed_.size())) {
      step(base_, token, seen_);
      followed_.push_back(token);
    }
  }

  // seen: what the grammar sees of the text.
  void step(Place& place, TokenId token, Tokens& seen) const {
    const bool is_seen = !rule_->hides || !is_open(place);
    const Tokens* end = advance(place, token);
    if (is_seen) {
      seen.push_back(token);
    } else if (end != nullptr && place.phase == Phase::behind) {
      seen.insert(seen.end(), end->begin(), end->end());  // it may be a trigger
    }
  }

  // Returns: the end tag that the token completes; or null.
  const Tokens* advance(Place& place, TokenId token) const {
    switch (place.phase) {
      case Phase::before:
      case Phase::behind:
        if (completed(place, token, starts_) != nullptr) open(place);
        return nullptr;
      case Phase::counting:
      case Phase::within_character:
        return count(place, token);
      case Phase::closing: {
        const Tokens* end = completed(place, token, rule_->ends);
        if (++place.n_closed < rule_->closing.size()) return nullptr;
        place.phase = Phase::behind;
        return end;
      }
    }
    return nullptr;
  }

  void open(Place& place) const {
    place.phase = rule_->budget == 0 ? Phase::closing : Phase::counting;
    place.left = rule_->budget;
    place.n_closed = 0;
  }

  const Tokens* count(Place& place, TokenId token) const {
    if (const Tokens* end = completed(place, token, rule_->ends)) {
      place.phase = Phase::behind;
      return end;
    }
    const bool has_budget = rule_->budget >= 0;
    if (place.phase == Phase::counting && (!has_budget || --place.left > 0)) return nullptr;
    const bool is_whole = rule_->ends_character(token);
    if (is_whole || place.phase == Phase::counting) place.recent.clear();
    place.phase = is_whole ? Phase::closing : Phase::within_character;
    place.n_closed = 0;
    return nullptr;
  }

  std::span<const std::uint32_t> closing_mask(const Place& place, const Tokens& seen) {
    const std::size_t token = index(rule_->closing[place.n_closed]);
    if (grammar_ != nullptr && !rule_->hides) {
      // A grammar that sees it knows how it may end.
      const auto allowed = grammar_->allowed(seen_, seen);
      if ((allowed[token / 32] >> (token % 32) & 1U) == 0) return allowed;
    }
    std::fill(mask_.begin(), mask_.end(), 0U);
    mask_[token / 32] = 1U << (token % 32);
    return mask_;
  }

  std::shared_ptr<const ReasoningRule> rule_;
  std::vector<Tokens> starts_;
  std::unique_ptr<TokenConstraint> grammar_;
  std::vector<std::uint32_t> all_;
  std::vector<std::uint32_t> mask_;
  Place base_;       // behind followed_
  Tokens followed_;  // of the generated text
  Tokens seen_;      // of it, by the grammar
};

class ReasoningGrammar final : public Grammar {
 public:
  ReasoningGrammar(ReasoningRule rule, std::shared_ptr<const Grammar> grammar)
      : rule_(std::make_shared<const ReasoningRule>(std::move(rule))),
        grammar_(std::move(grammar)) {}
  [[nodiscard]] std::unique_ptr<TokenConstraint> matcher() const override {
    return std::make_unique<ReasoningMatcher>(rule_,
                                              grammar_ == nullptr ? nullptr : grammar_->matcher());
  }

 private:
  std::shared_ptr<const ReasoningRule> rule_;
  std::shared_ptr<const Grammar> grammar_;
};

}  // namespace

std::shared_ptr<const Grammar> with_reasoning(ReasoningRule rule,
                                              std::shared_ptr<const Grammar> grammar) {
  return std::make_shared<ReasoningGrammar>(std::move(rule), std::move(grammar));
}

bool ends_with_character(const std::string& bytes) {
  for (std::size_t n = 1; n <= std::min<std::size_t>(4, bytes.size()); ++n) {
    const auto byte = static_cast<unsigned char>(bytes[bytes.size() - n]);
    if ((byte & 0xC0U) == 0x80U) continue;  // goes on
    const std::size_t needed = byte < 0xC0U ? 1 : byte < 0xE0U ? 2 : byte < 0xF0U ? 3 : 4;
    return needed <= n;
  }
  return bytes.empty();
}

}  // namespace gumbelspec::server
