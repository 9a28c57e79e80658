#include "src/engine/recycled_source.h"

#include <algorithm>
#include <cmath>

#include "src/core/probabilities.h"

namespace gumbelspec {
namespace {

constexpr std::size_t kRows = 4096;
// A row of single tokens is less of a promise than one of pairs.
constexpr std::array<double, 2> kPriorTrust = {0.7, 0.45};
// At temperature 0 the likeliest token is all but certain; an old row is not.
constexpr float kLeastTemperature = 0.5F;
constexpr double kMostSum = 0.99;

}  // namespace

RecycledSource::RecycledSource(const SamplingOptions& sampling)
    : sharpness_(1.0 / static_cast<double>(std::max(sampling.temperature, kLeastTemperature))),
      rows_(kRows),
      best_(kMost) {
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      rates_.begin(i * kBins + bin, kPriorTrust[i] * (static_cast<double>(bin) + 0.5) / kBins);
    }
  }
}

std::size_t RecycledSource::place_of(TokenId before, TokenId last) {
  const std::uint64_t h = (static_cast<std::uint64_t>(static_cast<std::uint32_t>(before)) << 32U |
                           static_cast<std::uint32_t>(last)) *
                          0x9e3779b97f4a7c15U;
  return static_cast<std::size_t>(h >> 40U) % kRows;
}

const RecycledSource::Row* RecycledSource::find(TokenId before, TokenId last) const {
  const Row& row = rows_[place_of(before, last)];
  return row.text == text_ && row.before == before && row.last == last ? &row : nullptr;
}

void RecycledSource::keep(TokenId before, TokenId last, std::span<const float> logits) {
  constexpr float kTau = 0.05F;  // the values are not needed; a small tau saves computing them
  const std::size_t n = best_candidates(logits, {}, kTau, best_);
  if (n == 0 || !std::isfinite(best_[0].score)) return;
  const float most = best_[0].score;
  // The rest at the temperature is not more than it is at 1, times what the last one kept loses.
  const double all = std::exp(log_sum_exp(logits, most));
  double of_kept = 0.0;
  double sum = 0.0;
  Row row{.text = text_, .before = before, .last = last};
  for (std::size_t i = 0; i < n; ++i) {
    const auto distance = static_cast<double>(best_[i].score - most);
    of_kept += std::exp(distance);
    row.tokens[i] = best_[i].token;
    row.chances[i] = static_cast<float>(std::exp(distance * sharpness_));
    sum += static_cast<double>(row.chances[i]);
  }
  const auto last_distance = static_cast<double>(best_[n - 1].score - most);
  sum += std::max(all - of_kept, 0.0) * std::exp(last_distance * (sharpness_ - 1.0));
  for (float& chance : row.chances) chance = static_cast<float>(static_cast<double>(chance) / sum);
  rows_[place_of(before, last)] = row;
  row.before = kAny;
  rows_[place_of(kAny, last)] = row;
}

std::size_t RecycledSource::look(const TextView& text, std::span<Guess> out) const {
  const std::size_t size = text.size();
  const Row* row = size < 2 ? nullptr : find(text[size - 2], text[size - 1]);
  const std::size_t of = row == nullptr ? 1 : 0;
  if (row == nullptr) row = find(kAny, text[size - 1]);
  if (row == nullptr) return 0;
  std::size_t n = 0;
  double sum = 0.0;
  for (; n < std::min(kMost, out.size()) && row->chances[n] > 0.0F; ++n) {
    // Between the rates of the two bins around what the row says.
    const double said = static_cast<double>(row->chances[n]);
    const double at = std::clamp(said * kBins - 0.5, 0.0, kBins - 1.0);
    const auto bin = static_cast<std::size_t>(at);
    const double part = at - static_cast<double>(bin);
    const std::size_t next = std::min(bin + 1, kBins - 1);
    double chance =
        rates_.rate(of * kBins + bin) * (1.0 - part) + rates_.rate(of * kBins + next) * part;
    // The first bin is wide where chances are small.
    if (said * kBins < 0.5) chance *= said * kBins / 0.5;
    out[n] = {
        row->tokens[n], static_cast<float>(chance),
        static_cast<std::uint8_t>(
            of * kBins + std::min<std::size_t>(static_cast<std::size_t>(said * kBins), kBins - 1))};
    sum += chance;
  }
  if (sum > kMostSum) {
    for (Guess& guess : out.first(n)) guess.chance *= static_cast<float>(kMostSum / sum);
  }
  return n;
}

void RecycledSource::learn(const Guess& guess, bool is_hit) {
  // Many of a row's tokens are all but impossible; they would drown the others of their bin.
  constexpr float kLeastCounted = 0.01F;
  if (is_hit || guess.chance >= kLeastCounted) rates_.learn(guess.kind, is_hit);
}

}  // namespace gumbelspec
