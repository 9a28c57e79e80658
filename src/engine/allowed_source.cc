#include "src/engine/allowed_source.h"

#include <algorithm>
#include <bit>

namespace gumbelspec {
namespace {

// Offers after which a token's habit counts as much as that of its place.
constexpr float kPrior = 3.0F;
constexpr float kMostChance = 0.99F;
constexpr float kFade = 0.98F;

// i: place among n tokens.
std::size_t kind_of(std::size_t n, std::size_t i) { return (n - 1) * AllowedSource::kMost + i; }

}  // namespace

AllowedSource::AllowedSource() {
  for (std::size_t n = 1; n <= kMost; ++n) {
    for (std::size_t i = 0; i < n; ++i) rates_.begin(kind_of(n, i), 1.0 / static_cast<double>(n));
  }
}

std::size_t AllowedSource::look(std::span<const std::uint32_t> allowed,
                                std::span<Guess> out) const {
  std::size_t n = 0;
  for (std::size_t word = 0; word < allowed.size(); ++word) {
    for (std::uint32_t bits = allowed[word]; bits != 0; bits &= bits - 1) {
      if (n == std::min(kMost, out.size())) return 0;
      out[n++].token = token_id(32 * word + static_cast<std::size_t>(std::countr_zero(bits)));
    }
  }
  float sum = 0.0F;
  for (std::size_t i = 0; i < n; ++i) {
    const std::size_t kind = kind_of(n, i);
    const Habit& habit = habits_[index(out[i].token) % kTokens];
    out[i].kind = static_cast<std::uint8_t>(kind);
    out[i].chance = (habit.n_chosen + kPrior * static_cast<float>(rates_.rate(kind))) /
                    (habit.n_offered + kPrior);
    sum += out[i].chance;
  }
  for (Guess& guess : out.first(n)) guess.chance *= kMostChance / sum;
  std::sort(out.begin(), out.begin() + static_cast<std::ptrdiff_t>(n),
            [](const Guess& a, const Guess& b) {
              return a.chance != b.chance ? a.chance > b.chance : a.token < b.token;
            });
  return n;
}

void AllowedSource::learn(std::span<const Guess> guesses, TokenId choice) {
  for (const Guess& guess : guesses) {
    const bool is_chosen = guess.token == choice;
    rates_.learn(guess.kind, is_chosen);
    Habit& habit = habits_[index(guess.token) % kTokens];
    habit.n_chosen = habit.n_chosen * kFade + (is_chosen ? 1.0F : 0.0F);
    habit.n_offered = habit.n_offered * kFade + 1.0F;
  }
}

}  // namespace gumbelspec
