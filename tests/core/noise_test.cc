#include "gumbelspec/noise.h"

#include <Random123/philox.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <initializer_list>
#include <limits>
#include <random>
#include <type_traits>
#include <vector>

#include "src/core/gumbel_math.h"
#include "src/core/vector_kernels.h"

namespace gumbelspec {
namespace {

std::vector<Simd> available() {
  std::vector<Simd> all = {Simd::scalar};
  if (best_simd() >= Simd::avx2) all.push_back(Simd::avx2);
  if (best_simd() >= Simd::avx512) all.push_back(Simd::avx512);
  return all;
}

// The noise in long double from the definition in noise.h, written independently of the library.
long double reference(NoiseKey key, Position position, std::uint32_t token) {
  const auto word = [&](std::uint32_t kind) {
    const r123::Philox4x32::ctr_type c = {
        {token / 4, static_cast<std::uint32_t>(position), key.stream, 2 * key.use + kind}};
    const r123::Philox4x32::key_type k = {
        {static_cast<std::uint32_t>(key.seed), static_cast<std::uint32_t>(key.seed >> 32U)}};
    return r123::Philox4x32()(c, k)[token % 4];
  };
  const std::uint32_t w = word(0);
  long double v = (static_cast<long double>(w) + 0.5L) / 4294967296.0L;
  if (w < (1U << 20U)) {
    v = (static_cast<long double>(w) * 4294967296.0L + static_cast<long double>(word(1)) + 0.5L) /
        18446744073709551616.0L;
  }
  return -std::log(-std::log1p(-v));
}

// The numbers that a seed stands for. If this test has to change, so has kNoiseVersion.
TEST(Noise, KeepsTheKnownAnswersOfVersion1) {
  EXPECT_EQ(kNoiseVersion, 1);
  struct Known {
    NoiseKey key;
    Position position;
    std::uint32_t token;
    std::uint32_t bits;
  };
  const Known known[] = {
#include "tests/core/noise_known_answers.inc"
  };
  for (const Known& k : known) {
    const float noise = noise_at(k.key, k.position, token_id(k.token));
    std::uint32_t bits = 0;
    std::memcpy(&bits, &noise, sizeof bits);
    EXPECT_EQ(bits, k.bits) << std::hex << "0x" << bits << " = " << noise << " for seed "
                            << k.key.seed << ", token " << k.token;
  }
}

// Published test vector of the generator itself (Random123, kat_vectors: philox4x32 10 rounds).
TEST(Noise, UsesTheGeneratorOfThePaper) {
  const auto words = r123::Philox4x32()({{0U, 0U, 0U, 0U}}, {{0U, 0U}});
  EXPECT_EQ(words[0], 0x6627E8D5U);
  EXPECT_EQ(words[1], 0xE169C58DU);
  EXPECT_EQ(words[2], 0xBC57AC4CU);
  EXPECT_EQ(words[3], 0x9B00DBD8U);
}

TEST(Noise, IsTheSameBitsOnEveryInstructionSet) {
  // A million words are too many for an emulated processor.
  const bool is_emulated = std::getenv("GUMBELSPEC_TEST_EMULATED") != nullptr;
  const std::size_t most = (is_emulated ? 8192 : 131072) + 5;
  for (const std::size_t n : std::initializer_list<std::size_t>{1, 3, 4, 15, 16, 17, 31, 32, 33, 63,
                                                                64, 100, 4096, most}) {
    for (std::uint32_t i = 0; i < 8; ++i) {
      const NoiseKey key{0x9E3779B97F4A7C15ULL * (i + 1), i, i / 4};
      const Position position{i * 0x12345678U};
      std::vector<float> expected(n);
      fill_noise(key, position, expected, Simd::scalar);
      for (const Simd simd : available()) {
        std::vector<float> got(n + 1, 42.0F);
        fill_noise(key, position, std::span(got).first(n), simd);
        ASSERT_EQ(std::memcmp(got.data(), expected.data(), n * sizeof(float)), 0)
            << "n = " << n << ", instruction set " << static_cast<int>(simd);
        ASSERT_EQ(got[n], 42.0F) << "written behind the end";
      }
    }
  }
}

TEST(Noise, FillIsNoiseAtForEveryToken) {
  std::vector<float> row(1000);
  fill_noise({77, 3}, Position{12}, row);
  for (std::size_t t = 0; t < row.size(); ++t) {
    ASSERT_EQ(row[t], noise_at({77, 3}, Position{12}, token_id(t)));
  }
}

TEST(Noise, IsWithinAMillionthOfItsDefinition) {
  for (std::uint32_t token = 0; token < 200000; ++token) {
    const NoiseKey key{99, 0, token % 2};
    const long double exact = reference(key, Position{5}, token);
    const auto got = static_cast<long double>(noise_at(key, Position{5}, token_id(token)));
    ASSERT_NEAR(static_cast<double>(got), static_cast<double>(exact),
                1e-6 * std::max(1.0, std::abs(static_cast<double>(exact))))
        << "token " << token;
  }
}

TEST(Noise, IsRightAtTheEdgesOfTheWord) {
  for (const std::uint32_t w : {0U, 1U, 2U, kTailBelow - 1U, kTailBelow, 0x4AFB0CCBU, 0x4AFB0CCCU,
                                0x4AFB0CCDU, 0x7FFFFFFFU, 0x80000000U, 0xFFFFFFFEU, 0xFFFFFFFFU}) {
    const long double v = (static_cast<long double>(w) + 0.5L) / 4294967296.0L;
    const auto exact = static_cast<double>(-std::log(-std::log1p(-v)));
    EXPECT_NEAR(static_cast<double>(gumbel_of_word<ScalarLanes>(w)), exact, 2e-6) << "word " << w;
    for (const std::uint32_t more : {0U, 1U, 0x80000000U, 0xFFFFFFFFU}) {
      if (w >= kTailBelow) continue;
      const long double v64 =
          (static_cast<long double>(w) * 4294967296.0L + static_cast<long double>(more) + 0.5L) /
          18446744073709551616.0L;
      const auto exact64 = static_cast<double>(-std::log(-std::log1p(-v64)));
      EXPECT_NEAR(static_cast<double>(gumbel_of_tail(w, more)), exact64, 1e-6 * exact64)
          << "word " << w << ", more " << more;
    }
  }
}

TEST(Noise, DependsOnSeedStreamUsePositionAndToken) {
  const float noise = noise_at({1, 0}, Position{10}, TokenId{20});
  EXPECT_NE(noise, noise_at({2, 0}, Position{10}, TokenId{20}));
  EXPECT_NE(noise, noise_at({1ULL + (1ULL << 32U), 0}, Position{10}, TokenId{20}));
  EXPECT_NE(noise, noise_at({1, 1}, Position{10}, TokenId{20}));
  EXPECT_NE(noise, noise_at({1, 0, 1}, Position{10}, TokenId{20}));
  EXPECT_NE(noise, noise_at({1, 0}, Position{11}, TokenId{20}));
  EXPECT_NE(noise, noise_at({1, 0}, Position{10}, TokenId{21}));
  EXPECT_EQ(noise, noise_at({1, 0}, Position{10}, TokenId{20}));
}

TEST(UniformNumber, IsTheFirstTwoWordsOfItsBlock) {
  const auto words = r123::Philox4x32()({{7U, 12U, 3U, 2U * 5U}}, {{77U, 1U}});
  const double expected = (words[0] + (words[1] + 0.5) / 4294967296.0) / 4294967296.0;
  EXPECT_NEAR(uniform_at({77U + (1ULL << 32U), 3, 5}, Position{12}, 7), expected, 1e-16);
}

TEST(Noise, RefusesInstructionsThatAreNotThere) {
  if (best_simd() == Simd::avx512) GTEST_SKIP() << "this processor has them all";
  std::vector<float> row(4);
  EXPECT_THROW(fill_noise({1, 0}, Position{0}, row, Simd::avx512), std::logic_error);
}

TEST(VectorKernels, AgreeOnTheMaximumOfASum) {
  std::vector<float> a(1003);
  std::vector<float> b(1003);
  fill_noise({1, 0}, Position{0}, a);
  fill_noise({1, 0}, Position{1}, b);
  a[17] = std::nanf("");
  b[500] = -INFINITY;
  for (const std::size_t n : {0, 1, 16, 63, 64, 65, 1003}) {
    for (const float* second : std::initializer_list<const float*>{nullptr, b.data()}) {
      const float expected = kScalarKernels.max_of_sum({a.data(), 1.0F, second, n});
      for (const Simd simd : available()) {
        EXPECT_EQ(vector_kernels(simd).max_of_sum({a.data(), 1.0F, second, n}), expected);
      }
    }
  }
}

// One id cannot be passed where another is meant.
static_assert(!std::is_convertible_v<TokenId, NodeId>);
static_assert(!std::is_convertible_v<int, TokenId>);
static_assert(!std::is_convertible_v<TokenId, int>);
static_assert(!std::is_invocable_v<decltype(noise_at), NoiseKey, Position, int>);
static_assert(!std::is_invocable_v<decltype(noise_at), NoiseKey, Position, NodeId>);

TEST(SoftmaxSums, AreTheSameBitsOnEveryInstructionSetAndRight) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal(0.0F, 4.0F);
  for (const std::size_t n : {1U, 7U, 16U, 17U, 100U, 4096U, 5001U}) {
    std::vector<float> a(n);
    std::vector<float> b(n);
    for (float& x : a) x = normal(random);
    for (float& x : b) x = normal(random);
    a[n / 2] = -std::numeric_limits<float>::infinity();
    if (n > 7) b[n / 3] = std::numeric_limits<float>::quiet_NaN();
    for (const bool has_b : {false, true}) {
      const float* second = has_b ? b.data() : nullptr;
      const float largest =
          std::max(kScalarKernels.max_of_sum({a.data(), 1.0F, second, n}), -1e30F);
      for (const float tau : {0.3F, 1.0F, 4.0F}) {
        std::array<float, 3> got = {};
        kScalarKernels.softmax_sums({a.data(), 1.0F, second, n}, {largest, 1.0F / tau, nullptr, 0},
                                    got.data());
        std::array<double, 3> expected = {};
        for (std::size_t i = 0; i < n; ++i) {
          const double x = static_cast<double>(a[i] + (has_b ? b[i] : 0.0F) - largest) /
                           static_cast<double>(tau);
          if (!(x > -16.0)) continue;
          expected[0] += std::exp(x);
          expected[1] += std::exp(x) * x;
          expected[2] += std::exp(x) * x * x;
        }
        for (std::size_t s = 0; s < 3; ++s) {
          EXPECT_NEAR(static_cast<double>(got[s]), expected[s],
                      1e-5 * (1.0 + std::abs(expected[s])))
              << n << ' ' << tau << ' ' << s;
        }
        for (const Simd simd : {Simd::avx2, Simd::avx512}) {
          if (simd > best_simd()) continue;
          std::array<float, 3> wide = {};
          vector_kernels(simd).softmax_sums({a.data(), 1.0F, second, n},
                                            {largest, 1.0F / tau, nullptr, 0}, wide.data());
          EXPECT_EQ(wide, got) << n << ' ' << tau;
          // Passing over blocks leaves the same.
          std::vector<float> maxima((n + 31) / 32);
          vector_kernels(simd).block_maxima({a.data(), 1.0F, second, n}, 32, maxima.data());
          vector_kernels(simd).softmax_sums({a.data(), 1.0F, second, n},
                                            {largest, 1.0F / tau, maxima.data(), 32}, wide.data());
          EXPECT_EQ(wide, got) << n << ' ' << tau;
        }
      }
    }
  }
}

}  // namespace
}  // namespace gumbelspec
