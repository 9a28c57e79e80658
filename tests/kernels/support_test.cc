// The parameters, sources and memory of the operations that the device takes: what it does not
// understand it refuses. All of it runs on ggml's CPU backend then.
#include <functional>
#include <limits>
#include <map>
#include <set>

#include "tests/kernels/operations.h"

namespace gumbelspec::kernels {
namespace {

// One taken form of each operation, and what its parameters must not be.
struct Subject {
  std::function<ggml_tensor*(Sandbox&)> build;
  std::map<int, std::vector<int32_t>> refused;  // parameter -> values; of the others any but zero
  std::set<int> not_read;                       // parameters that change nothing in this form
};

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

int32_t bits(float x) {
  int32_t i;
  std::memcpy(&i, &x, sizeof(i));
  return i;
}

std::map<std::string, Subject> subjects() {
  const std::vector<int32_t> no_numbers = {bits(kNaN), bits(kInfinity), bits(-kInfinity)};
  const auto and_also = [&](std::vector<int32_t> more) {
    more.insert(more.end(), no_numbers.begin(), no_numbers.end());
    return more;
  };
  std::map<std::string, Subject> all;
  all["RMS_NORM"] = {[](Sandbox& box) { return ggml_rms_norm(box, box.floats(64, 3), 1e-5f); },
                     {{0, and_also({bits(-1.0f)})}},
                     {}};
  all["ADD"] = {
      [](Sandbox& box) { return ggml_add(box, box.floats(64, 3), box.floats(64)); }, {}, {}};
  all["MUL"] = {
      [](Sandbox& box) { return ggml_mul(box, box.floats(64, 3), box.floats(64)); }, {}, {}};
  all["GLU"] = {
      [](Sandbox& box) { return ggml_swiglu_split(box, box.floats(64, 3), box.floats(64, 3)); },
      {{0,
        {GGML_GLU_OP_REGLU, GGML_GLU_OP_GEGLU, GGML_GLU_OP_SWIGLU_OAI, GGML_GLU_OP_GEGLU_ERF,
         GGML_GLU_OP_GEGLU_QUICK, GGML_GLU_OP_SWIGLU_CLAMP, 99}}},
      {}};
  const std::map<int, std::vector<int32_t>> rope = {{1, {0, -2, 7, 66}},
                                                    {2, {1, 3, 8, 24, 40, 64}},
                                                    {5, and_also({0, bits(-1.0f)})},
                                                    {6, no_numbers},
                                                    {7, no_numbers},
                                                    {8, no_numbers},
                                                    {9, no_numbers},
                                                    {10, no_numbers},
                                                    {15, {-2, 1, 33, 34, 64}}};
  all["ROPE"] = {[](Sandbox& box) { return rotation(box); }, rope, {4}};
  all["ROPE with extrapolation"] = {[](Sandbox& box) { return rotation(box, 1.0f); }, rope, {}};
  auto& extrapolated = all["ROPE with extrapolation"].refused;
  extrapolated[4] = {-1, -512};
  for (const int i : {6, 9, 10}) extrapolated[i] = and_also({0, bits(-1.0f)});
  extrapolated[5].push_back(bits(1.0f));
  all["SET_ROWS"] = {[](Sandbox& box) {
                       return ggml_set_rows(box, box.values(GGML_TYPE_F16, 64, 9),
                                            box.floats(64, 3), box.ints({1, 2, 3}));
                     },
                     {},
                     {}};
  all["GET_ROWS"] = {
      [](Sandbox& box) {
        return ggml_get_rows(box, box.values(GGML_TYPE_Q8_0, 64, 9), box.ints({1, 2, 3}));
      },
      {},
      {}};
  all["GET_ROWS of a packed matrix"] = {[](Sandbox& box) {
                                          return ggml_get_rows(
                                              box, box.packed(box.values(GGML_TYPE_Q8_0, 64, 9)),
                                              box.ints({1, 2, 3}));
                                        },
                                        {},
                                        {}};
  for (const ggml_type type : {GGML_TYPE_Q8_0, GGML_TYPE_Q6_K, GGML_TYPE_BF16, GGML_TYPE_F32}) {
    Subject& s = all[std::string("MUL_MAT with ") + ggml_type_name(type)];
    s.build = [type](Sandbox& box) { return product(box, type); };
    s.refused = {
        {0, {7, GGML_PREC_Q8, GGML_PREC_Q4}}, {1, {GGML_HINT_SRC0_IS_HADAMARD, 7}}, {3, {7, -1}}};
    if (type != GGML_TYPE_F32) s.refused[3].push_back(GGML_PREC_F32);
    if (ggml_is_quantized(type)) s.refused[3].push_back(GGML_PREC_F16);
  }
  all["MUL_MAT_ID"] = {[](Sandbox& box) {
                         return ggml_mul_mat_id(
                             box, box.packed(box.values(GGML_TYPE_Q8_0, 64, 21, 4)),
                             box.floats(64, 1, 3), ggml_new_tensor_2d(box, GGML_TYPE_I32, 2, 3));
                       },
                       all["MUL_MAT with q8_0"].refused,
                       {}};
  all["FLASH_ATTN_EXT"] = {[](Sandbox& box) { return attention(box); },
                           {{0, no_numbers},
                            {1, and_also({bits(-1.0f)})},
                            {2, no_numbers},
                            {3, {7, GGML_PREC_Q8, GGML_PREC_Q4}},
                            {4, {-1}}},
                           {}};
  return all;
}

TEST(Support, RefusesEveryParameterThatIsNotUnderstood) {
  for (const auto& [name, subject] : subjects()) {
    SCOPED_TRACE(name);
    Sandbox box;
    ggml_tensor* op = subject.build(box);
    ASSERT_TRUE(is_taken(op));
    for (int i = 0; i < GGML_MAX_OP_PARAMS / 4; ++i) {
      const auto known = subject.refused.find(i);
      std::vector<int32_t> values = {1, -1, 0x5a5a5a5a};
      if (known != subject.refused.end()) values = known->second;
      const int32_t before = op->op_params[i];
      for (const int32_t value : values) {
        op->op_params[i] = value;
        EXPECT_EQ(is_taken(op), subject.not_read.count(i) == 1)
            << "parameter " << i << " = " << value;
      }
      op->op_params[i] = before;
      EXPECT_TRUE(is_taken(op));
    }
  }
}

TEST(Support, RefusesASourceMoreThanItKnows) {
  for (const auto& [name, subject] : subjects()) {
    SCOPED_TRACE(name);
    Sandbox box;
    ggml_tensor* op = subject.build(box);
    for (int i = 0; i < GGML_MAX_SRC; ++i) {
      // Rotations know factors, stored rows the matrix they go to, attention sinks.
      const bool optional = (op->op == GGML_OP_ROPE && i == 2) ||
                            (op->op == GGML_OP_SET_ROWS && i == 2) ||
                            (op->op == GGML_OP_FLASH_ATTN_EXT && i == 4);
      if (op->src[i] || optional) continue;
      op->src[i] = box.floats(64);
      EXPECT_FALSE(is_taken(op)) << "source " << i;
      op->src[i] = nullptr;
    }
  }
}

// Whatever else reads packed memory would take it for ggml's form.
TEST(Support, RefusesPackedMemoryWhereItIsNotTheMatrix) {
  for (const auto& [name, subject] : subjects()) {
    SCOPED_TRACE(name);
    Sandbox box;
    ggml_tensor* op = subject.build(box);
    ggml_tensor* packed = box.packed(box.floats(64, 4));
    ggml_tensor* view = ggml_view_2d(box, packed, 64, 3, packed->nb[1], 0);
    view->buffer = nullptr;  // as it is when the scheduler asks
    const bool reads_packed = is_packed(op->src[0]);
    for (int i = 0; i < GGML_MAX_SRC; ++i) {
      if (!op->src[i]) continue;
      ggml_backend_buffer* const before = op->src[i]->buffer;
      if (i > 0 || !reads_packed) {
        op->src[i]->buffer = packed->buffer;
        EXPECT_EQ(is_taken(op), i == 0 && op->op == GGML_OP_GET_ROWS) << "source " << i;
        op->src[i]->buffer = before;
      }
      op->src[i]->view_src = packed;
      EXPECT_FALSE(is_taken(op)) << "view as source " << i;
      op->src[i]->view_src = nullptr;
    }
    op->view_src = packed;
    EXPECT_FALSE(is_taken(op)) << "result";
    EXPECT_FALSE(is_taken(ggml_add(box, box.floats(64, 3), view)));
  }
}

}  // namespace
}  // namespace gumbelspec::kernels
