// The samplers that go with the text: mirostat and adaptive-p.
#include <algorithm>
#include <cmath>

#include "src/core/sampler_chain.h"

namespace gumbelspec {

// Requires: probabilities_ of all entries. They become those of what may be chosen.
void SamplerChain::note_chances() {
  std::vector<SamplerMemory::Chance>& chances = memory_->chances();
  chances.clear();
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    chances.push_back({entries_[i].token, probabilities_[i]});
  }
}

// How many of the likeliest tokens have the surprise wanted, if the ranks follow Zipf's law
// (2007.14966, algorithm 1). Requires: probabilities_, sorted.
std::size_t SamplerChain::mirostat_rank(double most_surprise) const {
  constexpr std::size_t kFitted = 100;  // tokens that the law is fitted to
  double sum_tb = 0.0;
  double sum_tt = 0.0;
  for (std::size_t i = 0; i + 1 < std::min(kFitted, entries_.size()); ++i) {
    const double t = std::log(static_cast<double>(i + 2) / static_cast<double>(i + 1));
    sum_tb += t * std::log(probabilities_[i] / probabilities_[i + 1]);
    sum_tt += t * t;
  }
  const double s = sum_tb / sum_tt;
  const double excess = s - 1.0;
  const auto n_vocab = static_cast<double>(counts_.size());
  const double k =
      std::pow(excess * std::exp2(most_surprise) / (1.0 - std::pow(n_vocab, -excess)), 1.0 / s);
  // Not a number where there are too few tokens.
  if (!(k >= 1.0)) return 1;
  return static_cast<std::size_t>(std::min(k, n_vocab));
}

void SamplerChain::mirostat(const SamplerMemory::State& state) {
  compute_probabilities();
  std::size_t n = 0;
  if (options_.mirostat == 1) {
    n = mirostat_rank(state.sum);
  } else {
    while (n < entries_.size() && -std::log2(probabilities_[n]) <= state.sum) ++n;
  }
  keep_first(std::max<std::size_t>(n, 1));
  compute_probabilities();
  note_chances();
}

// llama.cpp's curve: near the wanted probability a parabola, further away a straight line down.
void SamplerChain::adaptive_p(const SamplerMemory::State& state) {
  constexpr double kWidth = 0.3;
  constexpr double kPeak = 5.0;
  constexpr double kSharpness = 10.0;
  compute_probabilities();
  note_chances();
  const auto target = static_cast<double>(options_.adaptive_target);
  const double wanted = std::clamp(2.0 * target - state.sum / state.weight, 0.0, 1.0);
  for (std::size_t i = 0; i < entries_.size(); ++i) {
    const double distance = std::abs(probabilities_[i] - wanted) / kWidth;
    entries_[i].weight =
        static_cast<float>(kPeak - kSharpness * distance * distance / (1.0 + distance));
  }
  is_sorted_ = false;
}

}  // namespace gumbelspec
