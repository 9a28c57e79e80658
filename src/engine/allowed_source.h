// What a grammar leaves, where it leaves little.
#ifndef GUMBELSPEC_ENGINE_ALLOWED_SOURCE_H_
#define GUMBELSPEC_ENGINE_ALLOWED_SOURCE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "gumbelspec/types.h"
#include "src/engine/suffix_source.h"

namespace gumbelspec {

// Where a grammar wants one text, as in the keys of a JSON schema, several tokens may follow: all
// that the text begins with. Which of them a target takes is a habit, of the token and of its place
// among the others in the vocabulary's order, that is of short ones or long ones; both are learnt.
//
// Memory: 48 KiB.
class AllowedSource {
 public:
  static constexpr std::size_t kMost = 16;  // allowed tokens that are guessed among

  AllowedSource();
  // The allowed tokens and their chances, likeliest first. Returns: how many; 0: there are more
  // than kMost, or it is not known which. Shape: allowed as DraftRound::allowed, out [kMost].
  std::size_t look(std::span<const std::uint32_t> allowed, std::span<Guess> out) const;
  void learn(std::span<const Guess> guesses, TokenId choice);

 private:
  static constexpr std::size_t kTokens = 4096;  // by their last bits
  struct Habit {
    float n_chosen = 0.0F;
    float n_offered = 0.0F;
  };

  HitRates<kMost * kMost> rates_;  // by number of tokens and place
  std::array<Habit, kTokens> habits_{};
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_ALLOWED_SOURCE_H_
