#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "apps/scale/scale_model.h"
#include "tests/cli/process.h"
#include "tests/llama/llama_fixture.h"
#include "tests/scale/greedy.h"

namespace gumbelspec::testing {
namespace {

using scale::ModelShape;
using scale::ScaleOptions;

struct Size {
  double params;
  int block;
};

class ShapeFor : public ::testing::TestWithParam<Size> {};

TEST_P(ShapeFor, HasTheParametersAndFitsTheBlocks) {
  const auto [params, block] = GetParam();
  const ModelShape least = {6, 256, 704, 4, 4};
  const scale::FixedShape fixed = {4096, 64, false, block};
  const ModelShape shape = scale::shape_for(params, least, fixed, {});
  EXPECT_NEAR(scale::n_params(shape, fixed) / params, 1.0, 0.1);
  EXPECT_EQ(shape.embd % block, 0);
  EXPECT_EQ(shape.ff % block, 0);
  EXPECT_EQ(shape.heads * 64 % block, 0);
  EXPECT_EQ(shape.heads % shape.heads_kv, 0);
  EXPECT_GE(shape.layers, 6);
  EXPECT_GE(shape.heads_kv, 4);
  EXPECT_LE(shape.layers, 64);
}

INSTANTIATE_TEST_SUITE_P(Sizes, ShapeFor,
                         ::testing::Values(Size{30e6, 32}, Size{60e6, 32}, Size{300e6, 32},
                                           Size{500e6, 32}, Size{1e9, 32}, Size{3e9, 32},
                                           Size{8e9, 32}, Size{60e6, 256}, Size{1e9, 256},
                                           Size{8e9, 256}),
                         [](const auto& test) {
                           return std::to_string(static_cast<int>(test.param.params / 1e6)) + "M" +
                                  std::to_string(test.param.block);
                         });

TEST(ShapeForParams, IsThatOfAUsualModel) {
  const scale::FixedShape fixed = {4096, 64, false, 32};
  const ModelShape shape = scale::shape_for(1e9, {6, 256, 704, 4, 4}, fixed, {});
  EXPECT_EQ(shape.embd, 2048);
  EXPECT_EQ(shape.heads, 32);
  EXPECT_EQ(shape.heads_kv, 4);
  EXPECT_NEAR(shape.layers, 22, 2);
}

TEST(ShapeForParams, KeepsWhatIsGiven) {
  const scale::FixedShape fixed = {4096, 64, false, 32};
  const ModelShape shape = scale::shape_for(60e6, {2, 128, 352, 2, 2}, fixed, {.embd = 640});
  EXPECT_EQ(shape.embd, 640);
  EXPECT_NEAR(scale::n_params(shape, fixed) / 60e6, 1.0, 0.1);
}

TEST(Params, AreANumberWithAUnit) {
  EXPECT_EQ(scale::parse_params("1B"), 1e9);
  EXPECT_EQ(scale::parse_params("60M"), 60e6);
  EXPECT_EQ(scale::parse_params("1.5B"), 1.5e9);
  for (const char* text : {"", "B", "1", "-1B", "1X", "1 B", "nan", "1e99B"}) {
    EXPECT_THROW((void)scale::parse_params(text), std::runtime_error) << text;
  }
}

double largest_difference(const Greedy& a, const Greedy& b) {
  double largest = 0.0;
  for (std::size_t i = 0; i < std::min(a.logits.size(), b.logits.size()); ++i) {
    for (std::size_t v = 0; v < a.logits[i].size(); ++v) {
      largest = std::max(largest, std::abs(static_cast<double>(a.logits[i][v]) -
                                           static_cast<double>(b.logits[i][v])));
    }
  }
  return largest;
}

// The smallest shape that the type's blocks allow, against one of 6 M parameters: more layers, more
// dimensions, more heads, more units. Both are rounded to the type in the same way.
class ScaledIn : public ::testing::TestWithParam<const char*> {};

TEST_P(ScaledIn, ComputesTheSameFunction) {
  const TemporaryFolder folder;
  const std::string type = GetParam();
  const bool is_k = type.find("_K") != std::string::npos;
  ScaleOptions small;
  small.in = model_path("demo-draft-weak-q8_0.gguf");
  small.out = folder.file("small.gguf");
  small.type = type;
  small.shape = is_k ? ModelShape{1, 256, 256, 4, 1} : ModelShape{1, 64, 160, 1, 1};
  (void)scale::scale_model(small);
  ScaleOptions large = small;
  large.out = folder.file("large.gguf");
  large.shape = {};
  large.params = 6e6;
  const scale::ScaleResult result = scale::scale_model(large);
  EXPECT_NEAR(result.n_params / 6e6, 1.0, 0.1);
  EXPECT_GT(result.shape.layers, 1);
  EXPECT_GT(result.shape.embd, 256 - 64);

  const Greedy expected = greedy_text(small.out, 24);
  const Greedy got = greedy_text(large.out, 24);
  EXPECT_EQ(got.text, expected.text);
  EXPECT_LT(largest_difference(expected, got), 0.05);
}

INSTANTIATE_TEST_SUITE_P(Types, ScaledIn, ::testing::Values("q8_0", "q4_0", "q4_K", "f16", "bf16"));

TEST(Scaled, InTheOriginalsTypeItIsTheOriginalsFunction) {
  const TemporaryFolder folder;
  ScaleOptions options;
  options.in = model_path("demo-draft-q8_0.gguf");
  options.out = folder.file("out.gguf");
  options.params = 8e6;
  (void)scale::scale_model(options);
  const Greedy expected = greedy_text(options.in, 24);
  const Greedy got = greedy_text(options.out, 24);
  EXPECT_EQ(got.text, expected.text);
  EXPECT_LT(largest_difference(expected, got), 0.05);
  const auto model = LlamaModel::load({.path = options.out});
  EXPECT_EQ(model->metadata("gumbelspec.scaled_from"), "gumbelspec-demo-draft");
  EXPECT_EQ(LlamaModel::load({.path = options.in})->metadata("gumbelspec.scaled_from"), "");
}

}  // namespace
}  // namespace gumbelspec::testing
