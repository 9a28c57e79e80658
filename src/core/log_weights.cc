#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "gumbelspec/error.h"
#include "gumbelspec/sampling.h"
#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

constexpr float kForbidden = -std::numeric_limits<float>::infinity();

std::string number(float value) {
  std::string text = std::to_string(value);
  text.erase(std::min(text.find_last_not_of('0') + 1, text.size()));
  if (text.back() == '.') text.pop_back();
  return text;
}

// is_valid is written so that NaN fails it.
void require(bool is_valid, const std::string& name, const std::string& value,
             const std::string& limit) {
  if (is_valid) return;
  throw Error(ErrorCode::invalid_option, name + " is " + value + ", but must be " + limit);
}

}  // namespace

void validate(const SamplingOptions& o) {
  constexpr float kMost = std::numeric_limits<float>::max();
  require(o.temperature >= 0.0F && o.temperature <= kMost, "temperature", number(o.temperature),
          "a number >= 0 (0: always the likeliest token)");
  // Below this the scaled logits overflow; the text is that of temperature 0 long before.
  require(o.temperature == 0.0F || o.temperature >= 1e-4F, "temperature", number(o.temperature),
          "0 or at least 0.0001; use 0 for the likeliest token");
  require(o.top_k >= 0, "top-k", std::to_string(o.top_k), ">= 0 (0: off)");
  require(o.top_p > 0.0F && o.top_p <= 1.0F, "top-p", number(o.top_p), "in (0, 1] (1: off)");
  require(o.min_p >= 0.0F && o.min_p <= 1.0F, "min-p", number(o.min_p), "in [0, 1] (0: off)");
  require(o.repeat_penalty > 0.0F && o.repeat_penalty <= kMost, "repeat-penalty",
          number(o.repeat_penalty), "> 0 (1: off)");
  require(std::abs(o.presence_penalty) <= kMost, "presence-penalty", number(o.presence_penalty),
          "a finite number (0: off)");
  require(std::abs(o.frequency_penalty) <= kMost, "frequency-penalty", number(o.frequency_penalty),
          "a finite number (0: off)");
  require(o.penalty_last_n >= -1, "repeat-last-n", std::to_string(o.penalty_last_n),
          ">= -1 (-1: the whole text, 0: off)");
  for (const LogitBias& b : o.logit_bias) {
    require(static_cast<std::int32_t>(b.token) >= 0, "logit-bias token",
            std::to_string(static_cast<std::int32_t>(b.token)), "a token id >= 0");
    require(b.bias <= kMost, "logit-bias", number(b.bias), "a number below infinity");
  }
}

LogWeights::LogWeights(SamplingOptions options, std::size_t n_vocab)
    : options_(std::move(options)), weights_(n_vocab) {
  validate(options_);
  has_penalties_ = options_.penalty_last_n != 0 &&
                   (options_.repeat_penalty != 1.0F || options_.presence_penalty != 0.0F ||
                    options_.frequency_penalty != 0.0F);
  if (has_penalties_) counts_.resize(n_vocab);
  if (options_.top_k > 0 || options_.top_p < 1.0F) order_.resize(n_vocab);
}

std::span<const float> LogWeights::operator()(std::span<const float> logits, const TextView& text,
                                              std::span<const std::uint32_t> allowed) {
  const bool truncates = options_.top_k > 0 || options_.top_p < 1.0F || options_.min_p > 0.0F;
  const float factor = uses_noise() ? 1.0F / options_.temperature : 1.0F;
  const bool changes =
      has_penalties_ || truncates || !allowed.empty() || !options_.logit_bias.empty();
  if (!changes && factor == 1.0F) return logits;
  if (!changes) {
    vector_kernels().scale(logits.data(), factor, weights_.data(), weights_.size());
    return weights_;
  }
  std::copy(logits.begin(), logits.end(), weights_.begin());
  for (const LogitBias& b : options_.logit_bias) {
    if (index(b.token) < weights_.size()) weights_[index(b.token)] += b.bias;
  }
  if (has_penalties_) apply_penalties(text);
  if (!allowed.empty()) apply_mask(allowed);
  if (options_.top_k > 0) keep_top_k();
  if (options_.top_p < 1.0F) keep_top_p();
  if (options_.min_p > 0.0F) keep_min_p();
  vector_kernels().scale(weights_.data(), factor, weights_.data(), weights_.size());
  return weights_;
}

void LogWeights::apply_penalties(const TextView& text) {
  const std::size_t window =
      options_.penalty_last_n < 0
          ? text.size()
          : std::min(text.size(), static_cast<std::size_t>(options_.penalty_last_n));
  const std::size_t first = text.size() - window;
  const auto is_known = [&](TokenId t) { return index(t) < weights_.size(); };
  for (std::size_t i = first; i < text.size(); ++i) {
    if (is_known(text[i])) ++counts_[index(text[i])];
  }
  for (std::size_t i = first; i < text.size(); ++i) {
    if (!is_known(text[i])) continue;
    // The first visit applies the whole count, and leaves none for the next ones.
    const std::uint32_t count = std::exchange(counts_[index(text[i])], 0U);
    if (count == 0) continue;
    float& weight = weights_[index(text[i])];
    weight = weight <= 0.0F ? weight * options_.repeat_penalty : weight / options_.repeat_penalty;
    weight -= static_cast<float>(count) * options_.frequency_penalty + options_.presence_penalty;
  }
}

void LogWeights::apply_mask(std::span<const std::uint32_t> allowed) {
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    if (((allowed[i / 32] >> (i % 32)) & 1U) == 0) weights_[i] = kForbidden;
  }
}

void LogWeights::keep_from(float threshold, std::size_t n_ties) {
  for (float& weight : weights_) {
    if (weight > threshold) continue;
    if (weight == threshold && n_ties > 0) {
      --n_ties;
    } else {
      weight = kForbidden;
    }
  }
}

void LogWeights::keep_top_k() {
  const auto k = static_cast<std::size_t>(options_.top_k);
  if (k >= weights_.size()) return;
  order_ = weights_;
  const auto kth = order_.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(order_.begin(), kth, order_.end(), std::greater<>());
  const auto n_above =
      std::count_if(weights_.begin(), weights_.end(), [&](float weight) { return weight > *kth; });
  keep_from(*kth, k - static_cast<std::size_t>(n_above));
}

void LogWeights::keep_top_p() {
  const float largest = vector_kernels().max_of_sum(weights_.data(), nullptr, weights_.size());
  if (!(largest > kForbidden)) return;
  const auto mass = [&](float weight) {
    return std::exp(static_cast<double>(weight) - static_cast<double>(largest));
  };
  double total = 0.0;
  order_.clear();  // keeps its capacity
  for (const float weight : weights_) {
    if (!(weight > kForbidden)) continue;
    total += mass(weight);
    order_.push_back(weight);
  }
  // Sorting a vocabulary is expensive, and most of it is never needed: sort ever larger beginnings.
  const double wanted = static_cast<double>(options_.top_p) * total;
  double sum = 0.0;
  std::size_t n_sorted = 0;
  for (std::size_t n = 128; n_sorted < order_.size(); n *= 4) {
    const std::size_t until = std::min(n, order_.size());
    std::partial_sort(order_.begin() + static_cast<std::ptrdiff_t>(n_sorted),
                      order_.begin() + static_cast<std::ptrdiff_t>(until), order_.end(),
                      std::greater<>());
    for (; n_sorted < until; ++n_sorted) {
      sum += mass(order_[n_sorted]);
      if (sum < wanted) continue;
      const float threshold = order_[n_sorted];
      const auto first_equal = std::find(order_.begin(), order_.end(), threshold);
      keep_from(threshold, n_sorted + 1 - static_cast<std::size_t>(first_equal - order_.begin()));
      return;
    }
  }
}

void LogWeights::keep_min_p() {
  const float largest = vector_kernels().max_of_sum(weights_.data(), nullptr, weights_.size());
  if (!(largest > kForbidden)) return;
  const float threshold = largest + std::log(options_.min_p);
  for (float& weight : weights_) {
    if (weight < threshold) weight = kForbidden;
  }
}

}  // namespace gumbelspec
