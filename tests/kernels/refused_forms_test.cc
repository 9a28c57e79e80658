// Forms of the operations that the device refuses, one by one, and what lies in its memory all the
// same. All of it runs on ggml's CPU backend then.
#include <functional>
#include <map>
#include <string>

#include "tests/kernels/operations.h"

namespace gumbelspec::kernels {
namespace {

using Refused = std::map<std::string, std::function<ggml_tensor*(Sandbox&)>>;

void expect_refused(const Refused& forms) {
  for (const auto& [name, build] : forms) {
    Sandbox box;
    EXPECT_FALSE(is_taken(build(box))) << name;
  }
}

ggml_tensor* transpose(Sandbox& box, ggml_tensor* t) { return ggml_transpose(box, t); }

TEST(Support, RefusesRowsThatItCannotWalk) {
  expect_refused({
      {"norm of transposed",
       [](Sandbox& b) { return ggml_rms_norm(b, transpose(b, b.floats(64, 64)), 1e-5f); }},
      {"sum of transposed",
       [](Sandbox& b) { return ggml_add(b, b.floats(64, 64), transpose(b, b.floats(64, 64))); }},
      {"sum with half a row",
       [](Sandbox& b) { return ggml_add(b, b.floats(64, 4), b.floats(32, 4)); }},
      {"sum of halves",
       [](Sandbox& b) {
         return ggml_add(b, b.values(GGML_TYPE_F16, 64), b.values(GGML_TYPE_F16, 64));
       }},
      {"sum of halves and floats",
       [](Sandbox& b) { return ggml_add(b, b.values(GGML_TYPE_F16, 64), b.floats(64)); }},
      {"sum with halves",
       [](Sandbox& b) {
         ggml_tensor* t = ggml_add(b, b.floats(64), b.floats(64));
         t->src[1]->type = GGML_TYPE_F16;
         return t;
       }},
  });
}

TEST(Support, RefusesGatesItDoesNotKnow) {
  Refused forms = {
      {"halves of one row", [](Sandbox& b) { return ggml_swiglu(b, b.floats(64, 3)); }},
      {"swapped", [](Sandbox& b) { return ggml_swiglu_swapped(b, b.floats(64, 3)); }},
      {"OpenAI's",
       [](Sandbox& b) { return ggml_swiglu_oai(b, b.floats(64), b.floats(64), 1.7f, 7.0f); }},
      {"clamped",
       [](Sandbox& b) { return ggml_swiglu_clamp(b, b.floats(64), b.floats(64), 7.0f); }},
      {"halves",
       [](Sandbox& b) {
         return ggml_swiglu_split(b, b.values(GGML_TYPE_F16, 64), b.values(GGML_TYPE_F16, 64));
       }},
  };
  for (const ggml_glu_op op :
       {GGML_GLU_OP_REGLU, GGML_GLU_OP_GEGLU, GGML_GLU_OP_GEGLU_ERF, GGML_GLU_OP_GEGLU_QUICK}) {
    forms[ggml_glu_op_name(op)] = [op](Sandbox& b) {
      return ggml_glu_split(b, b.floats(64), b.floats(64), op);
    };
  }
  expect_refused(forms);
}

TEST(Support, RefusesRotationsItDoesNotKnow) {
  const auto turn = [](Sandbox& b, ggml_tensor* x, ggml_tensor* positions, ggml_tensor* factors) {
    return ggml_rope_ext(b, x, positions, factors, 32, 0, 0, 1e4f, 1.0f, 0.0f, 1.0f, 0.0f, 0.0f);
  };
  expect_refused({
      {"halves",
       [&](Sandbox& b) {
         return turn(b, b.values(GGML_TYPE_F16, 64, 2, 5), b.positions(5), nullptr);
       }},
      {"several streams",
       [&](Sandbox& b) { return turn(b, b.floats(64, 2, 5, 2), b.positions(5), nullptr); }},
      {"scattered positions",
       [&](Sandbox& b) {
         ggml_tensor* positions = ggml_view_1d(b, b.positions(10), 5, 0);
         positions->nb[0] = 8;
         return turn(b, b.floats(64, 2, 5), positions, nullptr);
       }},
      {"scattered factors",
       [&](Sandbox& b) {
         ggml_tensor* factors = ggml_view_1d(b, b.floats(32), 16, 0);
         factors->nb[0] = 8;
         return turn(b, b.floats(64, 2, 5), b.positions(5), factors);
       }},
      {"too few factors",
       [&](Sandbox& b) {
         ggml_tensor* t = turn(b, b.floats(64, 2, 5), b.positions(5), b.floats(16));
         t->src[2]->ne[0] = 15;
         return t;
       }},
      {"four positions for each token",
       [](Sandbox& b) {
         int sections[4] = {8, 4, 4, 0};
         return ggml_rope_multi(b, b.floats(64, 2, 5), b.positions(20), nullptr, 32, sections,
                                GGML_ROPE_TYPE_MROPE, 0, 1e4f, 1.0f, 0.0f, 1.0f, 0.0f, 0.0f);
       }},
      {"backwards",
       [](Sandbox& b) {
         return ggml_rope_ext_back(b, b.floats(64, 2, 5), b.positions(5), nullptr, 32, 0, 0, 1e4f,
                                   1.0f, 0.0f, 1.0f, 0.0f, 0.0f);
       }},
      {"beyond the head", [](Sandbox& b) { return ggml_rope_set_offset(rotation(b), 34); }},
      {"from an odd element", [](Sandbox& b) { return ggml_rope_set_offset(rotation(b), 1); }},
  });
}

TEST(Support, RefusesRowsOfOtherTypes) {
  expect_refused({
      {"stored as BF16",
       [](Sandbox& b) {
         return ggml_set_rows(b, b.values(GGML_TYPE_BF16, 64, 9), b.floats(64, 2), b.ints({1, 2}));
       }},
      {"stored as Q8_0",
       [](Sandbox& b) {
         return ggml_set_rows(b, b.values(GGML_TYPE_Q8_0, 64, 9), b.floats(64, 2), b.ints({1, 2}));
       }},
      {"stored halves",
       [](Sandbox& b) {
         return ggml_set_rows(b, b.values(GGML_TYPE_F16, 64, 9), b.values(GGML_TYPE_F16, 64, 2),
                              b.ints({1, 2}));
       }},
      {"looked up integers",
       [](Sandbox& b) {
         return ggml_get_rows(b, b.ints({7, 8, 9}), b.ints({0}));
       }},
      {"looked up in several matrices",
       [](Sandbox& b) {
         return ggml_get_rows(b, b.floats(64, 9, 2),
                              ggml_reshape_2d(b, b.ints({1, 2, 3, 4}), 2, 2));
       }},
      {"looked up in a view of a packed matrix",
       [](Sandbox& b) {
         ggml_tensor* packed = b.packed(b.values(GGML_TYPE_Q8_0, 64, 9));
         return ggml_get_rows(b, ggml_view_2d(b, packed, 64, 4, packed->nb[1], packed->nb[1]),
                              b.ints({1, 2}));
       }},
  });
}

TEST(Support, RefusesProductsItCannotCompute) {
  const auto packed = [](Sandbox& b, int64_t n = 1) {
    return b.packed(b.values(GGML_TYPE_Q8_0, 64, 21, n));
  };
  expect_refused({
      {"with a matrix in ordinary memory",
       [](Sandbox& b) {
         return ggml_mul_mat(b, b.values(GGML_TYPE_Q8_0, 64, 21), b.floats(64, 2));
       }},
      {"with a part of a stack",
       [&](Sandbox& b) {
         ggml_tensor* w = packed(b, 2);
         return ggml_mul_mat(b, ggml_view_2d(b, w, 64, 21, w->nb[1], w->nb[2]), b.floats(64, 2));
       }},
      {"with a part of a matrix",
       [&](Sandbox& b) {
         ggml_tensor* w = packed(b);
         return ggml_mul_mat(b, ggml_view_2d(b, w, 64, 16, w->nb[1], 0), b.floats(64, 2));
       }},
      {"with a matrix of another shape",
       [&](Sandbox& b) {
         return ggml_mul_mat(b, ggml_reshape_2d(b, packed(b), 32, 42), b.floats(32, 2));
       }},
      {"of halves",
       [&](Sandbox& b) { return ggml_mul_mat(b, packed(b), b.values(GGML_TYPE_F16, 64, 2)); }},
      {"of transposed",
       [&](Sandbox& b) { return ggml_mul_mat(b, packed(b), transpose(b, b.floats(3, 64))); }},
      {"of a packed matrix",
       [&](Sandbox& b) { return ggml_mul_mat(b, packed(b), b.packed(b.floats(64, 3))); }},
      {"of a type that is not packed",
       [](Sandbox& b) {
         return ggml_mul_mat(b, b.packed(b.values(GGML_TYPE_NVFP4, 64, 21)), b.floats(64, 2));
       }},
  });
}

TEST(Support, RefusesExpertsItCannotCompute) {
  const auto packed = [](Sandbox& b) { return b.packed(b.values(GGML_TYPE_Q8_0, 64, 21, 4)); };
  const auto two_each = [](Sandbox& b) {
    return ggml_reshape_2d(b, b.ints({0, 1, 2, 3, 0, 1}), 2, 3);
  };
  {
    Sandbox b;
    ASSERT_TRUE(is_taken(ggml_mul_mat_id(b, packed(b), b.floats(64, 1, 3), two_each(b))));
  }
  expect_refused({
      {"in ordinary memory",
       [&](Sandbox& b) {
         return ggml_mul_mat_id(b, b.values(GGML_TYPE_Q8_0, 64, 21, 4), b.floats(64, 1, 3),
                                two_each(b));
       }},
      {"a part of the experts",
       [&](Sandbox& b) {
         ggml_tensor* w = packed(b);
         return ggml_mul_mat_id(b, ggml_view_3d(b, w, 64, 21, 3, w->nb[1], w->nb[2], w->nb[2]),
                                b.floats(64, 1, 3), two_each(b));
       }},
      {"ids of every other expert",
       [&](Sandbox& b) {
         ggml_tensor* ids = ggml_view_2d(b, b.ints(std::vector<int32_t>(12)), 2, 3, 16, 0);
         ids->nb[0] = 8;
         return ggml_mul_mat_id(b, packed(b), b.floats(64, 1, 3), ids);
       }},
      {"ids of 64 bits",
       [&](Sandbox& b) {
         ggml_tensor* t = ggml_mul_mat_id(b, packed(b), b.floats(64, 1, 3), two_each(b));
         t->src[2]->type = GGML_TYPE_I64;
         return t;
       }},
      {"more columns than experts of a token",
       [&](Sandbox& b) {
         ggml_tensor* t = ggml_mul_mat_id(b, packed(b), b.floats(64, 2, 3), two_each(b));
         t->src[1] = b.floats(64, 4, 3);
         return t;
       }},
      {"of transposed",
       [&](Sandbox& b) {
         ggml_tensor* x = ggml_permute(b, b.floats(2, 64, 3), 1, 0, 2, 3);
         return ggml_mul_mat_id(b, packed(b), x, two_each(b));
       }},
      {"of halves",
       [&](Sandbox& b) {
         return ggml_mul_mat_id(b, packed(b), b.values(GGML_TYPE_F16, 64, 1, 3), two_each(b));
       }},
  });
}

TEST(Support, RefusesAttentionItCannotCompute) {
  expect_refused({
      {"a cache of four bits", [](Sandbox& b) { return attention(b, GGML_TYPE_Q4_0); }},
      {"a mask of fewer cells",
       [](Sandbox& b) {
         ggml_tensor* t = attention(b);
         t->src[3]->ne[0] = 8;
         return t;
       }},
      {"a mask of fewer rows",
       [](Sandbox& b) {
         ggml_tensor* t = attention(b);
         t->src[3]->ne[1] = 4;
         return t;
       }},
      {"a mask of floats",
       [](Sandbox& b) {
         ggml_tensor* t = attention(b);
         t->src[3]->type = GGML_TYPE_F32;
         return t;
       }},
      {"a transposed cache",
       [](Sandbox& b) {
         return ggml_flash_attn_ext(b, b.floats(64, 5, 4), b.floats(64, 9, 2),
                                    transpose(b, b.floats(9, 64, 2)), nullptr, 0.1f, 0.0f, 0.0f);
       }},
      {"scattered sinks",
       [](Sandbox& b) {
         ggml_tensor *t = attention(b), *sinks = ggml_view_1d(b, b.floats(8), 4, 0);
         sinks->nb[0] = 8;
         ggml_flash_attn_ext_add_sinks(t, sinks);
         return t;
       }},
      {"no heads of keys",
       [](Sandbox& b) {
         ggml_tensor* t = attention(b);
         t->src[1]->ne[2] = t->src[2]->ne[2] = 0;
         return t;
       }},
  });
}

TEST(Support, RefusesEveryOtherOperation) {
  for (int i = 1; i < GGML_OP_COUNT; ++i) {
    const auto op = static_cast<ggml_op>(i);
    if (std::set<ggml_op>{GGML_OP_RMS_NORM, GGML_OP_ADD, GGML_OP_MUL, GGML_OP_GLU, GGML_OP_ROPE,
                          GGML_OP_SET_ROWS, GGML_OP_GET_ROWS, GGML_OP_MUL_MAT, GGML_OP_MUL_MAT_ID,
                          GGML_OP_FLASH_ATTN_EXT}
            .count(op) == 1) {
      continue;
    }
    Sandbox box;
    ggml_tensor* t = ggml_add(box, box.floats(64, 2), box.floats(64, 2));
    t->op = op;
    EXPECT_EQ(is_taken(t), is_view(t)) << ggml_op_name(op);
  }
}

// llama.cpp puts an adapter's matrices, of any type, beside the matrix they are for.
TEST(PackedMemory, HoldsWhatCannotBePacked) {
  Sandbox box;
  ggml_tensor* plain = box.values(GGML_TYPE_NVFP4, 64, 21);
  ggml_tensor* kept = box.packed(plain);
  EXPECT_FALSE(is_packed(kept));
  std::vector<uint8_t> back(ggml_nbytes(plain));
  ggml_backend_tensor_get(kept, back.data(), 0, back.size());
  EXPECT_EQ(std::memcmp(back.data(), plain->data, back.size()), 0);
  ggml_backend_tensor_memset(kept, 0, 22, 44);
  ggml_backend_tensor_get(kept, back.data(), 20, 48);
  EXPECT_EQ(back[2], 0);
  EXPECT_EQ(std::memcmp(back.data(), static_cast<uint8_t*>(plain->data) + 20, 2), 0);
}

// The scheduler copies a view of a packed matrix to whoever reads it.
TEST(PackedMemory, GivesViewsInGgmlsForm) {
  Sandbox box;
  ggml_tensor* plain = box.floats(48, 40);
  ggml_tensor* view =
      ggml_view_2d(box, box.packed(plain), 16, 17, plain->nb[1], 5 * plain->nb[1] + 32);
  view->buffer = view->view_src->buffer;
  std::vector<uint8_t> got(ggml_nbytes(view));
  ggml_backend_tensor_get(view, got.data(), 0, got.size());
  EXPECT_EQ(
      std::memcmp(got.data(), static_cast<uint8_t*>(plain->data) + view->view_offs, got.size()), 0);
}

}  // namespace
}  // namespace gumbelspec::kernels
