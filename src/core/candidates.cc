#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "gumbelspec/error.h"
#include "gumbelspec/sampling.h"
#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

constexpr float kLowest = -std::numeric_limits<float>::infinity();
// Looking for a few largest scores, most blocks are passed over by their maximum alone.
constexpr std::size_t kBlock = 256;

// Scores of two rows; noise may be missing.
struct Scores {
  std::span<const float> log_weights;
  const float* noise;

  Scores(std::span<const float> l, std::span<const float> g)
      : log_weights(l), noise(g.empty() ? nullptr : g.data()) {
    if (!g.empty() && g.size() < l.size()) {
      throw std::logic_error("Scores: the noise row is shorter than the log-weights");
    }
  }
  [[nodiscard]] std::size_t size() const { return log_weights.size(); }
  [[nodiscard]] float operator[](std::size_t i) const {
    return noise == nullptr ? log_weights[i] : log_weights[i] + noise[i];
  }
  [[nodiscard]] float block_max(std::size_t first, std::size_t n) const {
    return vector_kernels().max_of_sum(log_weights.data() + first,
                                       noise == nullptr ? nullptr : noise + first, n);
  }
};

// Calls visit(i, score) for all scores above limit(), which visit may raise, in ascending order.
template <class Limit, class Visit>
void for_each_above(const Scores& scores, Limit limit, Visit visit) {
  for (std::size_t first = 0; first < scores.size(); first += kBlock) {
    const std::size_t n = std::min(kBlock, scores.size() - first);
    if (!(scores.block_max(first, n) > limit())) continue;
    for (std::size_t i = first; i < first + n; ++i) {
      const float score = scores[i];
      if (score > limit()) visit(i, score);
    }
  }
}

// log of the sum of exp((score - largest) / tau), and the moments of score - largest.
float log_sum(const Scores& scores, float largest, float tau, ScoreMoments* moments) {
  // What is further below adds less than e^-16 each, too little for an estimate.
  const float limit = largest - 16.0F * tau;
  float sum = 0.0F;
  float first = 0.0F;
  float second = 0.0F;
  for_each_above(
      scores, [&] { return limit; },
      [&](std::size_t, float score) {
        const float below = score - largest;
        const float weight = std::exp(below / tau);
        sum += weight;
        first += weight * below;
        second += weight * below * below;
      });
  if (moments != nullptr) {
    moments->mean = first / sum;
    moments->variance = std::max(second / sum - moments->mean * moments->mean, 0.0F);
  }
  return std::log(sum);
}

}  // namespace

Choice choose(std::span<const float> log_weights, std::span<const float> noise) {
  const Scores scores(log_weights, noise);
  Choice best;
  float second = kLowest;
  best.score = kLowest;
  for_each_above(
      scores, [&] { return second; },
      [&](std::size_t i, float score) {
        if (score > best.score) {
          second = best.score;
          best.runner_up = best.token;
          best.score = score;
          best.token = token_id(i);
        } else {
          second = score;
          best.runner_up = token_id(i);
        }
      });
  if (!(best.score > kLowest) || best.score == std::numeric_limits<float>::infinity()) {
    throw Error(ErrorCode::no_token_allowed,
                "no token can be chosen: of " + std::to_string(scores.size()) +
                    " tokens all are forbidden or have a logit that is not a finite number; "
                    "relax the mask or the biases, or check the model file");
  }
  best.margin = best.score - second;
  if (!(second > kLowest)) best.runner_up = best.token;
  return best;
}

std::size_t best_candidates(std::span<const float> log_weights, std::span<const float> noise,
                            float tau, std::span<Candidate> out, ScoreMoments* moments) {
  const Scores scores(log_weights, noise);
  std::size_t n = 0;
  const auto limit = [&]() -> float { return n < out.size() ? kLowest : out[n - 1].score; };
  if (out.empty()) return 0;
  for_each_above(scores, limit, [&](std::size_t i, float score) {
    std::size_t at = n < out.size() ? n++ : n - 1;
    for (; at > 0 && out[at - 1].score < score; --at) out[at] = out[at - 1];
    out[at] = {token_id(i), score, 0.0F};
  });
  if (n == 0) return 0;
  const float largest = out[0].score;
  const float rest = log_sum(scores, largest, tau, moments);
  for (Candidate& c : out.first(n)) c.log_value = std::min((c.score - largest) / tau - rest, 0.0F);
  return n;
}

}  // namespace gumbelspec
