#include "src/engine/prompt_pieces.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace gumbelspec {

double PromptPieces::rounds(std::size_t n_reading, std::size_t n_decoding) {
  const double share =
      static_cast<double>(n_reading) / static_cast<double>(std::max<std::size_t>(1, n_decoding));
  return std::clamp(share, kLeastRounds, kMostRounds);
}

std::size_t PromptPieces::class_of(std::size_t n) {
  return std::min<std::size_t>(std::bit_width(std::max<std::size_t>(1, n)) - 1, kClasses - 1);
}

std::size_t PromptPieces::size(double limit_s) const {
  if (std::isinf(limit_s)) return most_;
  if (token_s(0) == 0.0) return std::min(kFirst, most_);
  std::size_t best = std::min(kLeast, most_);
  for (std::size_t n = best; n < most_;) {
    n = std::min(2 * std::bit_floor(n), most_);
    if (static_cast<double>(n) * token_s(class_of(n)) > limit_s) break;
    best = n;
  }
  return best;
}

std::size_t PromptPieces::size_alone(double limit_s) const {
  constexpr double kNotably = 1.05;
  std::size_t best = size(limit_s);
  while (best < most_) {
    const std::size_t next = std::min(2 * std::bit_floor(best), most_);
    if (kNotably * token_s(class_of(next)) >= token_s(class_of(best))) break;
    best = next;
  }
  return best;
}

// Expected of a size that was not seen: what the next larger one takes; else somewhat less than
// the next smaller one, how much less a try tells.
double PromptPieces::token_s(std::size_t at) const {
  constexpr double kHopeful = 0.8;
  for (std::size_t i = at; i < kClasses; ++i) {
    if (token_s_[i] > 0.0) return token_s_[i];
  }
  for (std::size_t i = at; i-- > 0;) {
    if (token_s_[i] > 0.0) return kHopeful * token_s_[i];
  }
  return 0.0;
}

void PromptPieces::observe(std::size_t n, double seconds) {
  constexpr double kNew = 0.3;
  if (n == 0) return;
  const std::size_t at = class_of(n);
  const double token_s = seconds / static_cast<double>(n);
  double& mean = token_s_[at];
  mean = mean == 0.0 ? token_s : mean + kNew * (token_s - mean);
  // Larger ones take no longer per token: what was once seen of them, on a busy machine, fades.
  for (std::size_t i = at + 1; i < kClasses; ++i) token_s_[i] = std::min(token_s_[i], mean);
}

}  // namespace gumbelspec
