#include "testing/reference.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace gumbelspec::testing {
namespace {

constexpr double kForbidden = -std::numeric_limits<double>::infinity();

std::vector<double> softmax(const std::vector<double>& logits) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  std::vector<double> p(logits.size());
  for (std::size_t i = 0; i < p.size(); ++i) p[i] = std::exp(logits[i] - largest);
  const double sum = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& x : p) x /= sum;
  return p;
}

void penalise(std::vector<double>& logits, const SamplingOptions& o,
              std::span<const TokenId> text) {
  const std::size_t window =
      o.penalty_last_n < 0 ? text.size()
                           : std::min(text.size(), static_cast<std::size_t>(o.penalty_last_n));
  const std::span<const TokenId> last = text.last(window);
  for (std::size_t t = 0; t < logits.size(); ++t) {
    const auto count = std::count(last.begin(), last.end(), token_id(t));
    if (count == 0) continue;
    const auto penalty = static_cast<double>(o.repeat_penalty);
    logits[t] = logits[t] > 0.0 ? logits[t] / penalty : logits[t] * penalty;
    logits[t] -= static_cast<double>(o.presence_penalty) +
                 static_cast<double>(count) * static_cast<double>(o.frequency_penalty);
  }
}

}  // namespace

std::vector<double> reference_probabilities(std::span<const float> row, const SamplingOptions& o,
                                            std::span<const TokenId> text) {
  std::vector<double> logits(row.begin(), row.end());
  for (const LogitBias& b : o.logit_bias) logits[index(b.token)] += static_cast<double>(b.bias);
  penalise(logits, o, text);

  // Best first; of equal logits the smaller id.
  std::vector<std::size_t> order(logits.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return logits[a] > logits[b]; });
  const auto cut = [&](std::size_t n) {
    for (std::size_t i = n; i < order.size(); ++i) logits[order[i]] = kForbidden;
  };
  if (o.top_k > 0) cut(static_cast<std::size_t>(o.top_k));
  if (o.top_p < 1.0F) {
    const std::vector<double> p = softmax(logits);
    double sum = 0.0;
    std::size_t n = 0;
    while (n < order.size() && sum < static_cast<double>(o.top_p)) sum += p[order[n++]];
    cut(n);
  }
  if (o.min_p > 0.0F) {
    const std::vector<double> p = softmax(logits);
    const double least = static_cast<double>(o.min_p) * p[order[0]];
    for (std::size_t i = 0; i < p.size(); ++i) {
      if (p[i] < least) logits[i] = kForbidden;
    }
  }
  if (o.temperature == 0.0F) {
    cut(1);
    return softmax(logits);
  }
  for (double& x : logits) x /= static_cast<double>(o.temperature);
  return softmax(logits);
}

std::vector<double> joint_probabilities(const TableModel& model, const SamplingOptions& options,
                                        std::span<const TokenId> prompt, std::size_t n) {
  const std::size_t n_vocab = model.limits().n_vocab;
  std::vector<TokenId> text(prompt.begin(), prompt.end());
  std::vector<double> joint = {1.0};
  for (std::size_t level = 0; level < n; ++level) {
    std::vector<double> next;
    next.reserve(joint.size() * n_vocab);
    for (std::size_t outcome = 0; outcome < joint.size(); ++outcome) {
      text.resize(prompt.size() + level);
      for (std::size_t i = level, rest = outcome; i-- > 0; rest /= n_vocab) {
        text[prompt.size() + i] = token_id(rest % n_vocab);
      }
      const std::vector<double> p = reference_probabilities(model.logits(text), options, text);
      for (const double x : p) next.push_back(joint[outcome] * x);
    }
    joint = std::move(next);
  }
  return joint;
}

}  // namespace gumbelspec::testing
