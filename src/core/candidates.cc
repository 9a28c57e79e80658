#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
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

// Scores of the entries of a row; noise may be missing.
struct Scores {
  KeptRow row;
  const float* noise;

  Scores(const KeptRow& r, std::span<const float> g)
      : row(r), noise(g.empty() ? nullptr : g.data()) {
    if (!g.empty() && g.size() < r.size()) {
      throw std::logic_error("Scores: the noise row is shorter than the log-weights");
    }
  }
  [[nodiscard]] std::size_t size() const { return row.size(); }
  [[nodiscard]] float operator[](std::size_t i) const {
    const float log_weight = row.weights[i] * row.factor;
    return noise == nullptr ? log_weight : log_weight + noise[i];
  }
  [[nodiscard]] ScoreSpan span(std::size_t first, std::size_t n) const {
    return {row.weights.data() + first, row.factor, noise == nullptr ? nullptr : noise + first, n};
  }
  [[nodiscard]] ScoreSpan span() const { return span(0, size()); }
};

// Calls visit(i, score) for all scores above limit(), which visit may raise, in ascending order.
template <class Limit, class Visit>
void for_each_above(const Scores& scores, Limit limit, Visit visit) {
  for (std::size_t first = 0; first < scores.size(); first += kBlock) {
    const std::size_t n = std::min(kBlock, scores.size() - first);
    if (!(vector_kernels().max_of_sum(scores.span(first, n)) > limit())) continue;
    for (std::size_t i = first; i < first + n; ++i) {
      const float score = scores[i];
      if (score > limit()) visit(i, score);
    }
  }
}

// The maxima of blocks of a row, and those of groups of blocks.
class BlockMaxima {
 public:
  explicit BlockMaxima(const Scores& scores) {
    while (scores.size() > size_ * kMost) size_ *= 2;
    n_ = (scores.size() + size_ - 1) / size_;
    vector_kernels().block_maxima(scores.span(), size_, maxima_.data());
  }

  [[nodiscard]] std::size_t block_size() const { return size_; }
  [[nodiscard]] std::span<const float> maxima() const { return std::span(maxima_).first(n_); }
  // At least k scores are so large, where there are k at all.
  [[nodiscard]] float least_of_best(std::size_t k) const {
    if (k > n_) return kLowest;
    // Groups are enough where there are many of them, and quicker.
    std::array<float, kMost> sorted = {};
    std::size_t n = 0;
    const std::size_t group = k * kGroup < n_ ? kGroup : 1;
    for (std::size_t i = 0; i < n_; i += group) {
      const auto first = maxima_.begin() + static_cast<std::ptrdiff_t>(i);
      sorted[n++] =
          *std::max_element(first, first + static_cast<std::ptrdiff_t>(std::min(group, n_ - i)));
    }
    const auto place = sorted.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(sorted.begin(), place, sorted.begin() + static_cast<std::ptrdiff_t>(n),
                     std::greater<>());
    return *place;
  }

 private:
  static constexpr std::size_t kMost = 4096;
  static constexpr std::size_t kGroup = 8;

  std::size_t size_ = 64;
  std::size_t n_ = 0;
  std::array<float, kMost> maxima_;
};

// log of the sum of exp((score - largest) / tau), and the moments of score - largest.
float log_sum(const Scores& scores, const BlockMaxima& blocks, float largest, float tau,
              ScoreMoments* moments) {
  std::array<float, 3> sums = {};
  vector_kernels().softmax_sums(scores.span(),
                                {largest, 1.0F / tau, blocks.maxima().data(), blocks.block_size()},
                                sums.data());
  if (moments != nullptr) {
    const float mean = sums[1] / sums[0];
    moments->mean = mean * tau;
    moments->variance = std::max(sums[2] / sums[0] - mean * mean, 0.0F) * tau * tau;
  }
  return std::log(sums[0]);
}

}  // namespace

Choice choose(std::span<const float> log_weights, std::span<const float> noise) {
  return choose(KeptRow::of(log_weights), noise);
}

Choice choose(const KeptRow& row, std::span<const float> noise) {
  const Scores scores(row, noise);
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
          best.token = row.token(i);
        } else {
          second = score;
          best.runner_up = row.token(i);
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
  return best_candidates(KeptRow::of(log_weights), noise, tau, out, moments);
}

std::size_t best_candidates(const KeptRow& row, std::span<const float> noise, float tau,
                            std::span<Candidate> out, ScoreMoments* moments) {
  const Scores scores(row, noise);
  if (out.empty()) return 0;
  const BlockMaxima blocks(scores);
  const float least = blocks.least_of_best(out.size());
  float last = kLowest;  // of a full list
  std::size_t n = 0;
  for (std::size_t b = 0; b < blocks.maxima().size(); ++b) {
    if (!(blocks.maxima()[b] >= least) || !(blocks.maxima()[b] > last)) continue;
    const std::size_t first = b * blocks.block_size();
    const std::size_t end = std::min(first + blocks.block_size(), scores.size());
    for (std::size_t i = first; i < end; ++i) {
      const float score = scores[i];
      if (!(score >= least) || !(score > last)) continue;
      std::size_t at = n < out.size() ? n++ : n - 1;
      for (; at > 0 && out[at - 1].score < score; --at) out[at] = out[at - 1];
      out[at] = {row.token(i), score, 0.0F};
      if (n == out.size()) last = out[n - 1].score;
    }
  }
  if (n == 0) return 0;
  const float largest = out[0].score;
  const float rest = log_sum(scores, blocks, largest, tau, moments);
  for (Candidate& c : out.first(n)) c.log_value = std::min((c.score - largest) / tau - rest, 0.0F);
  return n;
}

}  // namespace gumbelspec
