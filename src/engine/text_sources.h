// The sources that need no draft model, as one: they extend any node of the round's proposals.
#ifndef GUMBELSPEC_ENGINE_TEXT_SOURCES_H_
#define GUMBELSPEC_ENGINE_TEXT_SOURCES_H_

#include <array>
#include <cstddef>
#include <optional>
#include <span>
#include <vector>

#include "gumbelspec/draft_sources.h"
#include "gumbelspec/drafter.h"
#include "src/engine/allowed_source.h"
#include "src/engine/recycled_source.h"
#include "src/engine/suffix_source.h"

namespace gumbelspec {

// At a node the suffix's guesses and the recycled row's are mixed, p = w * suffix + (1 - w) *
// recycled, with a weight for each degree of the suffix's confidence; then the position's noise is
// added to log p. Where a grammar leaves a few tokens only, p is shared out among them, a half by
// what the target's habits are. A token is proposed under the name of the source that it has most
// from.
//
// Chances: let s = log p + noise. If p were the target's distribution, and the tokens not guessed
// had the rest r of it, the best of the guessed ones would be the choice with the chance
// exp(-r * exp(-s)): the largest of the others' scores has a Gumbel distribution at log r. How far
// p is from that is the calibrations' business.
class TextSources {
 public:
  TextSources(const DraftSources& sources, const SamplingOptions& sampling, std::size_t n_vocab);

  void begin_text();
  // Reads on, and proposes below the root.
  void begin(const DraftRound& round);
  // Proposes below all nodes that are worth it and were not looked at in this round.
  void grow(const DraftRound& round);
  void see(const VerifiedTree& verified);

  // Nodes that a round gives children to, at most.
  static constexpr std::size_t kMostLooks = 48;

 private:
  static constexpr std::size_t kChances = 12;
  static constexpr std::size_t kMostGuesses =
      SuffixSource::kMost + RecycledSource::kMost + AllowedSource::kMost;
  struct Look {
    std::size_t node = 0;
    std::size_t n_suffix = 0;
    std::size_t n_recycled = 0;
    std::size_t n_allowed = 0;  // 0: many
    std::size_t n_offered = 0;
    std::size_t confidence = 0;
    std::array<Guess, SuffixSource::kMost> suffix;
    std::array<Guess, RecycledSource::kMost> recycled;
    std::array<Guess, AllowedSource::kMost> allowed;
    std::array<Guess, AllowedSource::kMost> offered;  // as grammar, with their noise
  };
  struct Mixed {
    TokenId token{};
    std::array<double, 3> from{};  // by source: suffix, recycled, grammar
    float score = 0.0F;
    [[nodiscard]] double chance() const { return from[0] + from[1] + from[2]; }
  };

  void look(const DraftRound& round, std::size_t node);
  void mix(const Look& look, std::span<const std::uint32_t> allowed);
  void add_noise(const DraftRound& round, std::size_t depth);
  void propose(const DraftRound& round, Look& look);
  float corrected(Look& look, const Mixed& mixed) const;
  void force(const DraftRound& round);
  [[nodiscard]] double weight(const Look& look) const;
  void learn(const Look& look, TokenId choice);

  DraftSources sources_;
  bool has_noise_;
  std::size_t n_vocab_;
  std::optional<SuffixSource> suffix_;
  std::optional<RecycledSource> recycled_;
  std::optional<AllowedSource> allowed_;
  // How often a token came true that was thought to with about this chance, under the noise.
  HitRates<kChances> of_allowed_;
  std::array<double, 2 * SuffixSource::kLengths> weights_{};  // of the suffix, by its confidence

  // The round.
  Proposals* proposals_ = nullptr;
  std::array<TokenId, 2> end_{};  // the text's last two tokens; of one: it twice
  std::vector<Look> looks_;
  std::vector<std::size_t> queue_;  // nodes not looked at
  std::vector<char> is_known_;      // nodes that are in the queue, or were
  std::vector<Mixed> mixed_;
  std::vector<TokenId> tokens_;
  std::vector<float> log_chances_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_TEXT_SOURCES_H_
