// What mirostat and adaptive-p know of a text: how likely its tokens were when they were chosen.
//
// Both adapt a number to it, which is a function of the tokens so far and of the rows that they
// were chosen from. A tree's walk asks for the positions in turn, once each and each behind the
// token chosen before it; so the number is carried from row to row, and those of all positions are
// kept: a position can be asked again, and from there another way can be gone.
#ifndef GUMBELSPEC_CORE_SAMPLER_MEMORY_H_
#define GUMBELSPEC_CORE_SAMPLER_MEMORY_H_

#include <cstddef>
#include <vector>

#include "gumbelspec/sampling.h"

namespace gumbelspec {

class SamplerMemory {
 public:
  // mirostat: the surprise, in bits, up to which tokens are kept, and no weight. adaptive-p: sum of
  // probabilities and their number, both fading.
  struct State {
    double sum = 0.0;
    double weight = 0.0;
  };
  struct Chance {
    TokenId token{};
    double p = 0.0;
  };

  explicit SamplerMemory(const SamplingOptions& options);

  [[nodiscard]] static bool is_needed(const SamplingOptions& options);

  void forget();
  // Of a text that has not begun.
  [[nodiscard]] State first() const;
  // Before the token behind `text`; it becomes the newest position.
  // Requires: as LogWeights::kept(). Throws: std::logic_error where a position was left out.
  [[nodiscard]] State before(const TextView& text);
  // What may be chosen at the newest position, for the caller to fill.
  [[nodiscard]] std::vector<Chance>& chances() { return chances_; }

 private:
  [[nodiscard]] State after(const State& state, TokenId token) const;

  bool is_mirostat_;
  double target_;
  double rate_;                // eta, or the decay
  std::size_t n_first_ = 0;    // tokens before the first position
  std::vector<State> states_;  // by position
  std::vector<Chance> chances_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_SAMPLER_MEMORY_H_
