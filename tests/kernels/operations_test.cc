// Every form of an operation that the device takes, against ggml's CPU backend.
#include "tests/kernels/operations.h"

#include <map>

#include "gumbelspec/kernels.h"
#include "tests/kernels/kernel_sets.h"

namespace gumbelspec::kernels {
namespace {

constexpr double kExact = 1e-12;  // the same arithmetic, up to the order of sums

class Operations : public ::testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    set_ = kernels_named(GetParam());
    if (!set_) GTEST_SKIP() << "this processor has no " << GetParam();
  }
  void expect(Sandbox& box, const std::vector<ggml_tensor*>& results, double tolerance = kExact,
              const Swaps& swaps = {}) {
    expect_same(box, *set_, results, tolerance, swaps);
  }
  const KernelSet* set_ = nullptr;
};

TEST_P(Operations, NormsAgree) {
  for (const float eps : {0.0f, 1e-6f, 0.1f}) {
    for (const int64_t n : {1, 8, 33, 256}) {
      Sandbox box;
      ggml_tensor* wide = box.floats(n + 5, 3, 2, 2);
      expect(box, {ggml_rms_norm(box, box.floats(n, 7), eps),
                   ggml_rms_norm(box, box.floats(n, 3, 2, 2), eps),
                   ggml_rms_norm(box, columns(box, wide, 3, n), eps),
                   ggml_rms_norm(box, ggml_permute(box, box.floats(n, 4, 3), 0, 1, 3, 2), eps),
                   ggml_rms_norm(box, fused_heads(box, n, 3, 4), eps),
                   ggml_rms_norm(box, swap_rows(box, box.floats(n, 4, 3, 2)), eps)});
      expect(box, {ggml_rms_norm_inplace(box, box.floats(n, 4), eps)});
    }
  }
}

TEST_P(Operations, SumsAndProductsAgree) {
  for (const int64_t n : {1, 31, 1200}) {
    Sandbox box;
    ggml_tensor *a = box.floats(n, 3, 2, 2), *b = box.floats(n, 3, 2, 2), *row = box.floats(n);
    ggml_tensor *part = columns(box, box.floats(n + 2, 3, 2, 2), 1, n), *c = box.floats(n, 5);
    expect(box,
           {ggml_add(box, a, b), ggml_mul(box, a, b), ggml_add(box, a, row), ggml_mul(box, a, row),
            ggml_add(box, a, part), ggml_mul(box, part, a), ggml_add(box, a, a),
            ggml_mul(box, row, row)},
           0.0);
    ggml_tensor *heads = fused_heads(box, n, 3, 4), *square = box.floats(n, 3, 3);
    expect(box,
           {ggml_mul(box, heads, row), ggml_mul(box, box.floats(n, 3, 4), heads),
            ggml_add(box, heads, heads), ggml_add(box, square, swap_rows(box, square)),
            ggml_add(box, a, box.floats(n, 1, 2, 2)), ggml_mul(box, a, box.floats(n, 3, 1, 2)),
            ggml_add(box, heads, box.floats(n, 1, 4)), ggml_mul(box, a, box.floats(n, 3)),
            ggml_add(box, box.floats(n, 6, 4), box.floats(n, 3, 2))},
           0.0);
    // A number for each row, for each of several, for all.
    expect(box,
           {ggml_mul(box, a, box.floats(1, 3, 2, 2)), ggml_mul(box, part, box.floats(1, 3)),
            ggml_add(box, heads, box.floats(1, 1, 4)), ggml_mul(box, a, box.floats(1)),
            ggml_mul(box, a, columns(box, box.floats(5, 3, 2, 2), 2, 1))},
           0.0);
    // Rows that lie elsewhere in the one than in the other, of one memory, one after the other.
    ggml_tensor* first = ggml_view_2d(box, heads->view_src, n, 12, static_cast<size_t>(n) * 4, 0);
    expect(box, {ggml_mul_inplace(box, first, row), ggml_mul(box, heads, row)}, 0.0);
    expect(box, {ggml_add_inplace(box, a, b)}, 0.0);
    expect(box, {ggml_mul_inplace(box, c, row)}, 0.0);
  }
}

TEST_P(Operations, GatesAgree) {
  for (const int64_t n : {1, 19, 704}) {
    Sandbox box;
    ggml_tensor* both = box.floats(2 * n, 5, 1, 1, 4.0f);
    expect(box,
           {ggml_swiglu_split(box, box.floats(n, 3, 2), box.floats(n, 3, 2)),
            ggml_swiglu_split(box, columns(box, both, 0, n), columns(box, both, n, n))},
           1e-10);
  }
}

struct Rotation {
  int64_t head;
  int n_dims, first;
  bool factors, extrapolates, in_place;
};

ggml_tensor* rotate(Sandbox& box, ggml_tensor* x, ggml_tensor* positions, ggml_tensor* factors,
                    const Rotation& r, int mode) {
  const float share = r.extrapolates ? 0.7f : 0.0f, scale = r.extrapolates ? 0.25f : 0.5f;
  const auto build = r.in_place ? ggml_rope_ext_inplace : ggml_rope_ext;
  ggml_tensor* t = build(box, x, positions, factors, r.n_dims, mode, 512, 10000.0f, scale, share,
                         1.1f, 32.0f, 1.0f);
  return ggml_rope_set_offset(t, r.first);
}

// Rotated elements at the start of a head, at its end, in the middle, and all of it.
TEST_P(Operations, RotationsAgree) {
  for (const int mode : {GGML_ROPE_TYPE_NORMAL, GGML_ROPE_TYPE_NEOX}) {
    for (const auto& [head, n_dims, first] : std::vector<std::tuple<int64_t, int, int>>{
             {64, 64, 0}, {64, 32, 0}, {96, 32, 64}, {80, 32, 6}, {10, 4, 6}, {2, 2, 0}}) {
      for (int bits = 0; bits < 8; ++bits) {
        Sandbox box;
        const Rotation r{head, n_dims, first, (bits & 1) != 0, (bits & 2) != 0, (bits & 4) != 0};
        ggml_tensor* factors = r.factors ? ggml_sqr(box, box.floats(n_dims / 2)) : nullptr;
        if (factors) compute_by_ggml(box.graph({factors}));
        if (factors) factors->op = GGML_OP_NONE, factors->src[0] = nullptr;
        ggml_tensor* x = box.floats(head, 3, 5);
        expect(box, {rotate(box, x, box.positions(5), factors, r, mode)}, 1e-8);
        ggml_tensor* part = columns(box, box.floats(head + 10, 3, 5), 4, head);
        expect(box, {rotate(box, part, box.positions(5), factors, r, mode)}, 1e-8);
      }
    }
  }
}

// Rotations of one pass share their angles, and nothing else.
TEST_P(Operations, RotationsWithTheSamePositionsAgree) {
  Sandbox box;
  ggml_tensor *positions = box.positions(6), *q = box.floats(96, 4, 6), *k = box.floats(96, 1, 6);
  std::vector<ggml_tensor*> results;
  for (const int mode : {GGML_ROPE_TYPE_NORMAL, GGML_ROPE_TYPE_NEOX}) {
    for (const int first : {0, 32, 64}) {
      for (const int n_dims : {16, 32}) {
        for (const bool extrapolates : {false, true}) {
          const Rotation r{96, n_dims, first, false, extrapolates, false};
          results.push_back(rotate(box, q, positions, nullptr, r, mode));
          results.push_back(rotate(box, k, positions, nullptr, r, mode));
        }
      }
    }
  }
  expect(box, results, 1e-8);
}

TEST_P(Operations, RotationsByFactorsOfThisGraphAgree) {
  Sandbox box;
  ggml_tensor *positions = box.positions(40), *one = box.floats(16), *other = box.floats(16);
  const Rotation r{64, 32, 32, true, false, false};
  ggml_tensor* factors = ggml_mul(box, one, other);
  ggml_tensor* first = rotate(box, box.floats(64, 2, 40), positions, factors, r, 0);
  ggml_tensor* changed = ggml_mul_inplace(box, factors, one);
  ggml_tensor* second = rotate(box, box.floats(64, 2, 40), positions, factors, r, 0);
  expect(box, {first, changed, second}, 1e-6);
}

TEST_P(Operations, StoredRowsAgree) {
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_F32}) {
    for (const ggml_type index : {GGML_TYPE_I32, GGML_TYPE_I64}) {
      for (const int64_t n : {1, 7, 64}) {
        for (const int64_t streams : {1, 3}) {
          Sandbox box;
          ggml_tensor* cache = ggml_new_tensor_4d(box, type, n + 4, 20, 2, streams);
          std::memset(cache->data, 1, ggml_nbytes(cache));
          ggml_tensor* ids = ggml_new_tensor_3d(box, index, 5, 1, streams);
          for (int64_t i = 0; i < ggml_nelements(ids); ++i) {
            const int64_t row = (i * 7 + 3) % 20;
            std::memcpy(static_cast<uint8_t*>(ids->data) + static_cast<size_t>(i) * ids->nb[0],
                        &row, ids->nb[0]);
          }
          expect(box,
                 {ggml_set_rows(box, columns(box, cache, 2, n), box.floats(n, 5, 2, streams), ids)},
                 0.0);
        }
      }
    }
  }
}

TEST_P(Operations, LookedUpRowsAgree) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0,
                               GGML_TYPE_Q4_0, GGML_TYPE_Q5_1, GGML_TYPE_Q4_K, GGML_TYPE_Q6_K}) {
    Sandbox box;
    ggml_tensor *matrix = box.values(type, 256, 37), *ids = box.ints({36, 0, 5, 5, 17, 1, 2, 3});
    ggml_tensor* every_other = ggml_view_1d(box, ids, 4, 0);
    every_other->nb[0] = 8;
    expect(box, {ggml_get_rows(box, matrix, ids), ggml_get_rows(box, matrix, every_other)}, 0.0);
    if (!is_weight_type(type)) continue;
    ggml_tensor* plain = box.values(type, 256, 37);
    expect(box, {ggml_get_rows(box, plain, ids)}, 0.0, {{plain, box.packed(plain)}});
  }
}

TEST_P(Operations, ProductsAgree) {
  for (const ggml_type type : weight_types()) {
    // Quantised activations differ in their scales; ggml's floats are halves beside halves.
    const double tolerance = type == GGML_TYPE_F32 ? 1e-10 : ggml_is_quantized(type) ? 2e-4 : 1e-5;
    for (const int64_t n : {1, 3, 20}) {
      Sandbox box;
      ggml_tensor *plain = box.values(type, 256, 21), *x = box.floats(256, n);
      ggml_tensor* exact = ggml_mul_mat(box, plain, box.floats(256, 1, n));
      ggml_prec_set_acc(exact, GGML_PREC_F32);
      expect(
          box,
          {ggml_mul_mat(box, plain, x), exact, ggml_mul_mat(box, plain, box.floats(256, 2, n, 2)),
           ggml_mul_mat(box, plain, columns(box, box.floats(300, n), 7, 256))},
          tolerance, {{plain, box.packed(plain)}});
    }
  }
}

// Absorbed latent attention and gemma3n: a matrix for each head or state.
TEST_P(Operations, ProductsWithStackedMatricesAgree) {
  for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q4_K, GGML_TYPE_F16, GGML_TYPE_F32}) {
    const double tolerance = type == GGML_TYPE_F32 ? 1e-10 : ggml_is_quantized(type) ? 2e-4 : 1e-5;
    for (const int64_t rows : {16, 21}) {
      for (const int64_t n : {1, 3, 20}) {
        Sandbox box(size_t{32} << 20);
        ggml_tensor *plain = box.values(type, 256, rows, 3),
                    *deep = box.values(type, 256, rows, 3, 2);
        ggml_tensor *flat = box.values(type, 256, rows), *shared = box.floats(256, n, 3);
        expect(box,
               {ggml_mul_mat(box, plain, shared), ggml_mul_mat(box, plain, box.floats(256, n, 6)),
                ggml_mul_mat(box, plain, swap_rows(box, box.floats(256, 3, n))),
                ggml_mul_mat(box, plain, box.floats(256, n, 3, 2)),
                ggml_mul_mat(box, deep, box.floats(256, n, 6, 4)), ggml_mul_mat(box, flat, shared)},
               tolerance,
               {{plain, box.packed(plain)}, {deep, box.packed(deep)}, {flat, box.packed(flat)}});
      }
    }
  }
}

TEST_P(Operations, ProductsOfExactActivationsAgree) {
  Sandbox box;
  ggml_tensor *plain = box.values(GGML_TYPE_F32, 64, 21), *x = box.floats(64, 5);
  ggml_tensor* y = ggml_mul_mat(box, plain, x);
  ggml_prec_set_src(y, GGML_PREC_F32, 1);
  expect(box, {y}, 1e-10, {{plain, box.packed(plain)}});
}

// The activations of a product are kept for the next one, but not across a change of them.
TEST_P(Operations, ProductsOfWhatChangesInPlaceAgree) {
  for (const ggml_type type : {GGML_TYPE_F32, GGML_TYPE_Q8_0}) {
    Sandbox box;
    ggml_tensor *plain = box.values(type, 64, 21), *x = box.floats(64, 5);
    ggml_tensor* sum = ggml_add(box, x, box.floats(64, 5));
    ggml_tensor* first = ggml_mul_mat(box, plain, sum);
    ggml_tensor* changed = ggml_mul_inplace(box, sum, box.floats(64, 5));
    ggml_tensor* second = ggml_mul_mat(box, plain, sum);
    expect(box, {first, changed, second}, type == GGML_TYPE_F32 ? 1e-10 : 2e-4,
           {{plain, box.packed(plain)}});
  }
}

struct AttentionForm {
  ggml_type type = GGML_TYPE_F32;
  int64_t head_k = 64, head_v = 64, tokens = 5, heads = 6, heads_kv = 2, cells = 40, streams = 1;
  bool masked = true, sinks = false;
  float max_bias = 0.0f, softcap = 0.0f;
  int64_t mask_heads = 1, mask_streams = 1;
  ggml_prec precision = GGML_PREC_F32;
  int n_visible = 0;
  bool shared = false;  // values are the first elements of the keys
};

ggml_tensor* attend(Sandbox& box, const AttentionForm& f) {
  // As llama.cpp builds it: heads of a token are neighbours in memory.
  ggml_tensor* q =
      ggml_permute(box, box.floats(f.head_k, f.heads, f.tokens, f.streams, 2.0f), 0, 2, 1, 3);
  ggml_tensor* k =
      ggml_permute(box, box.values(f.type, f.head_k, f.heads_kv, f.cells, f.streams), 0, 2, 1, 3);
  ggml_tensor* v =
      f.shared ? ggml_view_4d(box, k, f.head_v, f.cells, f.heads_kv, f.streams, k->nb[1], k->nb[2],
                              k->nb[3], 0)
               : ggml_permute(box, box.values(f.type, f.head_v, f.heads_kv, f.cells, f.streams), 0,
                              2, 1, 3);
  const float scale = 2.0f / std::sqrt(static_cast<float>(f.head_k));
  ggml_tensor* mask =
      f.masked ? box.mask(f.cells, f.tokens, f.mask_heads, f.mask_streams) : nullptr;
  ggml_tensor* t = ggml_flash_attn_ext(box, q, k, v, mask, scale, f.max_bias, f.softcap);
  ggml_prec_set_acc(t, f.precision);
  ggml_flash_attn_ext_set_n_kv_max(t, f.n_visible);
  if (f.sinks) ggml_flash_attn_ext_add_sinks(t, box.floats(f.heads, 1, 1, 1, 3.0f));
  return t;
}

std::map<std::string, AttentionForm> attention_forms() {
  std::map<std::string, AttentionForm> forms;
  forms["plain"] = {};
  forms["one query"].tokens = 1;
  forms["unmasked"].masked = false;
  forms["soft cap"].softcap = 3.0f;
  forms["linear biases"].max_bias = 8.0f;
  forms["linear biases, as many heads as keys"] = {GGML_TYPE_F32, 32, 32, 3, 5, 5};
  forms["linear biases, as many heads as keys"].max_bias = 4.0f;
  forms["soft cap and linear biases"].softcap = 2.0f;
  forms["soft cap and linear biases"].max_bias = 8.0f;
  forms["sinks"].sinks = true;
  forms["sinks, nothing hidden"].sinks = true;
  forms["sinks, nothing hidden"].masked = false;
  forms["a mask for each head"].mask_heads = 6;
  forms["a mask for each third head"].mask_heads = 3;
  forms["streams"].streams = 4;
  forms["a mask for each second stream"].streams = 4;
  forms["a mask for each second stream"].mask_streams = 2;
  forms["bounded number of visible cells"].n_visible = 40;
  forms["default precision"].precision = GGML_PREC_UNDEFINED;
  forms["heads of 576 and 512"] = {GGML_TYPE_F32, 576, 512, 3, 4, 1, 33};
  forms["heads of 576 and 512"].shared = true;
  forms["odd sizes"] = {GGML_TYPE_F32, 33, 17, 2, 3, 3, 21};
  forms["no cells"].cells = 0;
  forms["no cells"].masked = false;
  return forms;
}

TEST_P(Operations, AttentionAgrees) {
  for (auto [name, form] : attention_forms()) {
    SCOPED_TRACE(name);
    Sandbox box(size_t{32} << 20);
    expect(box, {attend(box, form)}, 1e-9);
  }
}

TEST_P(Operations, AttentionToCachesOfEveryTypeAgrees) {
  for (const ggml_type type : {GGML_TYPE_F16, GGML_TYPE_BF16, GGML_TYPE_Q8_0}) {
    for (auto [name, form] : attention_forms()) {
      if (form.head_k % 32 != 0 || form.head_v % 32 != 0) continue;
      SCOPED_TRACE(name + ", " + ggml_type_name(type));
      Sandbox box(size_t{32} << 20);
      form.type = type;
      // ggml rounds the query to the type of the keys, and sums halves as halves.
      expect(box, {attend(box, form)}, 5e-4);
    }
  }
}

// Random graphs over a pool of tensors, a third of them in place: what waits for what, what is done
// together, and which activations are kept.
TEST_P(Operations, RandomGraphsAgree) {
  for (int round = 0; round < 60; ++round) {
    Sandbox box;
    const int64_t n = round % 2 == 0 ? 64 : 1280, rows = 1 + round % 5;
    for (int i = 0; i < round; ++i) box.random();
    ggml_tensor *plain = box.floats(n, n == 64 ? n : 48, 1, 1, 0.1f), *scale = box.floats(n);
    ggml_tensor* positions = box.positions(rows);
    std::vector<ggml_tensor*> pool, results;
    for (int i = 0; i < 4; ++i) pool.push_back(ggml_rms_norm(box, box.floats(n, rows), 1e-5f));
    results = pool;
    const auto any = [&] { return pool[box.random() % pool.size()]; };
    for (int i = 0; i < 14; ++i) {
      ggml_tensor *a = any(), *b = any(), *t = nullptr;
      switch (box.random() % 8) {
        case 0:
          t = ggml_add(box, a, b);
          break;
        case 1:
          t = ggml_add_inplace(box, a, b);
          break;
        case 2:
          t = ggml_mul(box, a, scale);
          break;
        case 3:
          t = ggml_mul_inplace(box, a, scale);
          break;
        case 4:
          t = ggml_rms_norm_inplace(box, a, 1e-5f);
          break;
        case 5:
          t = ggml_swiglu_split(box, a, b);
          break;
        case 6:
          t = ggml_reshape_2d(
              box,
              ggml_rope_ext_inplace(box, ggml_reshape_3d(box, a, 64, n / 64, rows), positions,
                                    nullptr, 32, 0, 0, 1e4f, 1.0f, 0.0f, 1.0f, 0.0f, 0.0f),
              n, rows);
          break;
        default:
          results.push_back(ggml_mul_mat(box, plain, a));
          if (n != 64) continue;
          t = results.back();
      }
      results.push_back(t);
      pool.push_back(t);
    }
    SCOPED_TRACE(round);
    expect(box, results, 1e-7, {{plain, box.packed(plain)}});
  }
}

INSTANTIATE_TEST_SUITE_P(AllPaths, Operations, ::testing::ValuesIn(sets_to_test()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace gumbelspec::kernels
