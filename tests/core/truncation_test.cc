// The truncations against a sort of the whole row.
#include "src/core/truncation.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "gumbelspec/error.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/sampling.h"
#include "gumbelspec/simd.h"
#include "src/core/mass_math.h"
#include "src/core/vector_kernels.h"
#include "testing/row_model.h"

namespace gumbelspec {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
const float kNaN = std::nanf("");

// Mass by the standard library's exponential in long double, not by our polynomial.
std::uint64_t naive_mass(float weight, float largest) {
  const long double x = static_cast<long double>(weight) - static_cast<long double>(largest);
  return static_cast<std::uint64_t>(std::llroundl(std::exp(x) * 4398046511104.0L));
}

// The tokens that are kept, ascending: by sorting everything. `mass` weighs them for top-p.
template <class Mass>
std::vector<std::size_t> sorted_reference(std::span<const float> row, const SamplingOptions& o,
                                          Mass mass) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i] > -kInfinity) order.push_back(i);  // not what is not a number
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return row[a] > row[b]; });
  if (order.empty()) return order;
  const float largest = row[order[0]];
  if (o.top_k > 0) order.resize(std::min(order.size(), static_cast<std::size_t>(o.top_k)));
  if (o.top_p < 1.0F) {
    std::uint64_t total = 0;
    for (const std::size_t i : order) total += mass(row[i], largest);
    const double wanted = static_cast<double>(o.top_p) * static_cast<double>(total);
    std::uint64_t sum = 0;
    std::size_t n = 0;
    while (static_cast<double>(sum) < wanted) sum += mass(row[order[n++]], largest);
    order.resize(n);
  }
  if (o.min_p > 0.0F) {
    const float least = largest + std::log(o.min_p);
    while (row[order.back()] < least) order.pop_back();
  }
  std::sort(order.begin(), order.end());
  return order;
}

std::vector<std::size_t> kept_tokens(LogWeights& weights, std::span<const float> row) {
  const KeptRow kept = weights.kept(row, {});
  std::vector<std::size_t> tokens;
  for (std::size_t i = 0; i < kept.size(); ++i) {
    EXPECT_TRUE(kept.is_whole || kept.weights[i] > -kInfinity);
    if (!(kept.weights[i] > -kInfinity)) continue;
    EXPECT_EQ(kept.weights[i], row[index(kept.token(i))]);
    tokens.push_back(index(kept.token(i)));
  }
  return tokens;
}

// How many rows: 10^6 with GUMBELSPEC_FUZZ_ROWS=1000000, as the results page has it.
std::size_t n_fuzzed_rows() {
  const char* wanted = std::getenv("GUMBELSPEC_FUZZ_ROWS");
  return wanted == nullptr ? 20000 : std::strtoull(wanted, nullptr, 10);
}

class RandomRow {
 public:
  explicit RandomRow(std::uint64_t seed) : random_(seed) {}

  // Of any length and scale; some with ties, infinities, what is not a number, or all alike.
  std::span<const float> next() {
    row_.resize(pick(12) == 0 ? 1 + pick(20000) : 1 + pick(400));
    const float scale = std::exp2(static_cast<float>(static_cast<int>(pick(14)) - 7));
    const float shift = pick(3) == 0 ? scale * 100.0F : 0.0F;
    fill_noise({random_(), 0}, Position{0}, row_);
    for (float& x : row_) x = x * scale + shift;
    switch (pick(6)) {
      case 0:
        for (float& x : row_) x = std::round(x / scale * 4.0F) / 4.0F * scale;
        break;
      case 1:
        std::fill(row_.begin(), row_.end(), shift);
        break;
      case 2:
        for (float& x : row_) x = pick(4) == 0 ? -kInfinity : x;
        break;
      case 3:
        for (float& x : row_) x = pick(10) == 0 ? kNaN : x;
        break;
      default:
        break;
    }
    return row_;
  }
  SamplingOptions options() {
    constexpr float kSmallest = std::numeric_limits<float>::denorm_min();
    const float below_one = std::nextafter(1.0F, 0.0F);
    const float some[] = {kSmallest, 1e-7F, 0.01F, 0.5F, 0.8F, 0.95F, 0.999F, below_one, 1.0F};
    SamplingOptions o;
    if (pick(2) == 0) o.top_k = static_cast<int>(pick(3) == 0 ? 1 + pick(30000) : 1 + pick(60));
    if (pick(3) != 0) o.top_p = pick(2) == 0 ? some[pick(9)] : unit();
    if (pick(2) == 0) o.min_p = pick(2) == 0 ? some[pick(9)] : unit() * unit();
    return o;
  }

 private:
  std::size_t pick(std::size_t n) { return random_() % n; }
  float unit() { return (static_cast<float>(random_() % 16000000) + 1.0F) / 16000002.0F; }

  std::mt19937_64 random_;
  std::vector<float> row_;
};

TEST(Truncation, KeepsWhatASortKeeps) {
  RandomRow rows(1);
  for (std::size_t i = 0; i < n_fuzzed_rows(); ++i) {
    const std::span<const float> row = rows.next();
    const SamplingOptions options = rows.options();
    LogWeights weights(options, row.size());
    ASSERT_EQ(kept_tokens(weights, row), sorted_reference(row, options, mass_of))
        << "row " << i << " of " << row.size() << ", top-k " << options.top_k << ", top-p "
        << options.top_p << ", min-p " << options.min_p;
  }
}

TEST(Truncation, KeepsWhatASortKeepsOfLongRows) {
  for (const float scale : {testing::kPeakedScale, 1.0F, testing::kFlatScale, 1e-4F}) {
    for (const std::size_t n : {151936U, 262144U}) {
      std::vector<float> row(n);
      testing::fill_row(7, 0, scale, row);
      for (const SamplingOptions& options :
           {SamplingOptions{.top_k = 40}, SamplingOptions{.top_k = 5000},
            SamplingOptions{.top_p = 0.95F}, SamplingOptions{.top_p = 0.5F, .min_p = 0.001F},
            SamplingOptions{.min_p = 0.05F},
            SamplingOptions{.top_k = 40, .top_p = 0.95F, .min_p = 0.05F}}) {
        LogWeights weights(options, n);
        EXPECT_EQ(kept_tokens(weights, row), sorted_reference(row, options, mass_of)) << scale;
      }
    }
  }
}

TEST(Truncation, LeavesOutTheLongNucleusOfADraft) {
  for (const float scale : {testing::kPeakedScale, testing::kFlatScale}) {
    for (const std::size_t n : {4096U, 151936U}) {
      std::vector<float> row(n);
      testing::fill_row(7, 0, scale, row);
      LogWeights weights({.top_p = 0.95F, .min_p = 1e-9F}, n);
      const bool is_left_out = n > 4096 && scale == testing::kFlatScale;
      const std::size_t n_kept = kept_tokens(weights, row).size();
      const KeptRow of_draft = weights.kept_of_draft(row, {});
      const auto n_of_draft =
          static_cast<std::size_t>(std::count_if(of_draft.weights.begin(), of_draft.weights.end(),
                                                 [](float weight) { return weight > -kInfinity; }));
      EXPECT_EQ(n_of_draft, is_left_out ? n : n_kept);
    }
  }
}

// What is left of a flat row is too much for a list, and a row of the draft is not written anew.
TEST(Truncation, LeavesADraftsRowAsItIsWhereALongListWouldBeLeft) {
  constexpr float kFlat = 0.1F;
  for (const SamplingOptions& options :
       {SamplingOptions{.min_p = 0.05F}, SamplingOptions{.top_k = 20000}}) {
    for (const float scale : {testing::kPeakedScale, kFlat}) {
      for (const std::size_t n : {4096U, 151936U}) {
        std::vector<float> row(n);
        testing::fill_row(7, 0, scale, row);
        LogWeights weights(options, n);
        const std::size_t n_kept = kept_tokens(weights, row).size();
        const bool is_left_out = n > 4096 && n_kept > KeptRow::most_listed(n);
        EXPECT_EQ(is_left_out, n > 4096 && (scale == kFlat || options.top_k > 0));
        const KeptRow of_draft = weights.kept_of_draft(row, {});
        const auto n_of_draft = static_cast<std::size_t>(
            std::count_if(of_draft.weights.begin(), of_draft.weights.end(),
                          [](float weight) { return weight > -kInfinity; }));
        EXPECT_EQ(n_of_draft, is_left_out ? n : n_kept);
        if (is_left_out) {
          EXPECT_EQ(of_draft.weights.data(), row.data());
        }
      }
    }
  }
}

TEST(Truncation, LeavesRowsWithoutAFiniteLargestWeightAsTheyAre) {
  for (const float x : {-kInfinity, kNaN, kInfinity}) {
    std::vector<float> row(300, -kInfinity);
    row[7] = x;
    row[8] = x == kInfinity ? 1.0F : x;
    LogWeights weights({.top_k = 5, .top_p = 0.9F, .min_p = 0.1F}, row.size());
    const KeptRow kept = weights.kept(row, {});
    EXPECT_TRUE(kept.is_whole);
    EXPECT_EQ(kept.weights.data(), row.data());
    EXPECT_THROW(static_cast<void>(choose(kept, {})), Error);
  }
}

// What top-p was before: the sum of exponentials in double.
TEST(Truncation, DiffersFromASumInDoubleByRoundingOnly) {
  RandomRow rows(2);
  const auto in_double = [](float weight, float largest) {
    return std::exp(static_cast<double>(weight) - static_cast<double>(largest));
  };
  std::size_t n_different = 0;
  for (std::size_t i = 0; i < 2000; ++i) {
    const std::span<const float> row = rows.next();
    SamplingOptions options;
    options.top_p = 0.01F + 0.98F * static_cast<float>(i) / 2000.0F;
    LogWeights weights(options, row.size());
    const std::vector<std::size_t> got = kept_tokens(weights, row);
    std::vector<float> sorted;
    for (const float x : row) {
      if (x > -kInfinity) sorted.push_back(x);
    }
    if (sorted.empty()) continue;
    std::sort(sorted.begin(), sorted.end(), std::greater<>());
    double total = 0.0;
    for (const float x : row) total += x > -kInfinity ? in_double(x, sorted[0]) : 0.0;
    double sum = 0.0;
    std::size_t n = 0;
    while (sum < static_cast<double>(options.top_p) * total)
      sum += in_double(sorted[n++], sorted[0]);
    if (got.size() == n) continue;
    ++n_different;
    // Then the sum was within rounding of what is wanted.
    double of_got = 0.0;
    for (std::size_t j = 0; j < got.size(); ++j) of_got += in_double(sorted[j], sorted[0]);
    EXPECT_NEAR(of_got / total, static_cast<double>(options.top_p), 1e-9 + 1.5 / total) << i;
  }
  EXPECT_LE(n_different, 2U);
}

std::vector<Simd> available() {
  std::vector<Simd> all;
  for (const Simd simd : {Simd::scalar, Simd::avx2, Simd::avx512}) {
    if (simd <= best_simd()) all.push_back(simd);
  }
  return all;
}

TEST(Mass, IsTheExponentialRoundedToAnInteger) {
  std::size_t n_off = 0;
  for (int i = 0; i <= 400000; ++i) {
    const float weight = -static_cast<float>(i) / 12000.0F;
    const std::uint64_t got = mass_of(weight, 0.0F);
    const std::uint64_t expected = naive_mass(weight, 0.0F);
    // By one where the exponential is next to the middle between two integers.
    ASSERT_LE(std::max(got, expected) - std::min(got, expected), 1U) << weight;
    n_off += got == expected ? 0U : 1U;
  }
  EXPECT_LE(n_off, 20000U);
  EXPECT_EQ(mass_of(3.0F, 3.0F), 1ULL << 42U);
  EXPECT_EQ(mass_of(-kInfinity, 0.0F), 0U);
  EXPECT_EQ(mass_of(kNaN, 0.0F), 0U);
  EXPECT_EQ(mass_of(-40.0F, 0.0F), 0U);
}

// Whatever the instructions are, the parts of the selection are the same.
TEST(VectorKernels, AgreeOnEveryPartOfATruncation) {
  RandomRow rows(3);
  for (std::size_t i = 0; i < 3000; ++i) {
    const std::span<const float> row = rows.next();
    const std::size_t n = row.size();
    std::vector<float> maxima((n + 63) / 64);
    const float largest =
        kScalarKernels.block_maxima({row.data(), 0.5F, nullptr, n}, 64, maxima.data());
    const float most = kScalarKernels.max_of_sum({row.data(), 1.0F, nullptr, n});
    std::vector<std::uint64_t> masses(n);
    kScalarKernels.masses(row.data(), most, n, masses.data());
    const float least = row[n / 2];
    std::vector<TokenId> tokens(n + kCollectSlack);
    tokens.resize(kScalarKernels.collect(row.data(), 11, n, least, most, tokens.data()));
    std::vector<float> kept(n);
    const std::size_t n_equal = kScalarKernels.keep_from(row.data(), least, kept.data(), n);
    std::vector<std::uint32_t> mask((n + 31) / 32);
    for (std::size_t j = 0; j < mask.size(); ++j)
      mask[j] = static_cast<std::uint32_t>(j * 77777777);
    std::vector<float> allowed(n);
    kScalarKernels.keep_allowed(row.data(), mask.data(), allowed.data(), n);
    const auto bits = [](float x) { return __builtin_bit_cast(std::uint32_t, x); };
    for (const Simd simd : available()) {
      const VectorKernels& kernels = vector_kernels(simd);
      std::vector<float> some((n + 63) / 64);
      EXPECT_EQ(kernels.block_maxima({row.data(), 0.5F, nullptr, n}, 64, some.data()), largest);
      EXPECT_EQ(some, maxima);
      std::vector<std::uint64_t> weighed(n);
      kernels.masses(row.data(), most, n, weighed.data());
      ASSERT_EQ(weighed, masses) << simd_name(simd);
      std::array<std::uint64_t, 2> sums = {};
      kernels.mass_sums(row.data(), most, least, n, sums.data());
      std::array<std::uint64_t, 2> expected = {};
      for (std::size_t j = 0; j < n; ++j) {
        expected[0] += masses[j];
        expected[1] += row[j] > least ? masses[j] : 0;
      }
      EXPECT_EQ(sums, expected);
      std::vector<TokenId> listed(n + kCollectSlack);
      listed.resize(kernels.collect(row.data(), 11, n, least, most, listed.data()));
      ASSERT_EQ(listed, tokens);
      std::vector<float> out(n);
      EXPECT_EQ(kernels.keep_from(row.data(), least, out.data(), n), n_equal);
      EXPECT_EQ(out, kept);
      kernels.keep_allowed(row.data(), mask.data(), out.data(), n);
      for (std::size_t j = 0; j < n; ++j) ASSERT_EQ(bits(out[j]), bits(allowed[j]));
      if (!(most > -kInfinity)) continue;
      double exact = 0.0;
      for (const float x : row) {
        if (x - most > -40.0F)
          exact += std::exp(static_cast<double>(x) - static_cast<double>(most));
      }
      EXPECT_NEAR(kernels.exp_sum(row.data(), most, n), exact, kExpSumError * exact);
    }
  }
}

TEST(NoiseOf, IsTheNoiseOfEachToken) {
  std::mt19937_64 random(4);
  for (const std::size_t n : {0U, 1U, 7U, 16U, 17U, 1000U, 20000U}) {
    std::vector<TokenId> tokens(n);
    for (TokenId& t : tokens) t = token_id(random() % 300000);
    const NoiseKey key{random(), 3, 1};
    std::vector<float> expected(n);
    for (std::size_t i = 0; i < n; ++i) expected[i] = noise_at(key, Position{12}, tokens[i]);
    for (const Simd simd : available()) {
      std::vector<float> got(n);
      vector_kernels(simd).noise_of(key, Position{12}, tokens.data(), got.data(), n);
      EXPECT_EQ(got, expected) << simd_name(simd);
    }
  }
}

}  // namespace
}  // namespace gumbelspec
