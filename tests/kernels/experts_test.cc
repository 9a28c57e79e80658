// Products with experts: against ggml's CPU backend, against float64, and each token against the
// same token alone.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "gumbelspec/kernels.h"
#include "kernels/src/route.h"
#include "tests/kernels/kernel_sets.h"
#include "tests/kernels/operations.h"

namespace gumbelspec::kernels {
namespace {

// n_used different experts for each token: all, as a router sorts them, of which the first count.
ggml_tensor* choose(Sandbox& box, int n_experts, int n_used, int n_tokens) {
  std::vector<int32_t> ids, order(static_cast<size_t>(n_experts));
  std::iota(order.begin(), order.end(), 0);
  for (int t = 0; t < n_tokens; ++t) {
    for (size_t i = 1; i < order.size(); ++i) std::swap(order[i], order[box.random() % (i + 1)]);
    ids.insert(ids.end(), order.begin(), order.end());
  }
  ggml_tensor* sorted = ggml_reshape_2d(box, box.ints(ids), n_experts, n_tokens);
  return ggml_view_2d(box, sorted, n_used, n_tokens, sorted->nb[1], 0);
}

class Experts : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    set_ = kernels_named(GetParam());
    if (!set_) GTEST_SKIP() << "this processor has no " << GetParam();
  }
  const KernelSet* set_ = nullptr;
};

double tolerance_of(ggml_type type) {
  return type == GGML_TYPE_F32 ? 1e-10 : ggml_is_quantized(type) ? 2e-4 : 1e-5;
}

// A mixture as llama.cpp builds it: two products with the same columns and ids, a gate, a product
// with a column for each pair, and the weights of the experts.
TEST_P(Experts, OfAMixtureAgree) {
  const std::set<ggml_type> thoroughly = {GGML_TYPE_F32, GGML_TYPE_Q8_0, GGML_TYPE_Q4_K};
  for (const ggml_type type : weight_types()) {
    std::vector<std::tuple<int, int, int>> shapes = {{3, 2, 2}};
    if (thoroughly.count(type) == 1) shapes = {{1, 1, 1}, {3, 3, 2}, {5, 3, 40}};
    for (const auto& [n_experts, n_used, n_tokens] : shapes) {
      SCOPED_TRACE(std::string(ggml_type_name(type)) + " " + std::to_string(n_tokens));
      Sandbox box(size_t{48} << 20);
      ggml_tensor *up = box.values(type, 256, 256, n_experts), *ids = nullptr;
      ggml_tensor *gate = box.values(type, 256, 256, n_experts), *down = nullptr;
      down = box.values(type, 256, 37, n_experts);
      ids = choose(box, n_experts, n_used, n_tokens);
      ggml_tensor* x = ggml_reshape_3d(box, box.floats(256, n_tokens), 256, 1, n_tokens);
      ggml_tensor* hidden = ggml_swiglu_split(box, ggml_mul_mat_id(box, gate, x, ids),
                                              ggml_mul_mat_id(box, up, x, ids));
      ggml_tensor* out = ggml_mul_mat_id(box, down, hidden, ids);
      expect_same(box, *set_, {ggml_mul(box, out, box.floats(1, n_used, n_tokens))},
                  20 * tolerance_of(type),
                  {{up, box.packed(up)}, {gate, box.packed(gate)}, {down, box.packed(down)}});
    }
  }
}

// Columns that each second expert of a token shares, rows that are no neighbours, the same expert
// twice, and products with and without experts of the same activations.
TEST_P(Experts, OfOtherFormsAgree) {
  for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_F32, GGML_TYPE_BF16}) {
    Sandbox box(size_t{16} << 20);
    ggml_tensor *w = box.values(type, 256, 21, 6), *flat = box.values(type, 256, 21);
    ggml_tensor *x = box.floats(256, 2, 7), *wide = box.floats(300, 1, 7);
    ggml_tensor *four = choose(box, 6, 4, 7), *two = choose(box, 6, 2, 7);
    ggml_tensor* twice =
        ggml_reshape_2d(box, box.ints({3, 3, 3, 0, 5, 5, 1, 1, 2, 2, 0, 0, 4, 4}), 2, 7);
    ggml_tensor* part = ggml_view_3d(box, wide, 256, 1, 7, wide->nb[1], wide->nb[2], 28);
    expect_same(box, *set_,
                {ggml_mul_mat_id(box, w, x, four), ggml_mul_mat_id(box, w, x, two),
                 ggml_mul_mat(box, flat, x), ggml_mul_mat_id(box, w, x, twice),
                 ggml_mul_mat_id(box, w, part, four), ggml_mul_mat_id(box, w, part, two)},
                tolerance_of(type), {{w, box.packed(w)}, {flat, box.packed(flat)}});
  }
}

// What was sorted and quantised is not kept across a change of it.
TEST_P(Experts, OfWhatChangesInPlaceAgree) {
  Sandbox box(size_t{16} << 20);
  ggml_tensor *w = box.values(GGML_TYPE_Q8_0, 256, 21, 6), *x = box.floats(256, 2, 7);
  // Ids are rows of "floats", so that an operation can replace them: bits that are small integers.
  ggml_tensor *memory = box.floats(2, 7), *other = box.floats(2, 3);
  const auto fill = [](ggml_tensor* t, int32_t step) {
    for (int32_t i = 0; i < ggml_nelements(t); ++i) {
      const int32_t id = (i * step + i / 2) % 6;
      std::memcpy(static_cast<uint8_t*>(t->data) + 4 * i, &id, 4);
    }
  };
  fill(memory, 1);
  fill(other, 5);
  ggml_tensor* ids = ggml_view_2d(box, memory, 2, 7, memory->nb[1], 0);
  ids->type = GGML_TYPE_I32;
  ggml_tensor* first = ggml_mul_mat_id(box, w, x, ids);
  ggml_tensor* moved = ggml_set_rows(box, memory, other, box.ints({6, 0, 3}));
  ggml_tensor* second = ggml_mul_mat_id(box, w, x, ids);
  ggml_tensor* changed = ggml_mul_inplace(box, x, box.floats(256, 2, 7));
  ggml_tensor* third = ggml_mul_mat_id(box, w, changed, ids);
  ggml_tensor* fourth = ggml_mul_mat_id(box, w, x, ids);
  expect_same(box, *set_, {first, moved, second, changed, third, fourth}, 2e-4,
              {{w, box.packed(w)}});
}

std::vector<float> result_of(Sandbox& box, const KernelSet& set, int n_threads, ggml_tensor* t) {
  compute_by_us(set, n_threads, box.graph({t}));
  return elements(t, static_cast<const uint8_t*>(t->data));
}

// A token's row has the same bits in every pass, with any number of threads, and whoever else uses
// its experts.
TEST_P(Experts, GiveATokenTheBitsThatItHasAlone) {
  constexpr int kExperts = 7, kUsed = 3, kTokens = 45;
  for (const ggml_type type : weight_types()) {
    Sandbox box(size_t{48} << 20);
    ggml_tensor* w = box.packed(box.values(type, 256, 53, kExperts));
    ggml_tensor *x = box.floats(256, kUsed, kTokens), *ids = choose(box, kExperts, kUsed, kTokens);
    const auto of_tokens = [&](int first, int n) {
      return ggml_mul_mat_id(
          box, w,
          ggml_view_3d(box, x, 256, kUsed, n, x->nb[1], x->nb[2],
                       static_cast<size_t>(first) * x->nb[2]),
          ggml_view_2d(box, ids, kUsed, n, ids->nb[1], static_cast<size_t>(first) * ids->nb[1]));
    };
    std::vector<float> alone;
    for (int t = 0; t < kTokens; ++t) {
      const auto row = result_of(box, *set_, 1, of_tokens(t, 1));
      alone.insert(alone.end(), row.begin(), row.end());
    }
    const size_t row = alone.size() / kTokens;
    for (const int n : {2, 3, 8, 17, 40, kTokens}) {
      for (const int first : {0, (kTokens - n) / 2, kTokens - n}) {
        const auto got = result_of(box, *set_, 1 + n % 3, of_tokens(first, n));
        ASSERT_EQ(std::memcmp(got.data(), alone.data() + static_cast<size_t>(first) * row,
                              got.size() * sizeof(float)),
                  0)
            << ggml_type_name(type) << ", tokens " << first << " to " << first + n;
      }
    }
  }
}

std::vector<float> as_floats(const ggml_tensor* t) {
  std::vector<float> x(static_cast<size_t>(ggml_nelements(t)));
  if (t->type == GGML_TYPE_F32) {
    std::memcpy(x.data(), t->data, ggml_nbytes(t));
  } else {
    ggml_get_type_traits(t->type)->to_float(t->data, x.data(), ggml_nelements(t));
  }
  return x;
}

double squared_error(const std::vector<float>& got, const std::vector<double>& want) {
  double sum = 0.0;
  for (size_t i = 0; i < got.size(); ++i) sum += (got[i] - want[i]) * (got[i] - want[i]);
  return sum;
}

TEST_P(Experts, AreAsAccurateAsGgmls) {
  constexpr int kExperts = 5, kUsed = 2, kTokens = 33;
  constexpr int64_t k = 512, kRows = 37;
  for (const ggml_type type : weight_types()) {
    Sandbox box(size_t{48} << 20);
    ggml_tensor *plain = box.values(type, k, kRows, kExperts), *packed = box.packed(plain);
    ggml_tensor *x = box.floats(k, 1, kTokens), *ids = choose(box, kExperts, kUsed, kTokens);
    const auto w = as_floats(plain), columns = as_floats(x);
    std::vector<double> want;
    for (int p = 0; p < kUsed * kTokens; ++p) {
      int32_t expert;
      std::memcpy(&expert,
                  static_cast<uint8_t*>(ids->data) + static_cast<size_t>(p / kUsed) * ids->nb[1] +
                      static_cast<size_t>(p % kUsed) * 4,
                  4);
      for (int64_t r = 0; r < kRows; ++r) {
        double sum = 0.0;
        for (int64_t i = 0; i < k; ++i) {
          sum += static_cast<double>(w[static_cast<size_t>((expert * kRows + r) * k + i)]) *
                 columns[static_cast<size_t>(p / kUsed * k + i)];
        }
        want.push_back(sum);
      }
    }
    double size = 0.0;
    for (const double v : want) size += v * v;
    ggml_tensor* by_ggml = ggml_mul_mat_id(box, plain, x, ids);
    compute_by_ggml(box.graph({by_ggml}));
    const double theirs =
        squared_error(elements(by_ggml, static_cast<const uint8_t*>(by_ggml->data)), want);
    const double ours =
        squared_error(result_of(box, *set_, 2, ggml_mul_mat_id(box, packed, x, ids)), want);
    EXPECT_LE(std::sqrt(ours / size), 1.05 * std::sqrt(theirs / size) + 2e-7)
        << ggml_type_name(type);
  }
}

INSTANTIATE_TEST_SUITE_P(AllPaths, Experts, ::testing::ValuesIn(sets_to_test()),
                         [](const auto& test) { return test.param; });

TEST(ARoute, SortsPairsByExpert) {
  for (const auto& [n_experts, n_used, n_tokens] :
       std::vector<std::tuple<int, int, int>>{{1, 1, 1}, {9, 2, 1}, {4, 4, 3}, {60, 6, 50}}) {
    Sandbox box;
    ggml_tensor* ids = choose(box, n_experts, n_used, n_tokens);
    const int n_pairs = n_used * n_tokens;
    std::vector<int32_t> memory(Route::size(n_experts, n_pairs) + 1, -7);
    const Route route(memory.data(), n_experts, n_pairs);
    route.build(ids);
    EXPECT_EQ(memory.back(), -7);
    int sorted = 0;
    for (int32_t e = 0, active = 0; e < n_experts; ++e) {
      std::vector<int32_t> pairs;  // of the expert
      for (int p = 0; p < n_pairs; ++p) {
        int32_t id;
        std::memcpy(&id,
                    static_cast<uint8_t*>(ids->data) +
                        static_cast<size_t>(p / n_used) * ids->nb[1] +
                        static_cast<size_t>(p % n_used) * 4,
                    4);
        if (id == e) pairs.push_back(p);
      }
      if (pairs.empty()) continue;
      ASSERT_LT(active, route.n_active());
      EXPECT_EQ(route.expert(active), e);
      EXPECT_EQ(route.first(active), sorted);
      EXPECT_EQ(route.count(active), static_cast<int>(pairs.size()));
      for (const int32_t p : pairs) {
        EXPECT_EQ(route.active_of(sorted), active);
        EXPECT_EQ(route.pairs()[sorted++], p);
      }
      ++active;
    }
    EXPECT_EQ(sorted, n_pairs);
  }
}

}  // namespace
}  // namespace gumbelspec::kernels
