// The device for rpc-servers: a weight changes in every way that memory can, and the product with
// it.
#include "kernels/src/served.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ggml-alloc.h"
#include "gumbelspec/kernels.h"
#include "kernels/src/device.h"
#include "kernels/src/isa.h"

namespace gumbelspec::kernels {
namespace {

struct Free {
  void operator()(ggml_backend* b) const { ggml_backend_free(b); }
  void operator()(ggml_backend_buffer* b) const { ggml_backend_buffer_free(b); }
  void operator()(ggml_context* c) const { ggml_free(c); }
};

class Served : public ::testing::Test {
 protected:
  static constexpr int64_t kColumns = 64, kRows = 21, kTokens = 3;

  void SetUp() override {
    if (configure({}) != Registration::registered) GTEST_SKIP() << "no kernels here";
    bool known = false;
    device_ = served_device(registry(), find_kernels("auto", &known));
    backend_.reset(ggml_backend_dev_init(device_, nullptr));
    context_.reset(ggml_init({size_t{1} << 20, nullptr, true}));
    weight_ = ggml_new_tensor_2d(context_.get(), GGML_TYPE_Q8_0, kColumns, kRows);
    other_ = ggml_new_tensor_2d(context_.get(), GGML_TYPE_Q8_0, kColumns, kRows);
    floats_ = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, kColumns, kRows);
    x_ = ggml_new_tensor_2d(context_.get(), GGML_TYPE_F32, kColumns, kTokens);
    rows_ = ggml_view_2d(context_.get(), weight_, kColumns, 4, weight_->nb[1], 5 * weight_->nb[1]);
    product_ = ggml_mul_mat(context_.get(), weight_, x_);
    change_ = ggml_cpy(context_.get(), floats_, weight_);
    graph_ = ggml_new_graph(context_.get());
    ggml_build_forward_expand(graph_, product_);
    changing_ = ggml_new_graph(context_.get());
    ggml_build_forward_expand(changing_, change_);
    ggml_build_forward_expand(changing_, product_);
    buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(),
                                                           ggml_backend_dev_buffer_type(device_)));
    for (ggml_tensor* t : {weight_, other_, floats_, x_}) set(t, 1.0f);
  }
  void TearDown() override { unregister_device(); }

  std::vector<uint8_t> data(const ggml_tensor* t, float size) {
    std::normal_distribution<float> normal;
    std::vector<float> x(static_cast<size_t>(ggml_nelements(t)));
    for (float& v : x) v = size * normal(random_);
    std::vector<uint8_t> bytes(ggml_nbytes(t));
    if (t->type == GGML_TYPE_F32) {
      std::memcpy(bytes.data(), x.data(), bytes.size());
    } else {
      ggml_quantize_chunk(t->type, x.data(), bytes.data(), 0, ggml_nrows(t), t->ne[0], nullptr);
    }
    return bytes;
  }
  void set(ggml_tensor* t, float size) {
    ggml_backend_tensor_set(t, data(t, size).data(), 0, ggml_nbytes(t));
  }

  // Computes the graph and expects the product with what the weight's plain memory holds now.
  void expect_product(ggml_cgraph* graph, const std::string& after) {
    ASSERT_EQ(ggml_backend_graph_compute(backend_.get(), graph), GGML_STATUS_SUCCESS);
    EXPECT_NE(product_->src[0], weight_) << "a packed copy is in use";
    std::vector<float> w(kColumns * kRows), got(kRows * kTokens), x(kColumns * kTokens);
    ggml_get_type_traits(GGML_TYPE_Q8_0)->to_float(weight_->data, w.data(), kColumns * kRows);
    ggml_backend_tensor_get(product_, got.data(), 0, ggml_nbytes(product_));
    ggml_backend_tensor_get(x_, x.data(), 0, ggml_nbytes(x_));
    double error = 0.0, size = 0.0;
    for (int64_t i = 0; i < kRows * kTokens; ++i) {
      double sum = 0.0;
      for (int64_t k = 0; k < kColumns; ++k) {
        sum += static_cast<double>(w[static_cast<size_t>(i % kRows * kColumns + k)]) *
               static_cast<double>(x[static_cast<size_t>(i / kRows * kColumns + k)]);
      }
      const double d = static_cast<double>(got[static_cast<size_t>(i)]) - sum;
      error += d * d;
      size += sum * sum;
    }
    EXPECT_LE(error, 2e-4 * size) << after;
  }

  std::mt19937 random_{3};
  ggml_backend_dev_t device_ = nullptr;
  std::unique_ptr<ggml_backend, Free> backend_;
  std::unique_ptr<ggml_context, Free> context_;
  std::unique_ptr<ggml_backend_buffer, Free> buffer_;
  ggml_tensor *weight_ = nullptr, *other_ = nullptr, *floats_ = nullptr, *x_ = nullptr;
  ggml_tensor *rows_ = nullptr, *product_ = nullptr, *change_ = nullptr;
  ggml_cgraph *graph_ = nullptr, *changing_ = nullptr;
};

TEST_F(Served, NoticesEveryChangeOfAWeight) {
  expect_product(graph_, "loading");
  set(weight_, 5.0f);
  expect_product(graph_, "a new weight");
  set(rows_, 9.0f);
  expect_product(graph_, "new rows through a view");
  ggml_backend_tensor_memset(weight_, 0, 68, 68 * 8);
  expect_product(graph_, "zeros");
  ggml_backend_tensor_copy(other_, weight_);
  expect_product(graph_, "a copy of another tensor");
  expect_product(changing_, "a copy within the graph");
  set(rows_, 9.0f);
  expect_product(graph_, "new rows after that");
}

TEST_F(Served, TakesWhatTheKernelsOrTheCpuBackendCompute) {
  EXPECT_TRUE(ggml_backend_dev_supports_op(device_, product_));
  EXPECT_TRUE(ggml_backend_dev_supports_op(device_, change_));
  change_->type = GGML_TYPE_IQ2_XS;  // which is quantised with an importance matrix only
  EXPECT_FALSE(ggml_backend_dev_supports_op(device_, change_));
}

}  // namespace
}  // namespace gumbelspec::kernels
