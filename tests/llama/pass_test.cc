// Passes over trees give what plain decoding gives, bit for bit.
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

struct Demo {
  std::unique_ptr<LlamaModel> model;
  SeqId seq{};
  std::vector<TokenId> text;
  std::vector<Logits> oracle;

  explicit Demo(std::size_t n_text, Attention attention = Attention::exact,
                const std::string& name = "demo-draft-q8_0.gguf", int n_threads = 1) {
    LlamaModelOptions options;
    options.n_threads = n_threads;
    options.path = std::string(GUMBELSPEC_MODELS_DIR) + "/" + name;
    options.attention = attention;
    model = LlamaModel::load(options);
    std::mt19937 random(11);
    text = random_text(random, n_text, model->limits().n_vocab);
    seq = model->open();
    oracle = decode_plainly(*model, seq, text, kPrompt);
    model->close(seq);
    seq = model->open();
  }
  Comparison compare(std::size_t max_tree, std::size_t nodes_per_pass, unsigned seed) {
    const Comparison comparison =
        compare_trees(*model, seq, text, kPrompt, oracle, max_tree, nodes_per_pass, seed);
    model->truncate(seq, 0);
    return comparison;
  }
  PassOutcome evaluate(std::vector<PassNode> nodes) { return model->evaluate(nodes); }
  [[nodiscard]] bool is_oracle(std::size_t row, std::size_t position) const {
    return same_bits(model->row(row), oracle[position - kPrompt]);
  }

  static constexpr std::size_t kPrompt = 20;
};

TEST(Pass, TreesGiveTheBitsOfPlainDecoding) {
  Demo demo(300);
  const Comparison trees = demo.compare(40, 256, 1);
  EXPECT_GE(trees.n_rows, 280U);
  EXPECT_EQ(trees.n_different, 0U);
}

TEST(Pass, TreesGiveTheBitsOfPlainDecodingWithTwoThreads) {
  Demo demo(120, Attention::exact, "demo-target-q8_0.gguf", 2);
  EXPECT_EQ(demo.compare(40, 256, 1).n_different, 0U);
}

TEST(Pass, LevelByLevelGivesTheBitsOfPlainDecoding) {
  Demo demo(300);
  for (const std::size_t nodes_per_pass : {1U, 4U, 9U}) {
    const Comparison levels = demo.compare(24, nodes_per_pass, 2);
    EXPECT_GE(levels.n_rows, 280U);
    EXPECT_EQ(levels.n_different, 0U) << nodes_per_pass;
  }
}

// ggml takes other paths from 512 cells and from 64 tokens on; both must be avoided.
TEST(Pass, LongTextsAndLargeTreesGiveTheBitsOfPlainDecoding) {
  Demo demo(640);
  EXPECT_EQ(demo.compare(20, 256, 3).n_different, 0U);
  EXPECT_EQ(demo.compare(120, 256, 4).n_different, 0U);
}

// The comparison would see a difference: llama.cpp's default settings give one.
TEST(Pass, FastAttentionDiffersFromPlainDecoding) {
  Demo demo(300, Attention::fast);
  const Comparison trees = demo.compare(40, 256, 1);
  EXPECT_GT(trees.n_different, trees.n_rows / 2);
  EXPECT_LT(trees.max_difference, 1.0) << "but the same text was read";
}

TEST(Pass, AWrongParentGivesAnotherRow) {
  Demo demo(40);
  ASSERT_EQ(demo.model->extend(demo.seq, std::span(demo.text).first(20)), PassOutcome::ok);
  const auto node = [&](PendingId parent, std::size_t position) {
    return PassNode{demo.seq, parent, demo.text[position], true};
  };
  ASSERT_EQ(demo.evaluate({node(kCommitted, 20), node(pending_id(0), 21), node(kCommitted, 21),
                           node(pending_id(1), 22), node(pending_id(2), 22)}),
            PassOutcome::ok);
  EXPECT_TRUE(demo.is_oracle(0, 20));
  EXPECT_TRUE(demo.is_oracle(1, 21));
  EXPECT_FALSE(demo.is_oracle(2, 21));
  EXPECT_TRUE(demo.is_oracle(3, 22));
  EXPECT_FALSE(demo.is_oracle(4, 22));
}

TEST(Pass, ABranchCanGrowFromAnyOldNode) {
  Demo demo(60);
  ASSERT_EQ(demo.model->extend(demo.seq, std::span(demo.text).first(20)), PassOutcome::ok);
  const auto on = [&](PendingId parent, std::size_t position) {
    return PassNode{demo.seq, parent, demo.text[position], true};
  };
  const auto off = [&](PendingId parent) {
    return PassNode{demo.seq, parent, token_id(4000), true};
  };
  // 0: text; 1, 2: beside it; 3: below 1; then the text goes on from 0, twice.
  ASSERT_EQ(demo.evaluate({on(kCommitted, 20), off(kCommitted)}), PassOutcome::ok);
  ASSERT_EQ(demo.evaluate({off(pending_id(0)), off(pending_id(1)), off(pending_id(3))}),
            PassOutcome::ok);
  ASSERT_EQ(demo.evaluate({on(pending_id(0), 21), off(pending_id(2)), on(pending_id(5), 22)}),
            PassOutcome::ok);
  EXPECT_TRUE(demo.is_oracle(0, 21));
  EXPECT_TRUE(demo.is_oracle(2, 22));
  ASSERT_EQ(demo.evaluate({off(pending_id(5)), on(pending_id(0), 21), on(pending_id(7), 23)}),
            PassOutcome::ok);
  EXPECT_TRUE(demo.is_oracle(1, 21)) << "a second copy of the same branch";
  EXPECT_TRUE(demo.is_oracle(2, 23));
  const std::vector<PendingId> path = {pending_id(0), pending_id(5), pending_id(7)};
  demo.model->commit(demo.seq, path);
  ASSERT_EQ(demo.evaluate({on(kCommitted, 23)}), PassOutcome::ok);
  EXPECT_TRUE(demo.is_oracle(0, 23));
}

TEST(Pass, AnyPathCanBeCommittedAndGoesOn) {
  Demo demo(60);
  for (std::size_t length = 0; length <= 6; ++length) {
    std::mt19937 random(static_cast<unsigned>(length));
    ASSERT_EQ(demo.model->extend(demo.seq, std::span(demo.text).first(20)), PassOutcome::ok);
    const RandomTree tree = random_tree(random, demo.seq, std::span(demo.text).subspan(20, 12), 30);
    ASSERT_EQ(demo.model->evaluate(tree.nodes), PassOutcome::ok);
    const auto path = path_along(tree, length);
    demo.model->commit(demo.seq, path);
    const std::size_t n = 20 + path.size();
    EXPECT_EQ(demo.model->n_committed(demo.seq), n);
    ASSERT_EQ(demo.evaluate({{demo.seq, kCommitted, demo.text[n], true}}), PassOutcome::ok);
    EXPECT_TRUE(demo.is_oracle(0, n)) << length;
    demo.model->truncate(demo.seq, 0);
  }
}

TEST(Pass, RowsAreOnlyThereWhereWanted) {
  Demo demo(30);
  ASSERT_EQ(demo.model->extend(demo.seq, std::span(demo.text).first(20)), PassOutcome::ok);
  EXPECT_THROW((void)demo.model->row(0), std::logic_error);
  ASSERT_EQ(demo.evaluate({{demo.seq, kCommitted, demo.text[20], false},
                           {demo.seq, pending_id(0), token_id(4000), false},
                           {demo.seq, pending_id(0), demo.text[21], true}}),
            PassOutcome::ok);
  EXPECT_TRUE(demo.is_oracle(2, 21));
  EXPECT_THROW((void)demo.model->row(0), std::logic_error);
  EXPECT_THROW((void)demo.model->row(3), std::logic_error);
}

TEST(Pass, BrokenContractsThrow) {
  Demo demo(30);
  ASSERT_EQ(demo.model->extend(demo.seq, std::span(demo.text).first(20)), PassOutcome::ok);
  const TokenId token = demo.text[20];
  EXPECT_THROW((void)demo.evaluate({{demo.seq, pending_id(0), token, true}}), std::logic_error);
  EXPECT_THROW((void)demo.evaluate({{SeqId{5}, kCommitted, token, true}}), std::logic_error);
  EXPECT_THROW(
      (void)demo.evaluate(std::vector<PassNode>(257, {demo.seq, kCommitted, token, false})),
      std::logic_error);
  ASSERT_EQ(
      demo.evaluate({{demo.seq, kCommitted, token, true}, {demo.seq, kCommitted, token, true}}),
      PassOutcome::ok);
  const std::vector<PendingId> no_path = {pending_id(0), pending_id(1)};
  EXPECT_THROW(demo.model->commit(demo.seq, no_path), std::logic_error);
  EXPECT_THROW((void)demo.model->extend(demo.seq, std::span(demo.text).first(1)), std::logic_error);
  EXPECT_THROW(demo.model->truncate(demo.seq, 21), std::logic_error);
  EXPECT_TRUE(demo.is_oracle(0, 20)) << "nothing was lost";
}

TEST(Pass, TakesAsManyLeavesAsItSays) {
  Demo demo(30);
  const std::size_t n = demo.model->limits().max_leaves;
  ASSERT_EQ(demo.model->extend(demo.seq, std::span(demo.text).first(20)), PassOutcome::ok);
  std::vector<PassNode> nodes(n, {demo.seq, kCommitted, demo.text[20], true});
  ASSERT_EQ(demo.model->evaluate(nodes), PassOutcome::ok);
  EXPECT_TRUE(demo.is_oracle(0, 20));
  EXPECT_TRUE(demo.is_oracle(n - 1, 20));
  EXPECT_THROW((void)demo.evaluate({nodes[0]}), std::logic_error);
  const PassNode below{demo.seq, pending_id(n - 1), demo.text[21], true};
  ASSERT_EQ(demo.evaluate({below}), PassOutcome::ok) << "no further leaf";
  EXPECT_TRUE(demo.is_oracle(0, 21));
  demo.model->commit(demo.seq, {});
  ASSERT_EQ(demo.evaluate({nodes[0]}), PassOutcome::ok);
  EXPECT_TRUE(demo.is_oracle(0, 20));
}

TEST(Pass, SaysWhenTheContextIsFull) {
  LlamaModelOptions options;
  options.path = std::string(GUMBELSPEC_MODELS_DIR) + "/demo-draft-q8_0.gguf";
  options.n_context = 24;
  const auto model = LlamaModel::load(options);
  const SeqId seq = model->open();
  std::mt19937 random(1);
  const auto text = random_text(random, 25, 4096);
  EXPECT_EQ(model->extend(seq, text), PassOutcome::no_space);
  EXPECT_EQ(model->n_committed(seq), 0U);
  ASSERT_EQ(model->extend(seq, std::span(text).first(23)), PassOutcome::ok);
  const std::vector<PassNode> nodes = {{seq, kCommitted, text[23], true},
                                       {seq, pending_id(0), text[24], true}};
  EXPECT_EQ(model->evaluate(nodes), PassOutcome::no_space);
  EXPECT_EQ(model->evaluate(std::span(nodes).first(1)), PassOutcome::ok);
}

TEST(Pass, ACancelledPassLeavesWhatWasPending) {
  std::atomic<int> n_asked{0};
  std::atomic<int> stop_at{1 << 30};
  LlamaModelOptions options;
  options.path = std::string(GUMBELSPEC_MODELS_DIR) + "/demo-target-q8_0.gguf";
  options.n_threads = 1;
  options.is_cancelled = [&] { return ++n_asked > stop_at; };
  const auto model = LlamaModel::load(options);
  Demo demo(60, Attention::exact, "demo-target-q8_0.gguf");
  const SeqId seq = model->open();
  stop_at = 0;
  EXPECT_EQ(model->extend(seq, std::span(demo.text).first(20)), PassOutcome::cancelled);
  EXPECT_EQ(model->n_committed(seq), 0U);
  // Stop after more and more questions, until a pass gets through.
  for (int patience = 0;; patience += 7) {
    stop_at = 1 << 30;
    model->truncate(seq, 0);
    ASSERT_EQ(model->extend(seq, std::span(demo.text).first(20)), PassOutcome::ok);
    const std::vector<PassNode> first = {{seq, kCommitted, demo.text[20], true},
                                         {seq, kCommitted, token_id(9), true}};
    ASSERT_EQ(model->evaluate(first), PassOutcome::ok);
    std::mt19937 random(3);
    RandomTree tree = random_tree(random, seq, std::span(demo.text).subspan(21, 9), 30);
    for (PassNode& node : tree.nodes) {
      node.parent = node.parent == kCommitted ? pending_id(0) : pending_id(index(node.parent) + 2);
    }
    n_asked = 0;
    stop_at = patience;
    const PassOutcome outcome = model->evaluate(tree.nodes);
    stop_at = 1 << 30;
    if (outcome == PassOutcome::ok) break;
    ASSERT_EQ(outcome, PassOutcome::cancelled);
    ASSERT_EQ(model->evaluate(tree.nodes), PassOutcome::ok) << "again, uninterrupted";
    for (std::size_t i = 0; i < tree.nodes.size(); ++i) {
      if (tree.depth[i] < 0) continue;
      const auto position = 21 + static_cast<std::size_t>(tree.depth[i]);
      EXPECT_TRUE(same_bits(model->row(i), demo.oracle[position - Demo::kPrompt])) << patience;
    }
    ASSERT_LT(patience, 100000);
  }
}

}  // namespace
}  // namespace gumbelspec::testing
