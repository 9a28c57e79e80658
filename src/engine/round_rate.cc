#include "src/engine/round_rate.h"

#include <algorithm>

namespace gumbelspec {
namespace {

// Rounds of one text that count for the rate, about; of many texts fewer say as much.
constexpr double kRateWindow = 60.0;
constexpr double kLeastWindow = 8.0;
constexpr double kPriorRounds = 4.0;

}  // namespace

RoundRate::RoundRate(const CostModel& costs) : costs_(costs), own_(kRateWindow) {}

double RoundRate::plain_s(std::size_t n) const { return std::max(costs_.target.seconds(n), 1e-9); }

void RoundRate::begin_round(std::size_t n_texts) {
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

double RoundRate::rate() const {
  if (seconds_ <= 0.0) return 0.0;
  return std::max(tokens_ / seconds_, static_cast<double>(n_texts_) / plain_round_s());
}

void RoundRate::end_round(std::size_t n_tokens, double seconds) {
  const auto n = static_cast<double>(std::max<std::size_t>(n_texts_, 1));
  const double fade = 1.0 - 1.0 / std::max(kRateWindow / n, kLeastWindow);
  tokens_ = tokens_ * fade + static_cast<double>(n_tokens);
  seconds_ = seconds_ * fade + seconds;
}

}  // namespace gumbelspec
