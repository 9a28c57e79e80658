// The kernels of each instruction set against float64, and bit-identity over the batch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>
#include <numeric>
#include <random>
#include <string>
#include <vector>

#include "ggml-cpu.h"
#include "ggml.h"
#include "gumbelspec/kernels.h"
#include "kernels/src/kernel_set.h"
#include "kernels/src/plan.h"
#include "testing/ggml_weights.h"
#include "tests/kernels/kernel_sets.h"

namespace gumbelspec::kernels {
namespace {

std::vector<float> noise(size_t n, unsigned seed, float outliers = 0.0f) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& v : x) v = normal(rng) * (outliers > 0 && rng() % 50 == 0 ? outliers : 1.0f);
  return x;
}

// Some types take long, and each is asked for on every set.
const std::vector<uint8_t>& quantised(ggml_type type, int64_t k, int64_t rows) {
  static std::map<std::tuple<ggml_type, int64_t, int64_t>, std::vector<uint8_t>> known;
  std::vector<uint8_t>& data = known[{type, k, rows}];
  if (data.empty()) {
    const auto x = noise(static_cast<size_t>(k * rows), 3);
    data.resize(ggml_row_size(type, k) * static_cast<size_t>(rows));
    testing::store_weights(type, x.data(), rows, k, data.data());
  }
  return data;
}

std::vector<float> as_floats(ggml_type type, const std::vector<uint8_t>& data, int64_t k,
                             int64_t rows) {
  std::vector<float> x(static_cast<size_t>(k * rows));
  if (type == GGML_TYPE_F32) {
    std::memcpy(x.data(), data.data(), data.size());
  } else {
    ggml_get_type_traits(type)->to_float(data.data(), x.data(), k * rows);
  }
  return x;
}

// A packed matrix with the activations' results of one kernel set.
struct Matrix {
  ggml_type type;
  int64_t k, rows;
  std::vector<uint8_t> ggml_form, packed;

  Matrix(ggml_type of_weights, int64_t n_columns, int64_t n_rows)
      : type(of_weights),
        k(n_columns),
        rows(n_rows),
        ggml_form(quantised(of_weights, n_columns, n_rows)),
        packed(packed_bytes(of_weights, n_columns, n_rows)) {
    const size_t row = ggml_row_size(type, k);
    for (int64_t r = 0; r < rows; ++r) {
      pack_row(type, k, r, ggml_form.data() + static_cast<size_t>(r) * row, packed.data());
    }
  }

  // out[c][r]; columns of x are k floats each.
  std::vector<float> times(const KernelSet& set, const std::vector<float>& x, int n) const {
    const Tiles tiles = make_tiles(activation_format(type), k, n);
    std::vector<uint8_t> memory(tiles.bytes());
    std::vector<float> out(static_cast<size_t>(rows * n));
    for (int t = 0; t < tiles.n_tiles; ++t) {
      uint8_t* tile = memory.data() + static_cast<size_t>(tiles.first(t)) * tiles.column_bytes();
      for (int c = 0; c < tiles.width(t); ++c) {
        set.quantize(tiles.format, {x.data() + (tiles.first(t) + c) * k, k, tile, tiles.width(t), c,
                                    0, (k + kBlock - 1) / kBlock});
      }
      set.gemm({type, packed.data(), panel_layout(type, k), k, rows, tile, tiles.width(t),
                out.data() + tiles.first(t) * rows, rows, t == 0},
               0, panel_count(rows));
    }
    return out;
  }
};

using Case = std::tuple<std::string, ggml_type>;

class Products : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    set_ = kernels_named(std::get<0>(GetParam()));
    if (!set_) GTEST_SKIP() << "this processor has no " << std::get<0>(GetParam());
    type_ = std::get<1>(GetParam());
  }
  const KernelSet* set_ = nullptr;
  ggml_type type_{};
};

// Root of the mean squared error over root of the mean square.
double relative_error(const std::vector<float>& got, const std::vector<double>& want) {
  double error = 0.0, size = 0.0;
  for (size_t i = 0; i < got.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(error / size);
}

std::vector<double> reference(const Matrix& m, const std::vector<float>& x, int n) {
  const auto w = as_floats(m.type, m.ggml_form, m.k, m.rows);
  std::vector<double> out(static_cast<size_t>(m.rows * n));
  for (int c = 0; c < n; ++c) {
    for (int64_t r = 0; r < m.rows; ++r) {
      double sum = 0.0;
      for (int64_t i = 0; i < m.k; ++i) {
        sum += static_cast<double>(w[static_cast<size_t>(r * m.k + i)]) *
               x[static_cast<size_t>(c * m.k + i)];
      }
      out[static_cast<size_t>(c * m.rows + r)] = sum;
    }
  }
  return out;
}

// The same product by ggml's own path, one column at a time as it does for single tokens.
std::vector<float> by_ggml(const Matrix& m, const std::vector<float>& x, int n) {
  const auto* cpu = ggml_get_type_traits_cpu(m.type);
  const ggml_type vec = cpu->vec_dot_type;
  std::vector<uint8_t> column(ggml_row_size(vec, m.k));
  std::vector<float> out(static_cast<size_t>(m.rows * n));
  const size_t row = ggml_row_size(m.type, m.k);
  for (int c = 0; c < n; ++c) {
    const float* from = x.data() + c * m.k;
    if (vec == GGML_TYPE_F32) {
      std::memcpy(column.data(), from, column.size());
    } else {
      ggml_get_type_traits_cpu(vec)->from_float(from, column.data(), m.k);
    }
    for (int64_t r = 0; r < m.rows; ++r) {
      cpu->vec_dot(static_cast<int>(m.k), &out[static_cast<size_t>(c * m.rows + r)], 0,
                   m.ggml_form.data() + static_cast<size_t>(r) * row, 0, column.data(), 0, 1);
    }
  }
  return out;
}

std::vector<int64_t> column_counts(ggml_type type) {
  switch (ggml_blck_size(type)) {
    case 256:
      return {256, 768};
    case 128:
      return {128, 640};
    case 64:
      return {64, 448};
    case 32:
      return {32, 96, 704};
    default:
      return {1, 7, 33, 130};
  }
}

TEST_P(Products, AreAsAccurateAsGgmls) {
  ggml_cpu_init();
  for (const int64_t k : column_counts(type_)) {
    // Rounding errors are noise: single sizes may be lucky, all together must not be worse.
    double ours_in_all = 0.0, ggmls_in_all = 0.0, count = 0.0;
    for (const int64_t rows : {1, 15, 16, 37}) {
      const Matrix m(type_, k, rows);
      for (int n = 1; n <= 40; ++n) {
        const auto x = noise(static_cast<size_t>(k * n), static_cast<unsigned>(n), 20.0f);
        const auto want = reference(m, x, n);
        const double ours = relative_error(m.times(*set_, x, n), want);
        const double ggmls = relative_error(by_ggml(m, x, n), want);
        ASSERT_LE(ours, 6.0 * ggmls + 2e-6) << "k " << k << " rows " << rows << " n " << n;
        count += static_cast<double>(n * rows);
        ours_in_all += ours * ours * static_cast<double>(n * rows);
        ggmls_in_all += ggmls * ggmls * static_cast<double>(n * rows);
      }
    }
    EXPECT_LE(std::sqrt(ours_in_all / count), 1.05 * std::sqrt(ggmls_in_all / count) + 2e-7)
        << "k " << k;
  }
}

TEST_P(Products, AreTheSameBitsForEveryBatchAndPosition) {
  for (const int64_t k : column_counts(type_)) {
    const Matrix m(type_, k, 53);
    const auto x = noise(static_cast<size_t>(k * 40), 5);
    const auto column_bytes = static_cast<size_t>(m.rows) * sizeof(float);
    std::vector<float> alone;
    for (int c = 0; c < 40; ++c) {
      const std::vector<float> one(x.begin() + c * k, x.begin() + (c + 1) * k);
      const auto out = m.times(*set_, one, 1);
      alone.insert(alone.end(), out.begin(), out.end());
    }
    for (int n = 1; n <= 40; ++n) {
      // The last n columns: every column is met at every position.
      const std::vector<float> last(x.end() - n * k, x.end());
      const auto out = m.times(*set_, last, n);
      for (int c = 0; c < n; ++c) {
        ASSERT_EQ(std::memcmp(out.data() + c * m.rows, alone.data() + (40 - n + c) * m.rows,
                              column_bytes),
                  0)
            << "k " << k << " n " << n << " column " << c;
      }
    }
  }
}

// Of a column that is one and else zero the activations are exact, so the product is a weight: no
// value and no scale is even slightly wrong.
TEST_P(Products, GiveBackEveryWeight) {
  const int64_t k = std::max<int64_t>(256, ggml_blck_size(type_));
  const Matrix m(type_, k, 21);
  const auto want = as_floats(type_, m.ggml_form, k, m.rows);
  float largest = 0.0f;
  for (const float w : want) largest = std::max(largest, std::abs(w));
  for (int64_t first = 0; first < k; first += 16) {
    std::vector<float> x(static_cast<size_t>(16 * k));
    for (int64_t c = 0; c < 16; ++c) x[static_cast<size_t>(c * k + first + c)] = 1.0f;
    const auto out = m.times(*set_, x, 16);
    for (int64_t c = 0; c < 16; ++c) {
      for (int64_t r = 0; r < m.rows; ++r) {
        ASSERT_NEAR(out[static_cast<size_t>(c * m.rows + r)],
                    want[static_cast<size_t>(r * k + first + c)], 1e-6f * largest)
            << "row " << r << " column " << first + c;
      }
    }
  }
}

TEST_P(Products, PackWithoutLoss) {
  for (const int64_t k : column_counts(type_)) {
    const Matrix m(type_, k, 21);
    const size_t row = ggml_row_size(type_, k);
    for (int64_t r = 0; r < m.rows; ++r) {
      std::vector<uint8_t> back(row);
      unpack_row(type_, k, r, m.packed.data(), back.data());
      ASSERT_EQ(std::memcmp(back.data(), m.ggml_form.data() + static_cast<size_t>(r) * row, row), 0)
          << "row " << r;
    }
  }
}

// Powers of two over the whole range in which weights are floats, down to no normal numbers.
TEST(Scales, OfMxfp4ArePowersOfTwo) {
  for (const std::string& name : instruction_sets()) {
    const KernelSet* set = kernels_named(name);
    if (!set) continue;
    for (int exponent = 0; exponent <= 252; ++exponent) {
      Matrix m(GGML_TYPE_MXFP4, 32, 19);
      for (int r = 0; r < 19; ++r) {
        uint8_t* row = m.ggml_form.data() + static_cast<size_t>(r) * 17;
        row[0] = static_cast<uint8_t>(exponent);
        pack_row(m.type, m.k, r, row, m.packed.data());
      }
      const float size = std::ldexp(1.0f, std::max(-60, 100 - exponent));
      std::vector<float> x = noise(32, 9);
      for (float& v : x) v *= size;
      const auto want = reference(m, x, 1);
      EXPECT_LT(relative_error(m.times(*set, x, 1), want), 0.02)
          << name << ", 2^" << exponent - 128;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllPaths, Products,
                         ::testing::Combine(::testing::ValuesIn(instruction_sets()),
                                            ::testing::ValuesIn(weight_types())),
                         [](const ::testing::TestParamInfo<Case>& test) {
                           return std::get<0>(test.param) + "_" +
                                  weight_type_name(std::get<1>(test.param));
                         });

TEST(Paths, GiveTheSameBitsWhereTheArithmeticIsTheSame) {
  // The integer products of the two 256-bit sets differ in the instruction only.
  const KernelSet *vnni = kernels_named("avxvnni"), *plain = kernels_named("avx2");
  if (!vnni || !plain) GTEST_SKIP() << "needs two sets";
  const Matrix m(GGML_TYPE_Q4_K, 512, 33);
  const auto x = noise(size_t{512} * 7, 4);
  EXPECT_EQ(m.times(*vnni, x, 7), m.times(*plain, x, 7));
}

// ---- attention ----

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

INSTANTIATE_TEST_SUITE_P(AllPaths, AttentionTest, ::testing::ValuesIn(instruction_sets()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace gumbelspec::kernels
