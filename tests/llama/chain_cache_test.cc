// Models with recurrent layers and no snapshots in llama.cpp: chains that are dropped again by
// taking a copy of the state back. The oracle is plain decoding, one token per pass, in the same
// process. Snapshots: the zoo, which has the architectures that have them.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

constexpr std::size_t kPrompt = 10;

class Recurrent : public ::testing::TestWithParam<const char*> {
 protected:
  // One sequence with the attention's cells in order: bits, whatever computes the attention.
  static std::unique_ptr<LlamaModel> load(std::size_t n_sequences,
                                          std::size_t max_pass_nodes = 256) {
    TinyModel tiny;
    tiny.architecture = GetParam();
    tiny.weights = GGML_TYPE_Q8_0;
    LlamaModelOptions options;
    options.n_sequences = n_sequences;
    options.max_pass_nodes = max_pass_nodes;
    return load_tiny(tiny, options);
  }
};

// Feeds a text to a sequence in chains: tokens of the text, then others, of one pass or several.
class ChainReader {
 public:
  ChainReader(LanguageModel& model, SeqId seq, std::span<const TokenId> text,
              std::span<const Logits> oracle)
      : model_(model), seq_(seq), text_(text), oracle_(oracle) {}

  [[nodiscard]] bool is_done() const { return model_.n_committed(seq_) == text_.size(); }
  [[nodiscard]] SeqId seq() const { return seq_; }

  // Appends a chain: n_right tokens of the text and n_wrong others.
  void append(std::size_t n_right, std::size_t n_wrong, std::vector<PassNode>& pass) {
    const std::size_t begin = model_.n_committed(seq_);
    n_right_ = std::min(n_right, text_.size() - begin);
    first_row_ = pass.size();
    for (std::size_t i = 0; i < n_right_ + n_wrong; ++i) {
      const TokenId token =
          i < n_right_ ? text_[begin + i] : token_id(index(text_[begin + n_right_ - 1]) + 1);
      pass.push_back({seq_, i == 0 ? kCommitted : pending_id(i - 1), token, i < n_right_});
    }
  }
  // tolerance: 0: the same bits.
  void check(float tolerance = 0.0F) const {
    const std::size_t begin = model_.n_committed(seq_);
    for (std::size_t i = 0; i < n_right_; ++i) {
      const std::span<const float> row = model_.row(first_row_ + i);
      const Logits& expected = oracle_[begin + i - kPrompt];
      if (tolerance == 0.0F) {
        EXPECT_TRUE(same_bits(row, expected)) << "token " << begin + i;
        continue;
      }
      for (std::size_t v = 0; v < expected.size(); ++v) {
        ASSERT_NEAR(row[v], expected[v], tolerance) << "token " << begin + i;
      }
    }
  }
  void commit() {
    std::vector<PendingId> path;
    for (std::size_t i = 0; i < n_right_; ++i) path.push_back(pending_id(i));
    model_.commit(seq_, path);
  }

 private:
  LanguageModel& model_;
  SeqId seq_;
  std::span<const TokenId> text_;
  std::span<const Logits> oracle_;
  std::size_t n_right_ = 0;
  std::size_t first_row_ = 0;
};

struct Oracle {
  std::vector<TokenId> text;
  std::vector<Logits> rows;
};

Oracle oracle_of(LanguageModel& model, std::size_t n, unsigned seed) {
  std::mt19937 random(seed);
  Oracle oracle;
  oracle.text = random_text(random, n, model.limits().n_vocab);
  const SeqId seq = model.open();
  oracle.rows = decode_plainly(model, seq, oracle.text, kPrompt);
  model.close(seq);
  return oracle;
}

TEST_P(Recurrent, ChainsOfOneTextGiveTheBitsOfPlainDecoding) {
  const auto model = load(2);
  EXPECT_FALSE(model->limits().can_branch);
  EXPECT_FALSE(model->limits().can_drop);
  EXPECT_TRUE(model->limits().can_drop_passes);
  const Oracle oracle = oracle_of(*model, 400, 4);
  std::mt19937 random(7);
  for (int repetition = 0; repetition < 2; ++repetition) {
    const SeqId seq = model->open();
    ASSERT_EQ(model->extend(seq, std::span(oracle.text).first(kPrompt)), PassOutcome::ok);
    ChainReader reader(*model, seq, oracle.text, oracle.rows);
    while (!reader.is_done()) {
      std::vector<PassNode> pass;
      // Many rejections in a row: more is owed than is read along.
      reader.append(1 + random() % 4, repetition == 0 ? 1 + random() % 3 : random() % 2, pass);
      ASSERT_EQ(model->evaluate(pass), PassOutcome::ok);
      reader.check();
      reader.commit();
    }
    model->close(seq);
  }
}

// Texts of different lengths, with and without drafts, some of them plain, in one pass.
TEST_P(Recurrent, ChainsOfSeveralTextsGiveTheBitsOfPlainDecoding) {
  const auto model = load(4);
  // Without the kernels other texts' cells lie in the holes of what was dropped, and F32 products
  // depend on the pass: that changes roundings. A wrong state changes more.
  const float tolerance = model->guarantee().holds ? 0.0F : 0.02F;
  std::vector<Oracle> oracles;
  for (unsigned i = 0; i < 4; ++i) oracles.push_back(oracle_of(*model, 60 + 50 * i, 4 + i));
  std::vector<ChainReader> readers;
  for (const Oracle& oracle : oracles) {
    const SeqId seq = model->open();
    ASSERT_EQ(model->extend(seq, std::span(oracle.text).first(kPrompt)), PassOutcome::ok);
    readers.emplace_back(*model, seq, oracle.text, oracle.rows);
  }
  std::mt19937 random(8);
  while (!std::all_of(readers.begin(), readers.end(),
                      [](const ChainReader& r) { return r.is_done(); })) {
    std::vector<PassNode> pass;
    std::vector<ChainReader*> members;
    for (ChainReader& reader : readers) {
      if (reader.is_done() || random() % 5 == 0) continue;
      reader.append(1 + random() % 3, random() % 3, pass);
      members.push_back(&reader);
    }
    if (members.empty()) continue;
    ASSERT_EQ(model->evaluate(pass), PassOutcome::ok);
    for (const ChainReader* reader : members) reader->check(tolerance);
    for (ChainReader* reader : members) reader->commit();
  }
}

// As a draft does it: one level per pass, and then a part of them stays.
TEST_P(Recurrent, WhatSeveralPassesEvaluatedCanBeDropped) {
  const auto model = load(1);
  const Oracle oracle = oracle_of(*model, 120, 4);
  const SeqId seq = model->open();
  ASSERT_EQ(model->extend(seq, std::span(oracle.text).first(kPrompt)), PassOutcome::ok);
  std::mt19937 random(9);
  while (model->n_committed(seq) < oracle.text.size()) {
    const std::size_t begin = model->n_committed(seq);
    const std::size_t n_right = std::min<std::size_t>(1 + random() % 4, oracle.text.size() - begin);
    const std::size_t n_wrong = random() % 3;
    std::vector<PendingId> path;
    for (std::size_t i = 0; i < n_right + n_wrong; ++i) {
      const bool is_right = i < n_right;
      const PassNode node{seq, i == 0 ? kCommitted : pending_id(i - 1),
                          is_right ? oracle.text[begin + i] : TokenId{9}, true};
      ASSERT_EQ(model->evaluate({&node, 1}), PassOutcome::ok);
      if (!is_right) continue;
      EXPECT_TRUE(same_bits(model->row(0), oracle.rows[begin + i - kPrompt])) << begin + i;
      path.push_back(pending_id(i));
    }
    model->commit(seq, path);
  }
}

TEST_P(Recurrent, ATextCanGoBackToWhatWasRemembered) {
  const auto model = load(2);
  const Oracle oracle = oracle_of(*model, 90, 4);
  const SeqId other = model->open();
  ASSERT_EQ(model->extend(other, std::span(oracle.text).first(5)), PassOutcome::ok);
  const SeqId seq = model->open();
  const std::span<const TokenId> text = oracle.text;
  ASSERT_EQ(model->extend(seq, text.first(kPrompt)), PassOutcome::ok);
  model->remember(seq);
  ASSERT_EQ(model->extend(seq, text.subspan(kPrompt, 30)), PassOutcome::ok);
  model->remember(seq);
  std::vector<TokenId> elsewhere(25, TokenId{11});
  ASSERT_EQ(model->extend(seq, elsewhere), PassOutcome::ok);
  EXPECT_EQ(model->n_restorable(seq, 65), 65U);
  EXPECT_EQ(model->n_restorable(seq, 64), 40U);
  EXPECT_EQ(model->n_restorable(seq, 39), kPrompt);
  EXPECT_EQ(model->n_restorable(seq, kPrompt - 1), 0U);
  EXPECT_THROW(model->truncate(seq, 39), std::logic_error);
  for (const std::size_t n : {std::size_t{40}, kPrompt}) {
    model->truncate(seq, n);
    EXPECT_EQ(model->n_committed(seq), n);
    ChainReader reader(*model, seq, oracle.text, oracle.rows);
    while (!reader.is_done()) {
      std::vector<PassNode> pass;
      reader.append(3, 2, pass);
      ASSERT_EQ(model->evaluate(pass), PassOutcome::ok);
      reader.check();
      reader.commit();
    }
  }
}

TEST_P(Recurrent, RefusesWhatItCannotDo) {
  const auto model = load(2);
  const Oracle oracle = oracle_of(*model, 30, 4);
  const SeqId seq = model->open();
  ASSERT_EQ(model->extend(seq, std::span(oracle.text).first(kPrompt)), PassOutcome::ok);
  const PassNode node{seq, kCommitted, oracle.text[kPrompt], true};
  ASSERT_EQ(model->evaluate({&node, 1}), PassOutcome::ok);
  EXPECT_TRUE(same_bits(model->row(0), oracle.rows[0]));
  EXPECT_THROW((void)model->evaluate({&node, 1}), std::logic_error) << "a second branch";
  EXPECT_THROW(model->commit(seq, {}), std::logic_error) << "dropping the first one";
  EXPECT_THROW(model->truncate(seq, 3), std::logic_error);
  const PendingId path = pending_id(0);
  model->commit(seq, {&path, 1});
  EXPECT_THROW(model->truncate(seq, 3), std::logic_error);
  EXPECT_EQ(model->n_committed(seq), kPrompt + 1);
}

TEST_P(Recurrent, TellsWhatItsStatesTake) {
  const LlamaRollback one = load(1)->rollback();
  const LlamaRollback three = load(3)->rollback();
  EXPECT_EQ(one.n_snapshots, 0U);
  EXPECT_GT(one.state_bytes, 0U);
  EXPECT_LE(one.rollback_bytes - one.state_bytes, 1U);
  EXPECT_NEAR(static_cast<double>(three.state_bytes), 3.0 * static_cast<double>(one.state_bytes),
              0.25 * static_cast<double>(three.state_bytes));
}

INSTANTIATE_TEST_SUITE_P(All, Recurrent, ::testing::Values("mamba", "jamba"),
                         [](const auto& param) { return std::string(param.param); });

}  // namespace
}  // namespace gumbelspec::testing
