// Hybrid models made of attention models: the function stays, the states are there.
#include "apps/scale/recurrent_layers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/cli/process.h"
#include "tests/llama/llama_fixture.h"
#include "tests/scale/greedy.h"

namespace gumbelspec::testing {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kTokens = 24;

class RecurrentLayersIn : public ::testing::TestWithParam<const char*> {};

TEST_P(RecurrentLayersIn, KeepTheFunctionAndHaveStates) {
  const TemporaryFolder folder;
  scale::ScaleOptions options;
  options.in = model_path("demo-draft-q8_0.gguf");
  options.out = folder.file("hybrid.gguf");
  options.type = GetParam();
  options.recurrent_layers = 3;
  const scale::ScaleResult result = scale::add_recurrent_layers(options);
  const auto dense = LlamaModel::load({.path = options.in, .n_threads = 1});
  const auto hybrid = LlamaModel::load({.path = options.out, .n_threads = 1});
  EXPECT_NEAR(static_cast<double>(hybrid->size().n_parameters), result.n_params, 0.5);
  EXPECT_GT(result.n_params, 1.5 * static_cast<double>(dense->size().n_parameters));
  EXPECT_THAT(hybrid->description(), HasSubstr("granitehybrid"));
  EXPECT_FALSE(hybrid->limits().can_branch);
  EXPECT_TRUE(dense->limits().can_branch);
  EXPECT_GT(hybrid->rollback().state_bytes, 0U);
  // By this key bench tells such models from those that say something of their own.
  EXPECT_EQ(hybrid->metadata("gumbelspec.scaled_from"), "gumbelspec-demo-draft");
  EXPECT_EQ(hybrid->metadata("general.name"), "gumbelspec-demo-draft, with 3 Mamba-2 layers added");

  const Greedy expected = greedy_text(*dense, kTokens), got = greedy_text(*hybrid, kTokens);
  for (std::size_t i = 0; i < kTokens; ++i) {
    EXPECT_TRUE(same_bits(expected.logits[i], got.logits[i])) << "token " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Types, RecurrentLayersIn, ::testing::Values("q8_0", "f16"));

TEST(RecurrentLayers, OfAScaledModelNameTheModelThatWasScaled) {
  const TemporaryFolder folder;
  scale::ScaleOptions options;
  options.in = model_path("demo-draft-q8_0.gguf");
  options.out = folder.file("scaled.gguf");
  options.shape.layers = 4;
  (void)scale::scale_model(options);
  const scale::ScaleOptions again{
      .in = options.out, .out = folder.file("hybrid.gguf"), .recurrent_layers = 1};
  (void)scale::add_recurrent_layers(again);
  const auto model = LlamaModel::load({.path = again.out, .n_threads = 1});
  EXPECT_EQ(model->metadata("gumbelspec.scaled_from"), "gumbelspec-demo-draft");
}

TEST(RecurrentLayers, AreAStepOfTheirOwnAndNeedALlamaModel) {
  const TemporaryFolder folder;
  const std::string draft = model_path("demo-draft-q8_0.gguf"), out = folder.file("out.gguf");
  const auto error_of = [](const std::vector<std::string>& arguments) {
    const ProcessResult result = Process(GUMBELSPEC_SCALE_PROGRAM, arguments).finish();
    EXPECT_EQ(result.exit_code, 2) << result.out;
    return result.err;
  };
  EXPECT_THAT(error_of({draft, out, "--recurrent-layers", "2", "--params", "20M"}),
              HasSubstr("a step of its own; scale the model first"));
  EXPECT_THAT(error_of({draft, out, "--recurrent-layers", "0"}), HasSubstr("--recurrent-layers"));
  EXPECT_THAT(error_of({draft, draft, "--recurrent-layers", "2"}), HasSubstr("overwrite"));
  EXPECT_THAT(error_of({draft, out, "--recurrent-layers", "2", "--type", "q4_K"}),
              HasSubstr("needs a multiple of 256"));
  EXPECT_EQ(
      Process(GUMBELSPEC_SCALE_PROGRAM, {draft, out, "--recurrent-layers", "2"}).finish().exit_code,
      0);
  EXPECT_THAT(error_of({out, folder.file("again.gguf"), "--recurrent-layers", "2"}),
              HasSubstr("llama architecture"));
}

}  // namespace
}  // namespace gumbelspec::testing
