// What followed in the text where it ended like this before.
#ifndef GUMBELSPEC_ENGINE_SUFFIX_SOURCE_H_
#define GUMBELSPEC_ENGINE_SUFFIX_SOURCE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gumbelspec/sampling.h"
#include "gumbelspec/types.h"

namespace gumbelspec {

// A token that a source expects, and the chance of it as far as the source can tell, before any
// noise. kind: what chances of this kind have in common, for learning.
struct Guess {
  TokenId token{};
  float chance = 0.0F;
  std::uint8_t kind = 0;
};

// How often guesses of each kind came true: fading counts, with a prior.
template <std::size_t kKinds>
class HitRates {
 public:
  void begin(std::size_t kind, double rate) { rates_[kind] = {kPrior * rate, kPrior}; }
  [[nodiscard]] double rate(std::size_t kind) const { return rates_[kind].hits / rates_[kind].n; }
  void learn(std::size_t kind, bool is_hit) {
    Rate& r = rates_[kind];
    r.hits = r.hits * kFade + (is_hit ? 1.0 : 0.0);
    r.n = r.n * kFade + 1.0;
  }

 private:
  static constexpr double kPrior = 4.0;
  static constexpr double kFade = 1.0 - 1.0 / 100.0;
  struct Rate {
    double hits = 0.0;
    double n = 1.0;
  };
  std::array<Rate, kKinds> rates_{};
};

// Earlier places of the text whose last 6, 3 or 1 tokens are its end's, found by chains of hashed
// n-grams; the more tokens before them agree, the more they count. A token's chance is the share
// of guesses of its kind that came true: how long the match is, whether all places agree, and the
// token's rank.
//
// Memory: 0.4 MiB and 16 bytes per token of the text. Cost: about a microsecond a look.
class SuffixSource {
 public:
  static constexpr std::size_t kMost = 4;  // guesses of a look
  static constexpr std::size_t kLengths = 8;

  SuffixSource();
  void begin_text();
  // The text is this now; it begins with what it was.
  void read(std::span<const TokenId> text);
  // What may follow, likeliest first. Returns: how many. Shape: out [kMost].
  std::size_t look(const TextView& text, std::span<Guess> out);
  // How sure the last look was, [0, 2 * kLengths): longer matches, and those that agree.
  [[nodiscard]] std::size_t confidence() const { return confidence_; }
  void learn(const Guess& guess, bool is_hit) { rates_.learn(guess.kind, is_hit); }

 private:
  static constexpr std::array<std::size_t, 3> kOrders = {6, 3, 1};
  struct Chains {
    std::vector<std::int64_t> last;    // by hash: the last place, counted over all texts
    std::vector<std::int32_t> before;  // by place: the one before it
  };
  struct Follower {
    TokenId token{};
    double weight = 0.0;
    std::size_t length = 0;  // of the longest match
    std::size_t n = 0;
  };

  template <class Text>
  [[nodiscard]] std::size_t hash(const Text& text, std::size_t end, std::size_t order) const;
  void follow(const TextView& text, std::size_t order, std::size_t longest);
  void note(TokenId token, std::size_t length);

  std::array<Chains, kOrders.size()> chains_;
  std::vector<TokenId> text_;
  std::size_t n_read_ = 0;  // places in the chains
  std::int64_t first_ = 0;  // the text's first place
  std::vector<Follower> followers_;
  std::size_t n_found_ = 0;
  std::size_t confidence_ = 0;
  HitRates<kLengths * 3 * kMost> rates_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_SUFFIX_SOURCE_H_
