#include "src/engine/chain_acceptance.h"

#include <algorithm>

namespace gumbelspec {
namespace {

// Of a round's weight in the next one: about 50 rounds count.
constexpr double kFade = 0.98;
// Rounds that what is thought beforehand counts as: what is known of the nodes before says much of
// a node, and a few rounds that ended early must not keep chains short for good.
constexpr double kPriorWeight = 8.0;

// And what is thought before anything was seen.
constexpr double kFirstWeight = 2.0;

}  // namespace

void ChainAcceptance::observe(std::span<const double> expected) {
  double before = 0.0;
  double last = 0.0;
  later_ *= kFade;
  earlier_ *= kFade;
  for (Mean& mean : gains_) {
    mean.sum *= kFade;
    mean.weight *= kFade;
  }
  const std::size_t n = std::min(expected.size(), kMost);
  for (std::size_t i = 0; i < n; ++i) {
    const double gain = expected[i] - before;
    Mean& mean = gains_[i];
    mean.sum += gain;
    mean.weight += 1.0;
    if (i > 0) {
      later_ += gain;
      earlier_ += last;
    }
    last = gain;
    before = expected[i];
  }
}

double ChainAcceptance::gain(std::size_t i, double before) const {
  const double ratio = std::clamp(
      (later_ + kFirstWeight * prior_) / (std::max(earlier_, 0.0) + kFirstWeight), 0.0, 1.0);
  const double weight = i == 1 ? kFirstWeight : kPriorWeight;
  const double thought = i == 1 ? prior_ : before * ratio;
  if (i > kMost) return thought;
  const Mean& mean = gains_[i - 1];
  return std::max((mean.sum + weight * thought) / (mean.weight + weight), 0.0);
}

}  // namespace gumbelspec
