// Products of each instruction set against float64, and bit-identity over the batch.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <tuple>
#include <vector>

#include "ggml-cpu.h"
#include "ggml.h"
#include "gumbelspec/kernels.h"
#include "kernels/src/kernel_set.h"
#include "tests/kernels/kernel_data.h"
#include "tests/kernels/kernel_sets.h"
#include "tests/kernels/packed_matrix.h"

namespace gumbelspec::kernels {
namespace {

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
  for (const std::string& name : sets_to_test()) {
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
                         ::testing::Combine(::testing::ValuesIn(sets_to_test()),
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

}  // namespace
}  // namespace gumbelspec::kernels
