// Architectures other than the demo pair's, as tiny models with random weights.
#include <gtest/gtest.h>

#include <limits>
#include <random>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

constexpr std::size_t kPrompt = 10;

TinyModel tiny(const std::string& architecture, ggml_type weights) {
  TinyModel model;
  model.architecture = architecture;
  model.weights = weights;
  if (architecture == "gemma3") model.n_layer = 6;  // five with a window, one without
  if (architecture == "gpt2" || architecture == "cogvlm") model.n_head_kv = model.n_head;
  if (architecture == "chameleon") model.vocabulary.n_tokens = 8300;
  if (ggml_blck_size(weights) == 256) {
    model.n_embd = 256;
    model.n_ff = 512;
  }
  return model;
}

Comparison compare(const TinyModel& model_file, std::size_t n_text) {
  const auto model = load_tiny(model_file);
  std::mt19937 random(4);
  const auto text = random_text(random, n_text, model->limits().n_vocab);
  SeqId seq = model->open();
  const auto oracle = decode_plainly(*model, seq, text, kPrompt);
  model->close(seq);
  seq = model->open();
  Comparison all = compare_trees(*model, seq, text, kPrompt, oracle, 30, 256, 1);
  model->truncate(seq, 0);
  const Comparison levels = compare_trees(*model, seq, text, kPrompt, oracle, 16, 4, 2);
  all.n_rows += levels.n_rows;
  all.n_different += levels.n_different;
  all.max_difference = std::max(all.max_difference, levels.max_difference);
  return all;
}

class Architecture : public ::testing::TestWithParam<const char*> {};

TEST_P(Architecture, QuantizedTreesGiveTheBitsOfPlainDecoding) {
  EXPECT_EQ(compare(tiny(GetParam(), GGML_TYPE_Q8_0), 90).n_different, 0U);
}

// llama.cpp's float32 products depend on the batch, so these agree only about.
TEST_P(Architecture, Float32TreesGiveAboutTheRowsOfPlainDecoding) {
  const Comparison comparison = compare(tiny(GetParam(), GGML_TYPE_F32), 60);
  EXPECT_LT(comparison.max_difference, 0.1);
}

INSTANTIATE_TEST_SUITE_P(All, Architecture,
                         ::testing::Values("llama", "qwen2", "qwen3", "gemma3", "phi2", "phi3",
                                           "gpt2", "cogvlm", "chameleon"),
                         [](const auto& param) { return std::string(param.param); });

// Cogvlm's graph does not look at which rows are asked for; chameleon's hides the tokens of images
// in the first row only, and fails without any.
class Rows : public ::testing::TestWithParam<const char*> {};

TEST_P(Rows, AreThoseOfTheTokensThatAskForThem) {
  const auto model = load_tiny(tiny(GetParam(), GGML_TYPE_Q8_0));
  std::mt19937 random(4);
  const auto text = random_text(random, kPrompt + 6, model->limits().n_vocab);
  const SeqId first = model->open();
  const auto oracle = decode_plainly(*model, first, text, kPrompt);
  model->close(first);
  for (unsigned wanted = 0; wanted < 64; ++wanted) {
    const SeqId seq = model->open();
    ASSERT_EQ(model->extend(seq, std::span(text).first(kPrompt)), PassOutcome::ok);
    std::vector<PassNode> nodes;
    for (std::size_t i = 0; i < 6; ++i) {
      nodes.push_back({seq, i == 0 ? kCommitted : pending_id(i - 1), text[kPrompt + i],
                       (wanted >> i) % 2 == 1});
    }
    ASSERT_EQ(model->evaluate(nodes), PassOutcome::ok);
    for (std::size_t i = 0; i < 6; ++i) {
      if (nodes[i].wants_row) {
        EXPECT_TRUE(same_bits(model->row(i), oracle[i])) << "rows " << wanted << ", row " << i;
      } else {
        EXPECT_THROW((void)model->row(i), std::logic_error);
      }
    }
    model->close(seq);
  }
}

INSTANTIATE_TEST_SUITE_P(All, Rows, ::testing::Values("llama", "cogvlm", "chameleon"),
                         [](const auto& param) { return std::string(param.param); });

TEST(Rows, HideTheTokensOfImagesAsChameleonDoes) {
  const auto model = load_tiny(tiny("chameleon", GGML_TYPE_Q8_0));
  const SeqId seq = model->open();
  const std::vector<PassNode> nodes = {{seq, kCommitted, token_id(3), true},
                                       {seq, pending_id(0), token_id(5), true}};
  ASSERT_EQ(model->evaluate(nodes), PassOutcome::ok);
  for (const std::size_t i : {0U, 1U}) {
    const auto row = model->row(i);
    for (const std::size_t token : {std::size_t{4}, std::size_t{8195}}) {
      EXPECT_EQ(row[token], -std::numeric_limits<float>::max()) << i;
    }
    EXPECT_GT(row[3], -1e6F);
    EXPECT_GT(row[8196], -1e6F);
  }
}

// Its output matrix is the token table, which is float32 here.
TEST(Architecture, Gemma2TreesGiveAboutTheRowsOfPlainDecoding) {
  EXPECT_LT(compare(tiny("gemma2", GGML_TYPE_Q8_0), 90).max_difference, 0.01);
}

TEST(Architecture, MultiHeadAttentionGivesTheBitsOfPlainDecoding) {
  TinyModel model = tiny("llama", GGML_TYPE_Q8_0);
  model.n_head_kv = model.n_head;
  EXPECT_EQ(compare(model, 90).n_different, 0U);
}

class WeightType : public ::testing::TestWithParam<ggml_type> {};

TEST_P(WeightType, TreesGiveTheBitsOfPlainDecoding) {
  EXPECT_EQ(compare(tiny("llama", GetParam()), 40).n_different, 0U);
}

#if defined(__x86_64__)
INSTANTIATE_TEST_SUITE_P(Quantized, WeightType,
                         ::testing::Values(GGML_TYPE_Q2_K, GGML_TYPE_Q3_K, GGML_TYPE_Q4_0,
                                           GGML_TYPE_Q4_1, GGML_TYPE_Q4_K, GGML_TYPE_Q5_0,
                                           GGML_TYPE_Q5_1, GGML_TYPE_Q5_K, GGML_TYPE_Q6_K,
                                           GGML_TYPE_MXFP4, GGML_TYPE_IQ4_NL, GGML_TYPE_IQ4_XS,
                                           GGML_TYPE_IQ3_S, GGML_TYPE_IQ3_XXS, GGML_TYPE_IQ2_S,
                                           GGML_TYPE_IQ2_XS, GGML_TYPE_IQ2_XXS, GGML_TYPE_IQ1_M,
                                           GGML_TYPE_IQ1_S, GGML_TYPE_TQ1_0, GGML_TYPE_TQ2_0),
                         [](const auto& param) {
                           return std::string(ggml_type_name(param.param));
                         });

// llama.cpp's quantizer falls back to IQ4_NL for rows that are no multiple of 256.
TEST_P(WeightType, BesideIq4NlGivesTheBitsOfPlainDecoding) {
  TinyModel model = tiny("llama", GetParam());
  model.n_ff = 352;
  model.narrow_weights = GGML_TYPE_IQ4_NL;
  EXPECT_EQ(compare(model, 40).n_different, 0U);
}
#endif

// Two sets of rotation factors: which one is taken depends on the number of cells, which must not
// depend on the spare ones.
TEST(Architecture, SpareCellsDoNotSwitchToTheLongRotationFactors) {
  TinyModel model = tiny("phi3", GGML_TYPE_Q8_0);
  std::mt19937 random(9);
  std::vector<Logits> rows;
  for (const std::int64_t n_original : {512, 0}) {
    model.n_context_original = n_original;
    LlamaModelOptions options;
    options.n_context = 512;
    options.max_pass_nodes = 64;
    const auto loaded = load_tiny(model, options);
    EXPECT_LE(loaded->limits().n_context, 512U);
    random.seed(9);
    const auto text = random_text(random, 40, loaded->limits().n_vocab);
    rows.push_back(decode_plainly(*loaded, loaded->open(), text, kPrompt).back());
  }
  EXPECT_TRUE(same_bits(rows[0], rows[1])) << "the short factors are all 1 in these models";
}

}  // namespace
}  // namespace gumbelspec::testing
