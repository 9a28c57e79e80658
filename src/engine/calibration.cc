#include "src/engine/calibration.h"

#include <algorithm>
#include <cmath>

namespace gumbelspec {
namespace {

// Examples that count, about; older ones fade. How well the draft does changes with the text, what
// its values mean does so less.
constexpr double kWindow = 200.0;
constexpr double kProfileWindow = 64.0;
constexpr double kFade = 1.0 - 1.0 / kWindow;
// What the prior weighs: as much as the beginning of a text.
constexpr double kPriorCurvature = 12.0;
constexpr double kPriorHits = 3.0;      // of a bin, at the ratio of all bins
constexpr double kPriorAllHits = 2.0;   // of all bins together, at 1
constexpr double kLeastCounted = 0.05;  // estimates below say little about the others
constexpr double kPriorProfile = 4.0;
// What other texts taught counts for this part of what it did there, and for so many nodes of the
// profile at most.
constexpr double kCarriedShare = 0.5;
constexpr double kCarriedProfile = 16.0;
constexpr float kLeastTau = 0.1F;
constexpr float kMostTau = 8.0F;
// No value is certain, so that a node under it never looks free.
constexpr double kMostValue = 0.995;

// Of an unknown pair, careful: the strong demo draft has 0.70, 0.15, 0.05 and the weak one 0.51,
// 0.17, 0.07 (first children at the target's place).
double prior_share(std::size_t rank) {
  constexpr std::array<double, 4> kFirst = {0.55, 0.15, 0.07, 0.04};
  return rank < kFirst.size() ? kFirst[rank] : 0.16 / static_cast<double>(rank + 1);
}

// Bins of equal width in the logarithm of the odds, from 1/50 to 50.
double bin_place(double estimate, std::size_t n_bins) {
  const double p = std::clamp(estimate, 0.002, 0.998);
  const double place =
      (std::log(p / (1.0 - p)) / 4.0 + 1.0) * 0.5 * static_cast<double>(n_bins) - 0.5;
  return std::clamp(place, 0.0, static_cast<double>(n_bins) - 1.0);
}

}  // namespace

Calibration::Calibration(float tau, std::size_t n_ranks)
    : tau_(tau),
      curvature_(kPriorCurvature),
      profile_(n_ranks),
      n_profile_(kPriorProfile),
      scratch_(n_ranks) {
  ratios_.fill(1.0);
  for (std::size_t k = 0; k < n_ranks; ++k) profile_[k] = prior_share(k);
  for (std::size_t i = 0; i < report_.size(); ++i) {
    report_[i].low = static_cast<double>(i) / static_cast<double>(report_.size());
  }
}

double Calibration::ratio(std::size_t i) const {
  const Bin& bin = bins_[i];
  const double all = (all_.hit + kPriorAllHits) / (all_.expected + kPriorAllHits);
  return std::clamp((bin.hit + kPriorHits * all) / (bin.expected + kPriorHits), 0.05, 4.0);
}

double Calibration::corrected(double estimate) const {
  const double place = bin_place(estimate, kBins);
  const auto i = static_cast<std::size_t>(place);
  const double part = place - static_cast<double>(i);
  return std::min(
      estimate * (ratios_[i] * (1.0 - part) + ratios_[std::min(i + 1, kBins - 1)] * part),
      kMostValue);
}

void Calibration::values(std::span<const Candidate> candidates, std::span<float> out) const {
  double sum = 0.0;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const double value = corrected(std::exp(static_cast<double>(candidates[i].log_value)));
    out[i] = static_cast<float>(value);
    sum += value;
  }
  if (sum <= 1.0) return;
  for (float& value : out.first(candidates.size())) value /= static_cast<float>(sum);
}

void Calibration::learn_tau(std::span<const Candidate> candidates, const ScoreMoments& moments,
                            std::size_t chosen) {
  const double mean = static_cast<double>(moments.mean);
  double slope = 0.0;  // of the log-likelihood, by 1 / tau
  if (chosen < candidates.size()) {
    slope = static_cast<double>(candidates[chosen].score - candidates[0].score) - mean;
  } else {
    // Somewhere among the rest: its mean under the softmax.
    double mass = 1.0;
    double first = mean;
    for (const Candidate& c : candidates) {
      const double p = std::exp(static_cast<double>(c.log_value));
      mass -= p;
      first -= p * static_cast<double>(c.score - candidates[0].score);
    }
    // With next to no mass left the quotient is rounding error; the last candidate bounds it.
    const double last = static_cast<double>(candidates.back().score - candidates.front().score);
    slope = (mass > 1e-3 ? std::min(first / mass, last) : last) - mean;
  }
  curvature_ = std::min(curvature_ * kFade + static_cast<double>(moments.variance), 1e6);
  const double step = std::clamp(slope / curvature_, -0.25, 0.25);
  const double inverse = std::max(1.0 / static_cast<double>(tau_) + step, 1e-3);
  tau_ = std::clamp(static_cast<float>(1.0 / inverse), kLeastTau, kMostTau);
}

void Calibration::learn(std::span<const Candidate> candidates, const ScoreMoments& moments,
                        std::size_t chosen) {
  if (candidates.empty()) return;
  const std::size_t n = std::min(candidates.size(), scratch_.size());
  candidates = candidates.first(n);
  values(candidates, scratch_);
  const double weight = 1.0 / (n_profile_ + 1.0);
  n_profile_ = std::min(n_profile_ + 1.0, kProfileWindow);
  for (std::size_t k = 0; k < profile_.size(); ++k) {
    // Half what came, half what was expected: the one is noisy, the other may be off.
    const double expected = k < n ? static_cast<double>(scratch_[k]) : 0.0;
    const double share = 0.5 * (expected + (k == chosen ? 1.0 : 0.0));
    profile_[k] += (share - profile_[k]) * weight;
  }
  all_.expected *= kFade;
  all_.hit *= kFade;
  for (std::size_t k = 0; k < n; ++k) {
    const double value = static_cast<double>(scratch_[k]);
    CalibrationBin& shown = report_[std::min<std::size_t>(static_cast<std::size_t>(value * 10), 9)];
    ++shown.n;
    shown.expected += value;
    if (k == chosen) ++shown.n_hit;
    const double estimate = std::exp(static_cast<double>(candidates[k].log_value));
    const double hit = k == chosen ? 1.0 : 0.0;
    Bin& bin = bins_[static_cast<std::size_t>(std::lround(bin_place(estimate, kBins)))];
    bin.expected = bin.expected * kFade + estimate;
    bin.hit = bin.hit * kFade + hit;
    if (estimate < kLeastCounted) continue;
    all_.expected += estimate;
    all_.hit += hit;
  }
  for (std::size_t i = 0; i < kBins; ++i) ratios_[i] = ratio(i);
  learn_tau(candidates, moments, chosen);
}

// tau, curvature, the bins, what they have in common, the profile and what it counts for.
std::vector<double> Calibration::numbers() const {
  std::vector<double> result = {static_cast<double>(tau_), curvature_};
  for (const Bin& bin : bins_) result.insert(result.end(), {bin.expected, bin.hit});
  result.insert(result.end(), {all_.expected, all_.hit});
  result.insert(result.end(), profile_.begin(), profile_.end());
  result.push_back(n_profile_);
  return result;
}

bool Calibration::begin_from(std::span<const double> numbers) {
  constexpr std::size_t kFirstBin = 2;
  constexpr std::size_t kProfile = kFirstBin + 2 * kBins + 2;
  if (numbers.size() != kProfile + profile_.size() + 1) return false;
  // The files that they come from can be anything.
  const bool is_possible =
      std::all_of(numbers.begin(), numbers.end(), [](double x) { return x >= 0.0 && x <= 1e6; });
  const std::span<const double> profile = numbers.subspan(kProfile, profile_.size());
  if (!is_possible || numbers[0] < static_cast<double>(kLeastTau) ||
      numbers[0] > static_cast<double>(kMostTau) ||
      std::any_of(profile.begin(), profile.end(), [](double x) { return x > 1.0; })) {
    return false;
  }
  tau_ = static_cast<float>(numbers[0]);
  curvature_ = std::max(numbers[1] * kCarriedShare, kPriorCurvature);
  for (std::size_t i = 0; i < kBins; ++i) {
    bins_[i].expected = numbers[kFirstBin + 2 * i] * kCarriedShare;
    bins_[i].hit = numbers[kFirstBin + 2 * i + 1] * kCarriedShare;
  }
  all_.expected = numbers[kProfile - 2] * kCarriedShare;
  all_.hit = numbers[kProfile - 1] * kCarriedShare;
  std::copy(profile.begin(), profile.end(), profile_.begin());
  n_profile_ = std::clamp(numbers.back(), kPriorProfile, kCarriedProfile);
  for (std::size_t i = 0; i < kBins; ++i) ratios_[i] = ratio(i);
  return true;
}

std::size_t place_of(TokenId token, std::span<const Candidate> candidates) {
  return static_cast<std::size_t>(
      std::find_if(candidates.begin(), candidates.end(),
                   [&](const Candidate& c) { return c.token == token; }) -
      candidates.begin());
}

void begin_from(const CalibrationStore& store, const SamplingOptions& sampling, float tau,
                Calibration& calibration) {
  if (const CalibrationRecord* record = store.find(CalibrationKey::of(sampling, tau))) {
    calibration.begin_from(record->numbers);
  }
}

void keep(CalibrationStore& store, const SamplingOptions& sampling, float tau,
          const Calibration& calibration) {
  store.keep({.key = CalibrationKey::of(sampling, tau), .numbers = calibration.numbers()});
}

}  // namespace gumbelspec
