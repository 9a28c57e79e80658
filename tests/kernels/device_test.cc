// The device as ggml sees it: weights in its memory, products with any number of threads.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ggml-alloc.h"
#include "ggml-backend.h"
#include "ggml.h"
#include "gumbelspec/kernels.h"
#include "kernels/src/weight_format.h"
#include "testing/ggml_weights.h"

namespace gumbelspec::kernels {
namespace {

struct BackendDeleter {
  void operator()(ggml_backend* b) const { ggml_backend_free(b); }
};
struct BufferDeleter {
  void operator()(ggml_backend_buffer* b) const { ggml_backend_buffer_free(b); }
};
struct ContextDeleter {
  void operator()(ggml_context* c) const { ggml_free(c); }
};
using Backend = std::unique_ptr<ggml_backend, BackendDeleter>;
using Buffer = std::unique_ptr<ggml_backend_buffer, BufferDeleter>;
using Context = std::unique_ptr<ggml_context, ContextDeleter>;

std::vector<float> noise(int64_t n, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(static_cast<size_t>(n));
  for (float& v : x) v = normal(rng);
  return x;
}

class Device : public ::testing::TestWithParam<ggml_type> {
 protected:
  void SetUp() override {
    if (register_device() != Registration::registered) GTEST_SKIP() << "no kernels here";
    device_ = ggml_backend_dev_by_name("GumbelSpec");
    ASSERT_NE(device_, nullptr);
    weights_ctx_.reset(ggml_init({4 * ggml_tensor_overhead(), nullptr, true}));
    weights_ = ggml_new_tensor_2d(weights_ctx_.get(), GetParam(), kColumns, kRows);
    buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(weights_ctx_.get(),
                                                           ggml_backend_dev_buffer_type(device_)));
    ggml_backend_buffer_set_usage(buffer_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    original_.resize(ggml_nbytes(weights_));
    const auto x = noise(kColumns * kRows, 1);
    testing::store_weights(GetParam(), x.data(), kRows, kColumns, original_.data());
    ggml_backend_tensor_set(weights_, original_.data(), 0, original_.size());
  }
  void TearDown() override {
    buffer_.reset();
    unregister_device();
  }

  std::vector<float> product(int n, int threads) {
    const Backend backend(ggml_backend_dev_init(device_, nullptr));
    auto* reg = ggml_backend_dev_backend_reg(device_);
    reinterpret_cast<ggml_backend_set_n_threads_t>(ggml_backend_reg_get_proc_address(
        reg, "ggml_backend_set_n_threads"))(backend.get(), threads);
    const Context ctx(ggml_init({size_t{4} << 20, nullptr, false}));
    ggml_tensor* x = ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F32, kColumns, n);
    const auto values = noise(kColumns * 40, 2);
    std::memcpy(x->data, values.data(), ggml_nbytes(x));
    ggml_tensor* y = ggml_mul_mat(ctx.get(), weights_, x);
    EXPECT_TRUE(ggml_backend_supports_op(backend.get(), y));
    ggml_cgraph* graph = ggml_new_graph(ctx.get());
    ggml_build_forward_expand(graph, y);
    EXPECT_EQ(ggml_backend_graph_compute(backend.get(), graph), GGML_STATUS_SUCCESS);
    const auto* out = static_cast<const float*>(y->data);
    return {out, out + ggml_nelements(y)};
  }

  static constexpr int64_t kColumns = 512, kRows = 205;
  ggml_backend_dev_t device_ = nullptr;
  Context weights_ctx_;
  ggml_tensor* weights_ = nullptr;
  Buffer buffer_;
  std::vector<uint8_t> original_;
};

TEST_P(Device, GivesTheSameBitsForOneToEightThreads) {
  for (const int n : {1, 3, 16, 40}) {
    const auto want = product(n, 1);
    for (int threads = 2; threads <= 8; ++threads) {
      ASSERT_EQ(product(n, threads), want) << n << " columns, " << threads << " threads";
    }
  }
}

TEST_P(Device, GivesTheSameBitsForEveryBatch) {
  const auto all = product(40, 2);
  for (int n = 1; n < 40; ++n) {
    const auto some = product(n, 2);
    ASSERT_EQ(std::memcmp(some.data(), all.data(), some.size() * sizeof(float)), 0) << n;
  }
}

TEST_P(Device, GivesWeightsBackAsTheyCame) {
  std::vector<uint8_t> back(original_.size());
  ggml_backend_tensor_get(weights_, back.data(), 0, back.size());
  EXPECT_EQ(back, original_);
}

TEST_P(Device, TakesAndGivesPartsOfAMatrix) {
  const size_t begin = original_.size() / 3 + 1, size = original_.size() / 4 + 3;
  std::vector<uint8_t> zeros(original_.size(), 0), back(size);
  ggml_backend_tensor_set(weights_, zeros.data(), 0, zeros.size());
  ggml_backend_tensor_set(weights_, original_.data() + begin, begin, size);
  ggml_backend_tensor_get(weights_, back.data(), begin, size);
  EXPECT_EQ(std::memcmp(back.data(), original_.data() + begin, size), 0);
  ggml_backend_tensor_get(weights_, back.data(), 0, 64);
  EXPECT_EQ(std::memcmp(back.data(), zeros.data(), 64), 0);
}

TEST_P(Device, LooksUpRowsAsGgmlDoes) {
  const Backend backend(ggml_backend_dev_init(device_, nullptr));
  const Context ctx(ggml_init({size_t{1} << 20, nullptr, false}));
  ggml_tensor* ids = ggml_new_tensor_1d(ctx.get(), GGML_TYPE_I32, 3);
  const int32_t rows[3] = {204, 0, 17};
  std::memcpy(ids->data, rows, sizeof(rows));
  ggml_tensor* y = ggml_get_rows(ctx.get(), weights_, ids);
  ASSERT_TRUE(ggml_backend_supports_op(backend.get(), y));
  ggml_cgraph* graph = ggml_new_graph(ctx.get());
  ggml_build_forward_expand(graph, y);
  ASSERT_EQ(ggml_backend_graph_compute(backend.get(), graph), GGML_STATUS_SUCCESS);
  for (int i = 0; i < 3; ++i) {
    std::vector<float> want(kColumns);
    const uint8_t* row = original_.data() + static_cast<size_t>(rows[i]) * weights_->nb[1];
    if (GetParam() == GGML_TYPE_F32) {
      std::memcpy(want.data(), row, want.size() * sizeof(float));
    } else {
      ggml_get_type_traits(GetParam())->to_float(row, want.data(), kColumns);
    }
    EXPECT_EQ(std::memcmp(static_cast<const float*>(y->data) + i * kColumns, want.data(),
                          want.size() * sizeof(float)),
              0);
  }
}

// llama.cpp's graphs hold alternatives, of which a pass takes one; the inputs of the others hold
// whatever memory held before.
TEST_P(Device, SkipsWhatAPassDoesNotTake) {
  const Backend backend(ggml_backend_dev_init(device_, nullptr));
  const Context ctx(ggml_init({size_t{1} << 20, nullptr, false}));
  ggml_tensor* ids = ggml_new_tensor_1d(ctx.get(), GGML_TYPE_I32, 3);
  std::memset(ids->data, 0x5a, ggml_nbytes(ids));
  ggml_tensor* other = ggml_new_tensor_1d(ctx.get(), GGML_TYPE_F32, kColumns);
  std::memset(other->data, 0, ggml_nbytes(other));
  ggml_tensor* looked_up = ggml_get_rows(ctx.get(), weights_, ids);
  std::memset(looked_up->data, 0, ggml_nbytes(looked_up));
  ggml_tensor* ways[2] = {looked_up, ggml_rms_norm(ctx.get(), other, 1.0f)};
  ggml_cgraph* graph = ggml_new_graph(ctx.get());
  ggml_build_forward_select(graph, ways, 2, 1);
  EXPECT_EQ(ggml_backend_graph_compute(backend.get(), graph), GGML_STATUS_SUCCESS);
  EXPECT_EQ(static_cast<const float*>(looked_up->data)[0], 0.0f);
}

TEST_P(Device, ComputesNothingThatItDoesNotSupport) {
  const Backend backend(ggml_backend_dev_init(device_, nullptr));
  const Context ctx(ggml_init({size_t{4} << 20, nullptr, false}));
  ggml_tensor* x = ggml_new_tensor_2d(ctx.get(), GGML_TYPE_F32, kColumns, 2);
  ggml_tensor* plain = ggml_new_tensor_2d(ctx.get(), GetParam(), kColumns, kRows);
  ggml_tensor* hinted = ggml_mul_mat(ctx.get(), weights_, x);
  ggml_mul_mat_set_hint(hinted, GGML_HINT_SRC0_IS_HADAMARD);
  for (ggml_tensor* y : {ggml_mul_mat(ctx.get(), plain, x), hinted, ggml_sqr(ctx.get(), x)}) {
    ggml_cgraph* graph = ggml_new_graph(ctx.get());
    ggml_build_forward_expand(graph, y);
    EXPECT_FALSE(ggml_backend_supports_op(backend.get(), y));
    EXPECT_EQ(ggml_backend_graph_compute(backend.get(), graph), GGML_STATUS_FAILED);
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, Device, ::testing::ValuesIn(weight_types()),
                         [](const auto& test) { return std::string(ggml_type_name(test.param)); });

// The environment goes before the options: a run with a forced instruction set must not hide them.
class Registering : public ::testing::Test {
 protected:
  void SetUp() override {
    if (std::getenv("GUMBELSPEC_KERNELS_ISA")) GTEST_SKIP() << "an instruction set is forced";
  }
};

TEST_F(Registering, LeavesGgmlAloneWhenSwitchedOff) {
  Options options;
  options.isa = "off";
  EXPECT_EQ(register_device(options), Registration::switched_off);
  EXPECT_EQ(ggml_backend_dev_by_name("GumbelSpec"), nullptr);
}

TEST_F(Registering, NamesAnUnknownInstructionSet) {
  Options options;
  options.isa = "mmx";
  EXPECT_EQ(register_device(options), Registration::unknown_isa);
}

TEST_F(Registering, CanBeTakenBack) {
  if (register_device() != Registration::registered) GTEST_SKIP() << "no kernels here";
  EXPECT_NE(ggml_backend_dev_by_name("GumbelSpec"), nullptr);
  EXPECT_FALSE(info().isa.empty());
  unregister_device();
  EXPECT_EQ(ggml_backend_dev_by_name("GumbelSpec"), nullptr);
}

}  // namespace
}  // namespace gumbelspec::kernels
