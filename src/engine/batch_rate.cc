#include "src/engine/batch_rate.h"

#include <algorithm>

namespace gumbelspec {
namespace {

// Rounds of one text that count for the rate, about; of many texts fewer say as much.
constexpr double kRateWindow = 60.0;
constexpr double kLeastWindow = 8.0;
constexpr double kPriorRounds = 4.0;

}  // namespace

BatchRate::BatchRate(const CostModel& costs) : costs_(costs), own_(kRateWindow) {}

double BatchRate::plain_s(std::size_t n) const { return std::max(costs_.target.seconds(n), 1e-9); }

void BatchRate::begin_round(std::size_t n_texts) {
  if (n_texts == n_texts_ || n_texts == 0) return;
  if (n_texts_ == 0) {
    tokens_ = kPriorRounds * static_cast<double>(n_texts);
    seconds_ = kPriorRounds * plain_s(n_texts);
  } else {
    tokens_ *= static_cast<double>(n_texts) / static_cast<double>(n_texts_);
    seconds_ *= plain_s(n_texts) / plain_s(n_texts_);
  }
  n_texts_ = n_texts;
}

double BatchRate::rate() const {
  if (seconds_ <= 0.0) return 0.0;
  const auto n = static_cast<double>(n_texts_);
  return std::max(tokens_ / seconds_, n / (plain_s(n_texts_) + n * own_.per_text()));
}

void BatchRate::end_round(std::size_t n_tokens, std::size_t n_nodes, double seconds, double pass_s,
                          bool is_plain) {
  const auto n = static_cast<double>(std::max<std::size_t>(n_texts_, 1));
  const double fade = 1.0 - 1.0 / std::max(kRateWindow / n, kLeastWindow);
  tokens_ = tokens_ * fade + static_cast<double>(n_tokens);
  seconds_ = seconds_ * fade + seconds;
  // What a draft takes that comes to nothing is no part of what plain rounds take.
  if (n_nodes == 0 && !is_plain) return;
  own_.observe(std::max<std::size_t>(n_texts_, 1), n_nodes, seconds - pass_s);
}

}  // namespace gumbelspec
