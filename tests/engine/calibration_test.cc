// From the Gumbel-softmax to the chance of being the target's choice.
#include "src/engine/calibration.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "gumbelspec/noise.h"

namespace gumbelspec {
namespace {

constexpr std::size_t kVocab = 200;
constexpr std::size_t kRanks = 16;

// A draft's row, the noise, and what a target says that is the draft plus an error of this size.
struct Example {
  std::vector<float> draft;
  std::vector<float> noise;
  TokenId choice{};
};
Example example(std::mt19937& random, float error, std::uint32_t position) {
  std::normal_distribution<float> normal;
  Example e{std::vector<float>(kVocab), std::vector<float>(kVocab), {}};
  std::vector<float> target(kVocab);
  for (std::size_t i = 0; i < kVocab; ++i) {
    e.draft[i] = 2.5F * normal(random);
    target[i] = e.draft[i] + error * normal(random);
  }
  fill_noise({5, 0}, Position{position}, e.noise);
  e.choice = choose(target, e.noise).token;
  return e;
}

struct Fit {
  double expected = 0.0;
  double hit = 0.0;
  double log_likelihood = 0.0;
};

// Learns from n examples; returns how good the values were on the last half.
Fit fit(Calibration& calibration, float error, std::size_t n, std::uint32_t seed) {
  std::mt19937 random(seed);
  Fit result;
  std::vector<Candidate> candidates(kRanks);
  std::vector<float> values(kRanks);
  for (std::size_t i = 0; i < n; ++i) {
    const Example e = example(random, error, static_cast<std::uint32_t>(i));
    ScoreMoments moments;
    const std::size_t m =
        best_candidates(e.draft, e.noise, calibration.tau(), candidates, &moments);
    calibration.values(std::span(candidates).first(m), values);
    std::size_t chosen = m;
    double sum = 0.0;
    for (std::size_t k = 0; k < m; ++k) {
      if (candidates[k].token == e.choice) chosen = k;
      sum += static_cast<double>(values[k]);
    }
    if (i >= n / 2) {
      result.expected += static_cast<double>(values[0]);
      result.hit += chosen == 0 ? 1.0 : 0.0;
      const double p = chosen < m ? static_cast<double>(values[chosen]) : 1.0 - sum;
      result.log_likelihood += std::log(std::max(p, 1e-3));
    }
    calibration.learn(std::span(candidates).first(m), moments, chosen);
  }
  return result;
}

TEST(Calibration, FindsHowFarADraftCanBeTrusted) {
  Calibration close(0.5F, kRanks);
  Calibration far(0.5F, kRanks);
  fit(close, 0.3F, 1500, 1);
  fit(far, 2.5F, 1500, 1);
  EXPECT_LT(close.tau(), 0.45F);
  EXPECT_GT(far.tau(), 1.0F);
  EXPECT_GT(close.profile()[0], 0.75);
  EXPECT_LT(far.profile()[0], 0.5);
}

TEST(Calibration, ExpectsWhatComes) {
  for (const float error : {0.3F, 1.0F, 3.0F}) {
    Calibration calibration(0.5F, kRanks);
    const Fit result = fit(calibration, error, 3000, 7);
    EXPECT_NEAR(result.expected / 1500.0, result.hit / 1500.0, 0.035) << error;
  }
}

TEST(Calibration, RecoversFromAnAbsurdBeginning) {
  Calibration good(0.5F, kRanks);
  const double reference = fit(good, 1.0F, 3000, 9).log_likelihood;
  for (const float tau : {0.1F, 8.0F}) {
    Calibration absurd(tau, kRanks);
    EXPECT_NEAR(fit(absurd, 1.0F, 3000, 9).log_likelihood / reference, 1.0, 0.03) << tau;
  }
}

TEST(Calibration, LearnsThatADraftIsUselessFromAFewExamples) {
  Calibration calibration(0.5F, kRanks);
  // Nothing it proposes is ever taken.
  std::mt19937 random(1);
  std::vector<Candidate> candidates(kRanks);
  for (std::uint32_t i = 0; i < 30; ++i) {
    const Example e = example(random, 1.0F, i);
    ScoreMoments moments;
    const std::size_t m =
        best_candidates(e.draft, e.noise, calibration.tau(), candidates, &moments);
    calibration.learn(std::span(candidates).first(m), moments, m);
  }
  EXPECT_LT(calibration.profile()[0], 0.2);
}

TEST(Calibration, ValuesOfSiblingsAreAtMostOneTogether) {
  Calibration calibration(0.5F, kRanks);
  fit(calibration, 0.1F, 500, 3);
  std::mt19937 random(4);
  std::vector<Candidate> candidates(kRanks);
  std::vector<float> values(kRanks);
  for (std::uint32_t i = 0; i < 200; ++i) {
    const Example e = example(random, 0.1F, i);
    const std::size_t m = best_candidates(e.draft, e.noise, calibration.tau(), candidates);
    calibration.values(std::span(candidates).first(m), values);
    double sum = 0.0;
    for (std::size_t k = 0; k < m; ++k) {
      EXPECT_GE(values[k], 0.0F);
      EXPECT_LT(values[k], 1.0F);
      sum += static_cast<double>(values[k]);
    }
    EXPECT_LE(sum, 1.0001);
  }
}

TEST(Calibration, IsAFunctionOfItsHistory) {
  Calibration a(0.5F, kRanks);
  Calibration b(0.5F, kRanks);
  fit(a, 1.0F, 300, 5);
  fit(b, 1.0F, 300, 5);
  EXPECT_EQ(a.tau(), b.tau());
  for (std::size_t k = 0; k < kRanks; ++k) EXPECT_EQ(a.profile()[k], b.profile()[k]);
}

TEST(Calibration, BeginsWithWhatAnotherTextTaught) {
  Calibration taught(0.5F, kRanks);
  (void)fit(taught, 1.5F, 1500, 3);
  CalibrationStore store;
  const SamplingOptions sampling = {.temperature = 0.7F, .top_p = 0.9F};
  keep(store, sampling, 0.5F, taught);
  Calibration next(0.5F, kRanks);
  begin_from(store, sampling, 0.5F, next);
  EXPECT_EQ(next.tau(), taught.tau());
  EXPECT_EQ(next.numbers().size(), taught.numbers().size());
  for (std::size_t k = 0; k < kRanks; ++k) EXPECT_EQ(next.profile()[k], taught.profile()[k]);
  for (const CalibrationBin& bin : next.bins()) EXPECT_EQ(bin.n, 0U) << "the report is the text's";
  // In its first examples it is as good as one that has had many, and an untaught one is not.
  Calibration untaught(0.5F, kRanks);
  const double begun = fit(next, 1.5F, 60, 4).log_likelihood;
  EXPECT_GT(begun, fit(untaught, 1.5F, 60, 4).log_likelihood + 0.5);
  EXPECT_NEAR(begun, fit(taught, 1.5F, 60, 4).log_likelihood, 0.5);
}

TEST(Calibration, OfAnotherKindOfSamplingIsNotTaken) {
  Calibration taught(0.5F, kRanks);
  (void)fit(taught, 1.5F, 500, 3);
  CalibrationStore store;
  keep(store, {.temperature = 0.7F}, 0.5F, taught);
  for (const SamplingOptions& other :
       {SamplingOptions{.temperature = 0.8F}, SamplingOptions{.temperature = 0.7F, .top_k = 5},
        SamplingOptions{.temperature = 0.7F, .top_p = 0.9F},
        SamplingOptions{.temperature = 0.7F, .min_p = 0.1F}}) {
    EXPECT_EQ(store.find(CalibrationKey::of(other, 0.5F)), nullptr);
  }
  EXPECT_EQ(store.find(CalibrationKey::of({.temperature = 0.7F}, 0.6F)), nullptr);
  EXPECT_NE(store.find(CalibrationKey::of({.temperature = 0.7F}, 0.5F)), nullptr);
  for (int i = 0; i < 40; ++i) {
    keep(store, {.temperature = 1.0F + 0.01F * static_cast<float>(i)}, 0.5F, taught);
    keep(store, {.temperature = 2.0F}, 0.5F, taught);
  }
  EXPECT_EQ(store.records().size(), CalibrationStore::kMost);
  EXPECT_EQ(store.find(CalibrationKey::of({.temperature = 0.7F}, 0.5F)), nullptr)
      << "the oldest makes room";
}

TEST(Calibration, KeysDifferByEveryFieldTheyHave) {
  const CalibrationKey key = CalibrationKey::of({.temperature = 0.7F, .top_k = 3}, 0.5F);
  std::size_t n_fields = 0;
  CalibrationKey::visit(key, [&](const char*, const auto&) { ++n_fields; });
  for (std::size_t changed = 0; changed < n_fields; ++changed) {
    CalibrationKey other = key;
    std::size_t i = 0;
    CalibrationKey::visit(other, [&](const char*, auto& field) {
      if (i++ == changed) field += 1;
    });
    EXPECT_FALSE(other == key) << changed;
    CalibrationStore store;
    store.keep({.key = key, .numbers = {}});
    EXPECT_EQ(store.find(other), nullptr) << changed;
  }
  // What is in no file would be another kind of sampling there: all of the key is visited.
  EXPECT_EQ(n_fields, 5U);
  EXPECT_EQ(sizeof(CalibrationKey), n_fields * sizeof(float)) << "a field that visit() forgets";
}

TEST(Calibration, RefusesNumbersThatNoneCanHave) {
  Calibration taught(0.5F, kRanks);
  (void)fit(taught, 1.5F, 500, 3);
  const std::vector<double> good = taught.numbers();
  Calibration next(0.5F, kRanks);
  const std::vector<double> before = next.numbers();
  std::vector<double> bad = good;
  bad.pop_back();
  EXPECT_FALSE(next.begin_from(bad));
  EXPECT_FALSE(next.begin_from({}));
  for (std::size_t i = 0; i < good.size(); ++i) {
    for (const double x : {-1.0, 1e9, std::nan(""), HUGE_VAL}) {
      bad = good;
      bad[i] = x;
      EXPECT_FALSE(next.begin_from(bad)) << i << ": " << x;
    }
  }
  EXPECT_EQ(next.numbers(), before);
  EXPECT_TRUE(next.begin_from(good));
}

}  // namespace
}  // namespace gumbelspec
