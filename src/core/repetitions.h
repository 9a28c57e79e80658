// How long a repetition each token would go on with: what llama.cpp's dry asks.
#ifndef GUMBELSPEC_CORE_REPETITIONS_H_
#define GUMBELSPEC_CORE_REPETITIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gumbelspec/sampling.h"

namespace gumbelspec {

class Repetitions {
 public:
  // A token that would make the end of the text, so many tokens, and itself stand there twice.
  struct Repeat {
    TokenId token{};
    std::size_t length = 0;
  };

  explicit Repetitions(const SamplingOptions& options);

  // Those of at least dry_allowed_length, in any order; of a token only the longest. None reaches
  // over a breaker, and no token that is a breaker by itself is among them.
  // Lifetime: until the next call. Cost: linear in the tokens looked at.
  [[nodiscard]] std::span<const Repeat> find(const TextView& text);

 private:
  [[nodiscard]] std::size_t longest_allowed() const;
  [[nodiscard]] std::span<const DryBreaker> breakers_of(TokenId head) const;
  void measure(std::size_t longest);

  std::shared_ptr<const std::vector<DryBreaker>> breakers_;
  std::size_t n_allowed_;
  int n_last_;
  std::vector<TokenId> last_;         // the end of the text, last token first
  std::vector<std::size_t> lengths_;  // [last_.size()], equal tokens from there on and from the end
  std::vector<Repeat> repeats_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_CORE_REPETITIONS_H_
