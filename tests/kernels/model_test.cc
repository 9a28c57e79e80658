// Whole passes of the demo model: a token's logits are the same bits however it is decoded.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "gumbelspec/kernels.h"
#include "llama.h"
#include "src/llama/backends.h"

namespace gumbelspec::kernels {
namespace {

struct ModelDeleter {
  void operator()(llama_model* m) const { llama_model_free(m); }
};
struct ContextDeleter {
  void operator()(llama_context* c) const { llama_free(c); }
};
using Model = std::unique_ptr<llama_model, ModelDeleter>;
using Context = std::unique_ptr<llama_context, ContextDeleter>;
using Row = std::vector<float>;

Model load_model(bool use_mmap = true) {
  gumbelspec::internal::prepare_backends();
  llama_model_params p = llama_model_default_params();
  p.use_extra_bufts = false;
  p.load_mode = use_mmap ? LLAMA_LOAD_MODE_MMAP : LLAMA_LOAD_MODE_NONE;
  return Model(llama_model_load_from_file(GUMBELSPEC_MODELS_DIR "/demo-target-q8_0.gguf", p));
}

Context make_context(llama_model* model, int n_threads, uint32_t n_ctx = 768) {
  llama_context_params p = llama_context_default_params();
  p.n_ctx = n_ctx;
  p.n_batch = p.n_ubatch = 512;
  p.n_seq_max = 16;
  p.kv_unified = true;
  p.n_threads = p.n_threads_batch = n_threads;
  p.flash_attn_type = LLAMA_FLASH_ATTN_TYPE_ENABLED;
  return Context(llama_init_from_model(model, p));
}

struct Node {
  llama_token token;
  llama_pos pos;
  std::vector<llama_seq_id> seqs;
};

void decode(llama_context* ctx, const std::vector<Node>& nodes) {
  llama_batch batch = llama_batch_init(static_cast<int32_t>(nodes.size()), 0, 16);
  for (const Node& node : nodes) {
    const int i = batch.n_tokens++;
    batch.token[i] = node.token;
    batch.pos[i] = node.pos;
    batch.n_seq_id[i] = static_cast<int32_t>(node.seqs.size());
    std::copy(node.seqs.begin(), node.seqs.end(), batch.seq_id[i]);
    batch.logits[i] = 1;
  }
  const int result = llama_decode(ctx, batch);
  llama_batch_free(batch);
  ASSERT_EQ(result, 0);
}

Row row_at(llama_context* ctx, int i) {
  const int n = llama_vocab_n_tokens(llama_model_get_vocab(llama_get_model(ctx)));
  const float* logits = llama_get_logits_ith(ctx, i);
  return Row(logits, logits + n);
}

bool same_bits(const Row& a, const Row& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::vector<llama_token> some_text(int n) {
  std::mt19937 rng(7);
  std::vector<llama_token> text;
  for (int i = 0; i < n; ++i) text.push_back(static_cast<llama_token>(300 + rng() % 3700));
  return text;
}

// The reference: every token decoded by itself.
std::vector<Row> one_by_one(llama_context* ctx, const std::vector<llama_token>& text) {
  std::vector<Row> rows;
  for (size_t t = 0; t < text.size(); ++t) {
    decode(ctx, {{text[t], static_cast<llama_pos>(t), {0}}});
    rows.push_back(row_at(ctx, 0));
  }
  return rows;
}

class WholeModel : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    llama_log_set([](ggml_log_level, const char*, void*) {}, nullptr);
    if (register_device() != Registration::registered) return;
    model_ = load_model().release();
  }
  static void TearDownTestSuite() {
    llama_model_free(model_);
    model_ = nullptr;
    unregister_device();
  }
  void SetUp() override {
    if (!model_) GTEST_SKIP() << "no kernels for this processor";
  }
  static llama_model* model_;
};
llama_model* WholeModel::model_ = nullptr;

TEST_F(WholeModel, GivesAChainTheLogitsOfSingleTokens) {
  const auto text = some_text(400);
  const Context alone = make_context(model_, 2), chain = make_context(model_, 2);
  const auto rows = one_by_one(alone.get(), text);
  std::mt19937 rng(1);
  for (size_t t = 0; t < text.size();) {
    const size_t n = std::min<size_t>(1 + rng() % 40, text.size() - t);
    std::vector<Node> nodes;
    for (size_t i = 0; i < n; ++i) {
      nodes.push_back({text[t + i], static_cast<llama_pos>(t + i), {0}});
    }
    decode(chain.get(), nodes);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_TRUE(same_bits(row_at(chain.get(), static_cast<int>(i)), rows[t + i]))
          << "token " << t + i << " in a pass of " << n;
    }
    t += n;
  }
}

TEST_F(WholeModel, DoesNotDependOnThreadsOrContextSize) {
  const auto text = some_text(60);
  const auto rows = one_by_one(make_context(model_, 2).get(), text);
  for (int threads = 1; threads <= 8; ++threads) {
    const auto others =
        one_by_one(make_context(model_, threads, threads % 2 ? 512 : 1024).get(), text);
    for (size_t t = 0; t < text.size(); ++t) {
      ASSERT_TRUE(same_bits(rows[t], others[t])) << "threads " << threads << " token " << t;
    }
  }
}

// A random tree: the true continuation is one of its paths, wrong branches leave it, and the batch
// mixes them.
struct Tree {
  std::vector<Node> nodes;
  std::vector<int> true_path;  // batch indices, root first
  int n_leaves = 0;
};

Tree random_tree(const std::vector<llama_token>& text, size_t t, std::mt19937& rng) {
  Tree tree;
  const size_t depth = std::min<size_t>(rng() % 7, text.size() - 1 - t);
  const int n_wrong = static_cast<int>(rng() % 5);
  tree.n_leaves = 1 + n_wrong;
  // Leaf 1 is the true path; leaf l > 1 leaves it after branch[l] nodes.
  std::vector<size_t> branch(static_cast<size_t>(tree.n_leaves) + 1);
  for (int l = 2; l <= tree.n_leaves; ++l) branch[static_cast<size_t>(l)] = rng() % (depth + 1);
  for (size_t d = 0; d <= depth; ++d) {
    // Some wrong nodes lie in front of the true one in the batch.
    for (int pass = 0; pass < 2; ++pass) {
      for (int l = 2; l <= tree.n_leaves; ++l) {
        if (d > branch[static_cast<size_t>(l)] && (l % 2 == 0) == (pass == 0)) {
          const auto token = static_cast<llama_token>(300 + rng() % 3700);
          tree.nodes.push_back({token, static_cast<llama_pos>(t + d), {l}});
        }
      }
      if (pass == 1) break;
      Node node{text[t + d], static_cast<llama_pos>(t + d), {1}};
      for (int l = 2; l <= tree.n_leaves; ++l) {
        if (d <= branch[static_cast<size_t>(l)]) node.seqs.push_back(l);
      }
      tree.true_path.push_back(static_cast<int>(tree.nodes.size()));
      tree.nodes.push_back(node);
    }
  }
  return tree;
}

// Decodes the text in rounds of random trees. Returns how many rows of the true path differ from
// the reference rows, and out of how many.
struct Count {
  int different = 0, rows = 0;
};

Count decode_in_trees(llama_context* ctx, const std::vector<llama_token>& text,
                      const std::vector<Row>& rows, unsigned seed) {
  std::mt19937 rng(seed);
  llama_memory_t memory = llama_get_memory(ctx);
  std::vector<Node> prompt;
  for (int i = 0; i < 20; ++i) prompt.push_back({text[static_cast<size_t>(i)], i, {0}});
  decode(ctx, prompt);
  Count count;
  for (size_t t = 20; t + 1 < text.size();) {
    const Tree tree = random_tree(text, t, rng);
    for (int l = 1; l <= tree.n_leaves; ++l) llama_memory_seq_cp(memory, 0, l, -1, -1);
    decode(ctx, tree.nodes);
    for (size_t d = 0; d < tree.true_path.size(); ++d, ++count.rows) {
      count.different += !same_bits(row_at(ctx, tree.true_path[d]), rows[t + d]);
    }
    const auto kept = static_cast<llama_pos>(t + 1 + rng() % tree.true_path.size());
    llama_memory_seq_cp(memory, 1, 0, static_cast<llama_pos>(t), kept);
    for (int l = 1; l <= tree.n_leaves; ++l) llama_memory_seq_rm(memory, l, -1, -1);
    t = static_cast<size_t>(kept);
  }
  return count;
}

TEST_F(WholeModel, GivesATreeTheLogitsOfSingleTokens) {
  const auto text = some_text(420);
  const auto rows = one_by_one(make_context(model_, 2).get(), text);
  for (unsigned seed = 0; seed < 3; ++seed) {
    const Context ctx = make_context(model_, 1 + static_cast<int>(seed));
    const Count count = decode_in_trees(ctx.get(), text, rows, seed);
    EXPECT_EQ(count.different, 0) << "seed " << seed;
    EXPECT_GT(count.rows, 400);
  }
}

// The negative control: attention that adds up in the order of the cells is found out.
TEST_F(WholeModel, TreesFindAttentionThatDependsOnTheCells) {
  Options options;
  options.attention = false;
  ASSERT_EQ(register_device(options), Registration::registered);
  const auto text = some_text(200);
  const auto rows = one_by_one(make_context(model_, 2).get(), text);
  const Context ctx = make_context(model_, 2);
  const Count count = decode_in_trees(ctx.get(), text, rows, 0);
  ASSERT_EQ(register_device(), Registration::registered);
  EXPECT_GT(count.different, 20);
}

TEST_F(WholeModel, AgreesWithGgmlOnTheNumbers) {
  const auto text = some_text(64);
  const auto rows = one_by_one(make_context(model_, 2).get(), text);
  unregister_device();
  const Model plain = load_model();
  const auto others = one_by_one(make_context(plain.get(), 2).get(), text);
  ASSERT_EQ(register_device(), Registration::registered);
  double worst = 0.0;
  for (size_t t = 0; t < text.size(); ++t) {
    for (size_t v = 0; v < rows[t].size(); ++v) {
      worst = std::max(worst, static_cast<double>(std::abs(rows[t][v] - others[t][v])));
    }
  }
  EXPECT_LT(worst, 0.5);   // int8 activations: ggml differs from itself by 0.2 (docs/kernels.md)
  EXPECT_GT(worst, 1e-6);  // were the kernels in use at all?
}

TEST_F(WholeModel, LoadsTheSameWithoutMmap) {
  const auto text = some_text(30);
  const Model copied = load_model(false);
  const auto a = one_by_one(make_context(model_, 2).get(), text);
  const auto b = one_by_one(make_context(copied.get(), 2).get(), text);
  for (size_t t = 0; t < text.size(); ++t) ASSERT_TRUE(same_bits(a[t], b[t]));
}

}  // namespace
}  // namespace gumbelspec::kernels
