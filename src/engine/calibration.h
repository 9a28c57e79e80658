// From softmax(score / tau) to the chance that the target takes this child, learnt as the text
// goes.
//
// Two steps. tau: one step of Newton's method per example on the log-likelihood of the target's
// choices, over a window. What is left, by bins of the estimate: the ratio of hits to what was
// expected. Both start from what fits the demo pair and move with the first examples.
//
// The text does not depend on any of it: a value decides what is verified, never what is accepted.
#ifndef GUMBELSPEC_ENGINE_CALIBRATION_H_
#define GUMBELSPEC_ENGINE_CALIBRATION_H_

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "gumbelspec/calibration_store.h"
#include "gumbelspec/costs.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec {

class Calibration {
 public:
  // n_ranks: children per node that are looked at.
  Calibration(float tau, std::size_t n_ranks);

  // The temperature for best_candidates().
  [[nodiscard]] float tau() const { return tau_; }
  // The chances of a node's children, given that the text goes through the node; their sum is at
  // most 1. Shape: both [n].
  void values(std::span<const Candidate> candidates, std::span<float> out) const;
  // The mean chance of the k-th child. Shape: [n_ranks].
  [[nodiscard]] std::span<const double> profile() const { return profile_; }

  // The text went through a node with these children, and on with candidates[chosen];
  // chosen == candidates.size(): with a token that is not among them.
  // Requires: candidates and moments come from best_candidates() with some recent tau().
  void learn(std::span<const Candidate> candidates, const ScoreMoments& moments,
             std::size_t chosen);

  [[nodiscard]] std::span<const CalibrationBin> bins() const { return report_; }

  // What was learnt, for a later text; and to begin with it, where it counts for less than what
  // comes. Returns: false, and nothing has changed, if the numbers cannot be of such a calibration.
  [[nodiscard]] std::vector<double> numbers() const;
  bool begin_from(std::span<const double> numbers);

 private:
  static constexpr std::size_t kBins = 12;
  struct Bin {
    double expected = 0.0;
    double hit = 0.0;
  };
  [[nodiscard]] double ratio(std::size_t i) const;
  [[nodiscard]] double corrected(double estimate) const;
  void learn_tau(std::span<const Candidate> candidates, const ScoreMoments& moments,
                 std::size_t chosen);

  float tau_;
  double curvature_;
  std::array<Bin, kBins> bins_{};
  Bin all_;  // what the bins have in common: a useless draft is so for every estimate
  std::array<double, kBins> ratios_{};
  std::vector<double> profile_;
  double n_profile_;
  std::array<CalibrationBin, 10> report_{};
  std::vector<float> scratch_;
};

// Where a token is among the candidates; their number: nowhere.
[[nodiscard]] std::size_t place_of(TokenId token, std::span<const Candidate> candidates);

// A text of this kind begins with what the store has of it, if anything; and leaves what it learnt.
void begin_from(const CalibrationStore& store, const SamplingOptions& sampling, float tau,
                Calibration& calibration);
void keep(CalibrationStore& store, const SamplingOptions& sampling, float tau,
          const Calibration& calibration);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_CALIBRATION_H_
