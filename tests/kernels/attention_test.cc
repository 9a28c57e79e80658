// Attention, norms and gates of each instruction set against float64, and the same bits for every
// batch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "ggml.h"
#include "gumbelspec/kernels.h"
#include "kernels/src/kernel_set.h"
#include "tests/kernels/kernel_data.h"
#include "tests/kernels/kernel_sets.h"

namespace gumbelspec::kernels {
namespace {

struct Attention {
  int64_t head_k = 64, head_v = 64, n_cells = 0;
  int n_q = 1;
  std::vector<float> q;
  std::vector<ggml_fp16_t> k, v, mask;  // mask: [n_q][n_cells]

  Attention(int queries, int64_t cells, int64_t dk, int64_t dv, unsigned seed)
      : head_k(dk),
        head_v(dv),
        n_cells(cells),
        n_q(queries),
        q(noise(static_cast<size_t>(queries * dk), seed)) {
    k = halves(static_cast<size_t>(cells * dk), seed + 1);
    v = halves(static_cast<size_t>(cells * dv), seed + 2);
    mask.assign(static_cast<size_t>(queries * cells), ggml_fp32_to_fp16(0.0f));
  }
  static std::vector<ggml_fp16_t> halves(size_t n, unsigned seed) {
    const auto x = noise(n, seed, 5.0f);
    std::vector<ggml_fp16_t> h(n);
    ggml_fp32_to_fp16_row(x.data(), h.data(), static_cast<int64_t>(n));
    return h;
  }
  void hide(int query, int64_t cell) {
    mask[static_cast<size_t>(query * n_cells + cell)] =
        ggml_fp32_to_fp16(-std::numeric_limits<float>::infinity());
  }
  bool sees(int query, int64_t cell) const {
    return mask[static_cast<size_t>(query * n_cells + cell)] == 0;
  }

  std::vector<float> run(const KernelSet& set, int first, int n) const {
    std::vector<const float*> qs;
    std::vector<const uint16_t*> masks;
    std::vector<float*> outs;
    std::vector<float> out(static_cast<size_t>(n * head_v));
    const std::vector<float> slopes(static_cast<size_t>(n), 1.0f);
    for (int i = 0; i < n; ++i) {
      qs.push_back(q.data() + (first + i) * head_k);
      masks.push_back(mask.data() + (first + i) * n_cells);
      outs.push_back(out.data() + i * head_v);
    }
    std::vector<uint8_t> scratch(attention_scratch(n_cells, n, head_k, head_v), 0xff);
    AttentionJob job{};
    job.q = qs.data(), job.mask = masks.data(), job.out = outs.data();
    job.slope = slopes.data(), job.n_q = n;
    job.k = reinterpret_cast<const uint8_t*>(k.data());
    job.v = reinterpret_cast<const uint8_t*>(v.data());
    job.k_stride = static_cast<size_t>(head_k) * 2, job.v_stride = static_cast<size_t>(head_v) * 2;
    job.k_type = job.v_type = GGML_TYPE_F16;
    job.n_cells = n_cells, job.head_k = head_k, job.head_v = head_v;
    job.scale = 1.0f / std::sqrt(static_cast<float>(head_k));
    job.scratch = scratch.data();
    set.attention(job);
    return out;
  }

  std::vector<double> reference() const {
    std::vector<double> out(static_cast<size_t>(n_q * head_v));
    for (int i = 0; i < n_q; ++i) {
      std::vector<double> s(static_cast<size_t>(n_cells), -1e300);
      double top = -1e300, sum = 0.0;
      for (int64_t j = 0; j < n_cells; ++j) {
        if (!sees(i, j)) continue;
        double dot = 0.0;
        for (int64_t d = 0; d < head_k; ++d) {
          dot += static_cast<double>(q[static_cast<size_t>(i * head_k + d)]) *
                 ggml_fp16_to_fp32(k[static_cast<size_t>(j * head_k + d)]);
        }
        s[static_cast<size_t>(j)] = dot / std::sqrt(static_cast<double>(head_k));
        top = std::max(top, s[static_cast<size_t>(j)]);
      }
      for (int64_t j = 0; j < n_cells; ++j) {
        if (!sees(i, j)) continue;
        const double p = std::exp(s[static_cast<size_t>(j)] - top);
        sum += p;
        for (int64_t d = 0; d < head_v; ++d) {
          out[static_cast<size_t>(i * head_v + d)] +=
              p * ggml_fp16_to_fp32(v[static_cast<size_t>(j * head_v + d)]);
        }
      }
      for (int64_t d = 0; d < head_v; ++d) out[static_cast<size_t>(i * head_v + d)] /= sum;
    }
    return out;
  }

  // The same cells at other places of a cache of `cells` cells, the rest hidden and full of noise.
  Attention scattered(int64_t cells, unsigned seed) const {
    Attention other(n_q, cells, head_k, head_v, seed);
    other.q = q;
    std::vector<int64_t> places(static_cast<size_t>(cells));
    std::iota(places.begin(), places.end(), 0);
    std::mt19937 rng(seed);
    std::shuffle(places.begin(), places.end(), rng);
    for (int i = 0; i < n_q; ++i) {
      for (int64_t j = 0; j < cells; ++j) other.hide(i, j);
    }
    for (int64_t j = 0; j < n_cells; ++j) {
      const int64_t at = places[static_cast<size_t>(j)];
      std::copy_n(k.begin() + j * head_k, head_k, other.k.begin() + at * head_k);
      std::copy_n(v.begin() + j * head_v, head_v, other.v.begin() + at * head_v);
      for (int i = 0; i < n_q; ++i) {
        other.mask[static_cast<size_t>(i * cells + at)] =
            mask[static_cast<size_t>(i * n_cells + j)];
      }
    }
    return other;
  }
};

class AttentionTest : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    set_ = kernels_named(GetParam());
    if (!set_) GTEST_SKIP() << "this processor has no " << GetParam();
  }
  const KernelSet* set_ = nullptr;
};

Attention random_masks(int n_q, int64_t cells, int64_t dk, int64_t dv, unsigned seed) {
  Attention a(n_q, cells, dk, dv, seed);
  std::mt19937 rng(seed + 9);
  for (int i = 0; i < n_q; ++i) {
    for (int64_t j = 1; j < cells; ++j) {
      if (rng() % 3 == 0) a.hide(i, j);
    }
  }
  return a;
}

TEST_P(AttentionTest, AgreesWithFloat64) {
  for (const int64_t head : {64, 128, 80, 40}) {
    for (const int64_t cells : {1, 15, 33, 300, 4096}) {
      const Attention a = random_masks(3, cells, head, head == 80 ? 64 : head, 4);
      EXPECT_LT(relative_error(a.run(*set_, 0, 3), a.reference()), 1e-5)
          << "head " << head << " cells " << cells;
    }
  }
}

TEST_P(AttentionTest, IsTheSameBitsForEveryOrderAndNumberOfCells) {
  const Attention a = random_masks(4, 200, 64, 64, 8);
  const auto want = a.run(*set_, 0, 4);
  for (unsigned seed = 0; seed < 8; ++seed) {
    const auto got = a.scattered(200 + 97 * seed, seed).run(*set_, 0, 4);
    ASSERT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0) << seed;
  }
}

TEST_P(AttentionTest, IsTheSameBitsForEveryBatch) {
  const Attention a = random_masks(24, 150, 64, 64, 2);
  const auto all = a.run(*set_, 0, 24);
  for (int i = 0; i < 24; ++i) {
    const auto one = a.run(*set_, i, 1);
    ASSERT_EQ(std::memcmp(one.data(), all.data() + int64_t{i} * 64, one.size() * sizeof(float)), 0)
        << i;
  }
}

// Neighbours that see the same cells, as the heads of a token do, share what is read of a value:
// groups of one to nine queries, next to ones that see others.
TEST_P(AttentionTest, IsTheSameBitsForQueriesThatSeeTheSame) {
  constexpr int kGroups = 9, kQueries = kGroups * (kGroups + 1) / 2;
  Attention a = random_masks(kQueries, 150, 64, 80, 12);
  for (int group = 1, first = 0; group <= kGroups; first += group++) {
    const auto mask = a.mask.begin() + int64_t{first} * a.n_cells;
    for (int i = 1; i < group; ++i) std::copy_n(mask, a.n_cells, mask + i * a.n_cells);
  }
  const auto all = a.run(*set_, 0, kQueries);
  for (int i = 0; i < kQueries; ++i) {
    const auto one = a.run(*set_, i, 1);
    ASSERT_EQ(std::memcmp(one.data(), all.data() + int64_t{i} * 80, one.size() * sizeof(float)), 0)
        << i;
  }
  EXPECT_LT(relative_error(all, a.reference()), 1e-5);
}

TEST_P(AttentionTest, IgnoresWhatHiddenCellsHold) {
  Attention a = random_masks(2, 60, 64, 64, 3);
  const auto want = a.run(*set_, 0, 2);
  const ggml_fp16_t nan = 0x7e00;
  for (int64_t j = 0; j < 60; ++j) {
    if (a.sees(0, j) || a.sees(1, j)) continue;
    std::fill_n(a.k.begin() + j * 64, 64, nan);
    std::fill_n(a.v.begin() + j * 64, 64, nan);
  }
  const auto got = a.run(*set_, 0, 2);
  EXPECT_EQ(std::memcmp(got.data(), want.data(), want.size() * sizeof(float)), 0);
}

TEST_P(AttentionTest, SaysSoWhereAVisibleValueIsNoNumber) {
  for (const ggml_fp16_t bad : {ggml_fp16_t{0x7e00}, ggml_fp16_t{0xfc00}}) {
    Attention a = random_masks(2, 60, 64, 64, 3);
    a.hide(1, 0);
    a.v[5] = bad;  // of cell 0, which query 0 sees
    for (const float x : a.run(*set_, 0, 1)) EXPECT_TRUE(std::isnan(x));
    for (const float x : a.run(*set_, 1, 1)) EXPECT_TRUE(std::isfinite(x));
  }
}

TEST_P(AttentionTest, GivesZeroWhereNothingIsVisible) {
  Attention a(2, 20, 64, 64, 1);
  for (int64_t j = 0; j < 20; ++j) a.hide(1, j);
  const auto out = a.run(*set_, 0, 2);
  EXPECT_NE(out[0], 0.0f);
  for (int d = 0; d < 64; ++d) EXPECT_EQ(out[static_cast<size_t>(64 + d)], 0.0f);
}

TEST_P(AttentionTest, KeepsSmallTailsOfLongContexts) {
  // One cell holds half of the weight, thousands of equal ones share the rest.
  Attention a(1, 8193, 64, 64, 6);
  std::fill(a.k.begin(), a.k.end(), ggml_fp16_t{0});
  std::fill(a.q.begin(), a.q.end(), 0.0f);
  a.q[0] = std::log(8192.0f);
  a.k[0] = ggml_fp32_to_fp16(8.0f);  // scale 1/8
  EXPECT_LT(relative_error(a.run(*set_, 0, 1), a.reference()), 2e-6);
}

TEST_P(AttentionTest, NormsAndGatesAgreeWithFloat64) {
  for (const int64_t n : {1, 8, 31, 704}) {
    const auto x = noise(static_cast<size_t>(n), 1), u = noise(static_cast<size_t>(n), 2);
    std::vector<float> norm(x.size()), gate(x.size());
    set_->rms_norm(x.data(), nullptr, norm.data(), n, 1e-5f);
    set_->swiglu(x.data(), u.data(), gate.data(), n);
    double squares = 0.0;
    for (const float v : x) squares += static_cast<double>(v) * v;
    const double scale = 1.0 / std::sqrt(squares / static_cast<double>(n) + 1e-5);
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(norm[i], x[i] * scale, 1e-6 * std::abs(x[i] * scale) + 1e-7);
      const double want = x[i] / (1.0 + std::exp(-static_cast<double>(x[i]))) * u[i];
      EXPECT_NEAR(gate[i], want, 1e-6 * std::abs(want) + 1e-7);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllPaths, AttentionTest, ::testing::ValuesIn(sets_to_test()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace gumbelspec::kernels
