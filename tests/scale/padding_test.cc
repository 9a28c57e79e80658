// A padded vocabulary: rows of real length, the same texts.
#include "apps/scale/padding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "apps/scale/scale_model.h"
#include "gumbelspec/gumbelspec.h"
#include "tests/cli/process.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

using scale::ModelShape;
using scale::ScaleOptions;
using ::testing::HasSubstr;

constexpr const char* kPrompt = "The old house stood on the hill, and";
constexpr std::size_t kReal = 4096;
constexpr int kPadded = 20'000;

// Scales `in` to `out`, with `vocab` tokens (0: as they are), to the shape of the padded model.
void write_scaled(const std::string& in, const std::string& out, int vocab,
                  const std::string& type = "q8_0") {
  ScaleOptions o;
  o.in = in;
  o.out = out;
  o.type = type;
  o.vocab = vocab;
  o.shape.embd =
      scale::plan_padding(scale::Source(in), scale::type_named(type), kPadded).least_embd();
  (void)scale::scale_model(o);
}

// One row after each token of a text.
std::vector<Logits> rows_of(LlamaModel& model, std::span<const TokenId> text) {
  const SeqId seq = model.open();
  std::vector<Logits> rows;
  for (const TokenId token : text) {
    const PassNode node{seq, kCommitted, token, true};
    EXPECT_EQ(model.evaluate(std::span(&node, 1)), PassOutcome::ok);
    rows.emplace_back(model.row(0).begin(), model.row(0).end());
    const PendingId path = pending_id(0);
    model.commit(seq, std::span(&path, 1));
  }
  model.close(seq);
  return rows;
}

struct Text {
  std::vector<TokenId> tokens;
  double tokens_per_pass = 0.0;
};

// draft null: plain.
Text text_of(LlamaModel& target, LlamaModel* draft, std::uint64_t seed, std::size_t n) {
  TextOptions options;
  options.method = parse_method(draft == nullptr ? "ar" : "gumbel-tree:nodes=12,length=5");
  options.max_tokens = n;
  const auto costs = std::make_shared<CostModel>(
      CostModel{PassCost({{1, 10e-3}, {16, 12e-3}}, false), PassCost({{1, 1e-3}}, false)});
  Session session(target, draft, options, {.costs = costs});
  Outcome outcome = session.start(target.tokenize(kPrompt), seed);
  while (outcome == Outcome::running) outcome = session.step();
  Text text;
  for (const GeneratedToken& t : session.generated()) text.tokens.push_back(t.token);
  text.tokens_per_pass = session.statistics().tokens_per_pass();
  return text;
}

struct Pair {
  std::unique_ptr<LlamaModel> plain;
  std::unique_ptr<LlamaModel> padded;
};

Pair make_pair(const TemporaryFolder& folder, const std::string& name) {
  const std::string plain = folder.file(name + "-plain.gguf");
  const std::string padded = folder.file(name + "-padded.gguf");
  write_scaled(model_path(name), plain, 0);
  write_scaled(model_path(name), padded, kPadded);
  return {LlamaModel::load({.path = plain, .n_threads = 1}),
          LlamaModel::load({.path = padded, .n_threads = 1})};
}

double likeliest(std::span<const float> row) { return *std::max_element(row.begin(), row.end()); }

// On every type of matrix; a K type's blocks hold 256 dimensions. The demo models' embedding is
// their output matrix, too.
class PaddedIn : public ::testing::TestWithParam<const char*> {};

TEST_P(PaddedIn, RealTokensKeepTheirLogitsAndAddedOnesAreFarBelow) {
  const TemporaryFolder folder;
  const std::string in = model_path("demo-draft-q8_0.gguf");
  const bool is_k = std::string(GetParam()).find("_K") != std::string::npos;
  ScaleOptions o;
  o.in = in;
  o.type = GetParam();
  o.shape = is_k ? ModelShape{2, 512, 512, 4, 2} : ModelShape{2, 416, 352, 2, 2};
  o.out = folder.file("plain.gguf");
  (void)scale::scale_model(o);
  ScaleOptions padded = o;
  padded.out = folder.file("padded.gguf");
  padded.vocab = kPadded;
  EXPECT_EQ(scale::scale_model(padded).n_vocab, kPadded);

  const auto plain_model = LlamaModel::load({.path = o.out, .n_threads = 1});
  const auto padded_model = LlamaModel::load({.path = padded.out, .n_threads = 1});
  EXPECT_EQ(padded_model->limits().n_vocab, static_cast<std::size_t>(kPadded));
  const std::vector<TokenId> text = text_of(*plain_model, nullptr, 3, 64).tokens;
  const std::vector<Logits> expected = rows_of(*plain_model, text);
  const std::vector<Logits> got = rows_of(*padded_model, text);
  double largest = 0.0;
  for (std::size_t i = 0; i < expected.size(); ++i) {
    for (std::size_t v = 0; v < kReal; ++v) {
      largest = std::max(largest, static_cast<double>(std::abs(got[i][v] - expected[i][v])));
    }
    const auto added = std::span(got[i]).subspan(kReal);
    EXPECT_LT(likeliest(added), likeliest(got[i]) - 0.8 * scale::kPaddedGapNats) << i;
    EXPECT_GT(*std::min_element(added.begin(), added.end()),
              likeliest(got[i]) - 3.5 * scale::kPaddedGapNats)
        << i;
    // A row of equal values would be no row of a model.
    EXPECT_GT(likeliest(added) - *std::min_element(added.begin(), added.end()), 5.0) << i;
  }
  // F16 products round to F16 in between.
  EXPECT_LT(largest, o.type == "f16" ? 0.02 : 0.001);
  RecordProperty("largest_difference", std::to_string(largest));
}

INSTANTIATE_TEST_SUITE_P(Types, PaddedIn,
                         ::testing::Values("q8_0", "q4_0", "q4_K", "q6_K", "f16", "bf16", "f32"));

TEST(Padded, SeedsKeepTheirTextsAndDraftsTheirAcceptance) {
  const TemporaryFolder folder;
  const Pair target = make_pair(folder, "demo-target-q8_0.gguf");
  const Pair draft = make_pair(folder, "demo-draft-q8_0.gguf");
  LlamaModel::require_same_vocabulary(*target.padded, *draft.padded);
  double plain_tokens = 0.0, padded_tokens = 0.0;
  int n_same = 0;
  constexpr int kSeeds = 6;
  for (int seed = 0; seed < kSeeds; ++seed) {
    const auto s = static_cast<std::uint64_t>(seed);
    const Text expected = text_of(*target.plain, draft.plain.get(), s, 64);
    const Text got = text_of(*target.padded, draft.padded.get(), s, 64);
    n_same += expected.tokens == got.tokens ? 1 : 0;
    EXPECT_TRUE(
        std::equal(expected.tokens.begin(), expected.tokens.begin() + 16, got.tokens.begin()))
        << seed;
    EXPECT_EQ(text_of(*target.padded, nullptr, s, 64).tokens, got.tokens) << seed;
    for (const TokenId token : got.tokens) EXPECT_LT(index(token), kReal);
    plain_tokens += expected.tokens_per_pass;
    padded_tokens += got.tokens_per_pass;
  }
  // A near tie may fall otherwise, as between any two sizes.
  EXPECT_GE(n_same, kSeeds - 1);
  EXPECT_NEAR(padded_tokens / plain_tokens, 1.0, 0.05);
  EXPECT_GT(plain_tokens / kSeeds, 1.5);
}

TEST(Padded, TheTokenizerReadsAndWritesTheSame) {
  const TemporaryFolder folder;
  const Pair pair = make_pair(folder, "demo-draft-weak-q8_0.gguf");
  const std::string private_use = "\xEE\x80\x80";
  for (const std::string& text :
       {std::string(kPrompt), std::string("4096 5000\n\t\xC3\xA9\xE4\xB8\xAD"),
        private_use + "5000" + private_use, private_use + "4096" + private_use}) {
    for (const bool reads_control : {false, true}) {
      const auto tokens = pair.padded->tokenize(text, {.reads_control = reads_control});
      EXPECT_EQ(tokens, pair.plain->tokenize(text, {.reads_control = reads_control})) << text;
      std::string back, expected;
      for (const TokenId token : tokens) {
        EXPECT_LT(index(token), kReal);
        back += pair.padded->piece(token);
        expected += pair.plain->piece(token);
      }
      EXPECT_EQ(back, expected);
    }
  }
  EXPECT_EQ(pair.padded->piece(token_id(kReal)), "");
  EXPECT_EQ(pair.padded->eos_text(), pair.plain->eos_text());
  EXPECT_EQ(pair.padded->metadata("gumbelspec.padded_from"), "4096");
  EXPECT_EQ(pair.plain->metadata("gumbelspec.padded_from"), "");
}

TEST(Padded, AnOutputMatrixOfItsOwnIsPaddedToo) {
  const TemporaryFolder folder;
  const std::string in = folder.file("tiny.gguf");
  write_tiny_model({}, in);
  ASSERT_FALSE(scale::Source(in).is_tied());
  write_scaled(in, folder.file("plain.gguf"), 0);
  write_scaled(in, folder.file("padded.gguf"), kPadded);
  const auto plain = LlamaModel::load({.path = folder.file("plain.gguf"), .n_threads = 1});
  const auto padded = LlamaModel::load({.path = folder.file("padded.gguf"), .n_threads = 1});
  const std::vector<TokenId> text = text_of(*plain, nullptr, 3, 32).tokens;
  EXPECT_EQ(text_of(*padded, nullptr, 3, 32).tokens, text);
  const std::vector<Logits> expected = rows_of(*plain, text);
  const std::vector<Logits> got = rows_of(*padded, text);
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const std::size_t n_real = expected[i].size();
    for (std::size_t v = 0; v < n_real; ++v) EXPECT_NEAR(got[i][v], expected[i][v], 0.01);
    EXPECT_LT(likeliest(std::span(got[i]).subspan(n_real)),
              likeliest(got[i]) - 0.8 * scale::kPaddedGapNats);
  }
}

TEST(Padded, IsRefusedWhereItCannotBe) {
  const TemporaryFolder folder;
  const auto refusal = [&](const ScaleOptions& o) {
    try {
      (void)scale::scale_model(o);
    } catch (const std::runtime_error& error) {
      return std::string(error.what());
    }
    return std::string("not refused");
  };
  ScaleOptions o;
  o.in = model_path("demo-draft-weak-q8_0.gguf");
  o.out = folder.file("out.gguf");
  o.vocab = 4096;
  EXPECT_THAT(refusal(o), HasSubstr("4096 tokens; give more"));
  o.vocab = 5000;
  o.shape.embd = 64;  // the model's own
  EXPECT_THAT(refusal(o), HasSubstr("give at least 96"));
  o.shape.embd = 0;
  EXPECT_EQ(scale::scale_model(o).shape.embd, 96);
  ScaleOptions again = o;
  again.in = o.out;
  again.out = folder.file("again.gguf");
  again.vocab = 6000;
  EXPECT_THAT(refusal(again), HasSubstr("padded already"));
  // Scaling a padded model keeps its function.
  again.vocab = 0;
  again.shape = {2, 160, 0, 0, 0};
  EXPECT_EQ(scale::scale_model(again).n_vocab, 5000);
  const auto small = LlamaModel::load({.path = o.out, .n_threads = 1});
  const auto large = LlamaModel::load({.path = again.out, .n_threads = 1});
  EXPECT_EQ(text_of(*small, nullptr, 1, 16).tokens, text_of(*large, nullptr, 1, 16).tokens);
}

}  // namespace
}  // namespace gumbelspec::testing
