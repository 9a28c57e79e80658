// ggml's matrix products with AMX: the same numbers as its plain ones, and the same bits for a
// token wherever and among however many others it is computed. On processors without AMX the
// instructions are emulated (testing/amx_emulator) and the code is compiled along
// (amx_buffer_type.cc); where the processor has AMX, these are the products of the ggml library
// that the program runs on.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "ggml-backend.h"
#include "ggml-cpu.h"
#include "ggml.h"
#include "testing/amx_emulator/amx_emulator.h"
#include "tests/processors/amx_buffer_type.h"

namespace gumbelspec::testing {
namespace {

constexpr std::int64_t kColumns = 512;  // of the matrix: two blocks of the K types
constexpr int kMaxTokens = 40;          // a tile kernel takes at most 32 at once

using Row = std::vector<float>;

// The buffer type "AMX" of ggml's CPU device; null if there is none.
ggml_backend_buffer_type_t amx() {
  const ggml_backend_dev_t cpu = ggml_backend_dev_by_type(GGML_BACKEND_DEVICE_TYPE_CPU);
  const auto list =
      reinterpret_cast<ggml_backend_dev_get_extra_bufts_t>(ggml_backend_reg_get_proc_address(
          ggml_backend_dev_backend_reg(cpu), "ggml_backend_dev_get_extra_bufts"));
  if (list == nullptr) return nullptr;
  for (ggml_backend_buffer_type_t* type = list(cpu); *type != nullptr; ++type) {
    if (std::string(ggml_backend_buft_name(*type)) == "AMX") return *type;
  }
  return nullptr;
}

std::vector<Row> random_rows(std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<Row> rows(n, Row(kColumns));
  for (Row& row : rows) {
    const float scale = std::exp(normal(random));
    for (float& x : row) x = scale * normal(random);
  }
  return rows;
}

// A weight of a type in memory of a buffer type.
class Matrix {
 public:
  Matrix(ggml_type type, const std::vector<Row>& rows, ggml_backend_buffer_type_t where)
      : context_(ggml_init({1 << 20, nullptr, true}), &ggml_free) {
    const auto n_rows = static_cast<std::int64_t>(rows.size());
    weight_ = ggml_new_tensor_2d(context_.get(), type, kColumns, n_rows);
    buffer_.reset(ggml_backend_alloc_ctx_tensors_from_buft(context_.get(), where));
    ggml_backend_buffer_set_usage(buffer_.get(), GGML_BACKEND_BUFFER_USAGE_WEIGHTS);
    Row all;
    for (const Row& row : rows) all.insert(all.end(), row.begin(), row.end());
    std::vector<char> packed(ggml_nbytes(weight_));
    ggml_quantize_chunk(type, all.data(), packed.data(), 0, n_rows, kColumns, nullptr);
    ggml_backend_tensor_set(weight_, packed.data(), 0, packed.size());
  }

  // Returns: one row for each token.
  [[nodiscard]] std::vector<Row> times(const std::vector<Row>& tokens, int n_threads = 1) const {
    const auto n_tokens = static_cast<std::int64_t>(tokens.size());
    const std::unique_ptr<ggml_context, decltype(&ggml_free)> context(
        ggml_init({1 << 20, nullptr, true}), &ggml_free);
    ggml_tensor* input = ggml_new_tensor_2d(context.get(), GGML_TYPE_F32, kColumns, n_tokens);
    ggml_tensor* output = ggml_mul_mat(context.get(), weight_, input);
    ggml_cgraph* graph = ggml_new_graph(context.get());
    ggml_build_forward_expand(graph, output);
    const std::unique_ptr<ggml_backend, decltype(&ggml_backend_free)> backend(
        ggml_backend_cpu_init(), &ggml_backend_free);
    ggml_backend_cpu_set_n_threads(backend.get(), n_threads);
    const std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer(
        ggml_backend_alloc_ctx_tensors(context.get(), backend.get()), &ggml_backend_buffer_free);
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      ggml_backend_tensor_set(input, tokens[i].data(), i * input->nb[1], input->nb[1]);
    }
    EXPECT_EQ(ggml_backend_graph_compute(backend.get(), graph), GGML_STATUS_SUCCESS);
    std::vector<Row> rows(tokens.size(), Row(static_cast<std::size_t>(output->ne[0])));
    for (std::size_t i = 0; i < rows.size(); ++i) {
      ggml_backend_tensor_get(output, rows[i].data(), i * output->nb[1], output->nb[1]);
    }
    return rows;
  }

 private:
  std::unique_ptr<ggml_context, decltype(&ggml_free)> context_;
  std::unique_ptr<ggml_backend_buffer, decltype(&ggml_backend_buffer_free)> buffer_{
      nullptr, &ggml_backend_buffer_free};
  ggml_tensor* weight_ = nullptr;
};

class AmxProducts : public ::testing::TestWithParam<ggml_type> {
 protected:
  void SetUp() override {
    add_amx_buffer_type();
    if (amx() == nullptr) {
      GTEST_SKIP() << "neither AMX nor AVX-512 VNNI, which ggml's AMX code also needs";
    }
  }
};

double relative_error(const Row& row, const Row& expected) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < row.size(); ++i) {
    const double difference = static_cast<double>(row[i]) - static_cast<double>(expected[i]);
    error += difference * difference;
    size += static_cast<double>(expected[i]) * static_cast<double>(expected[i]);
  }
  return std::sqrt(error / size);
}

// Both quantise the tokens to 8 bits alike; what differs is the order of a few float additions.
// F16: the plain product rounds the tokens to half precision, AMX's (which uses no tiles) does not.
TEST_P(AmxProducts, AreGgmlsPlainOnesForOneToFortyTokens) {
  const bool has_tiles = GetParam() != GGML_TYPE_F16;
  const double tolerance = has_tiles ? 1e-6 : 1e-3;
  for (const std::size_t n_rows : {32U, 160U}) {
    const auto rows = random_rows(n_rows, 1);
    const Matrix with_amx(GetParam(), rows, amx());
    const Matrix plain(GetParam(), rows, ggml_backend_cpu_buffer_type());
    const auto tokens = random_rows(kMaxTokens, 2);
    const auto expected = plain.times(tokens);
    for (std::size_t n = 1; n <= tokens.size(); ++n) {
      const unsigned long n_before = amx_emulator_count();
      const auto got = with_amx.times({tokens.begin(), tokens.begin() + static_cast<long>(n)});
      EXPECT_EQ(amx_emulator_count() > n_before, has_tiles && n > 1 && !amx_emulator_is_idle());
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_LT(relative_error(got[i], expected[i]), tolerance)
            << "token " << i << " of " << n << ", " << n_rows << " rows";
      }
    }
  }
}

// What Attention::exact rests on (is_repacking_exact in src/llama/model_file.cc).
TEST_P(AmxProducts, AreTheSameBitsForEveryNumberOfTokensAndPlace) {
  const Matrix matrix(GetParam(), random_rows(96, 3), amx());
  const auto tokens = random_rows(kMaxTokens, 4);
  std::vector<Row> alone;
  for (const Row& token : tokens) alone.push_back(matrix.times({token})[0]);
  for (std::size_t n = 2; n <= tokens.size(); ++n) {
    for (const std::size_t first : {0U, 7U}) {
      std::vector<Row> some;
      for (std::size_t i = 0; i < n; ++i) some.push_back(tokens[(first + i) % tokens.size()]);
      const auto got = matrix.times(some, n % 3 == 0 ? 2 : 1);
      for (std::size_t i = 0; i < n; ++i) {
        ASSERT_EQ(got[i], alone[(first + i) % tokens.size()]) << "token " << i << " of " << n;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(AllTypes, AmxProducts,
                         ::testing::Values(GGML_TYPE_Q4_0, GGML_TYPE_Q4_1, GGML_TYPE_Q8_0,
                                           GGML_TYPE_Q4_K, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K,
                                           GGML_TYPE_IQ4_XS, GGML_TYPE_F16),
                         [](const auto& param) {
                           return std::string(ggml_type_name(param.param));
                         });

}  // namespace
}  // namespace gumbelspec::testing
