// TreeCache when rejected tokens fill the cache: it is rewritten, and no number changes.
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "src/llama/context_setup.h"
#include "src/llama/model_file.h"
#include "src/llama/tree_cache.h"
#include "tests/llama/llama_fixture.h"

namespace gumbelspec::testing {
namespace {

using internal::TreeCache;

// A cache with few spare cells, so that it is rewritten often.
class SmallCache {
 public:
  SmallCache(const std::string& path, std::size_t n_context, std::size_t n_spare)
      : SmallCache(path, LlamaModelOptions{.n_context = n_context, .max_pass_nodes = 32}, n_spare) {
  }
  // n_spare 0: as the library sizes it.
  SmallCache(const std::string& path, LlamaModelOptions options, std::size_t n_spare) {
    internal::ModelFileOptions file;
    file.path = path;
    file.use_mmap = false;
    model_ = internal::load_model_file(file, log_);
    options.n_threads = 1;
    setup_ = internal::make_context(model_.get(), options, {}, nullptr, nullptr, log_);
    if (n_spare > 0) setup_.cache.n_cells = options.n_context + n_spare;
    cache_ = std::make_unique<TreeCache>(setup_.context.get(), setup_.cache, log_, nullptr);
  }
  TreeCache& operator*() { return *cache_; }
  TreeCache* operator->() { return cache_.get(); }
  [[nodiscard]] std::size_t n_vocab() const { return setup_.limits.n_vocab; }

 private:
  internal::LogSink log_;
  internal::LlamaModelPtr model_;
  internal::ContextSetup setup_;
  std::unique_ptr<TreeCache> cache_;
};

std::vector<Logits> decode_plainly(TreeCache& cache, std::span<const TokenId> text,
                                   std::size_t n_prompt, std::size_t n_vocab) {
  const SeqId seq = cache.open();
  EXPECT_EQ(cache.extend(seq, text.first(n_prompt)), PassOutcome::ok);
  std::vector<Logits> rows;
  for (const TokenId token : text.subspan(n_prompt)) {
    const PassNode node{seq, kCommitted, token, true};
    EXPECT_EQ(cache.evaluate({&node, 1}), PassOutcome::ok);
    rows.emplace_back(cache.row(0), cache.row(0) + n_vocab);
    const PendingId first = pending_id(0);
    cache.commit(seq, {&first, 1});
  }
  cache.close(seq);
  return rows;
}

// Trees whose first path is wrong, so that the rejected tokens lie before the accepted ones and are
// parked; in between chains, so that the pass after a rewrite mostly has no branches.
void check_many_rounds(SmallCache& cache, std::size_t n_text) {
  constexpr std::size_t kPrompt = 50;
  std::mt19937 random(2);
  const auto text = random_text(random, n_text, cache.n_vocab());
  const auto oracle = decode_plainly(*cache, text, kPrompt, cache.n_vocab());
  const SeqId seq = cache->open();
  ASSERT_EQ(cache->extend(seq, std::span(text).first(kPrompt)), PassOutcome::ok);
  std::size_t n_different = 0;
  std::size_t n_rounds = 0;
  std::size_t n_sweeps = 0;
  for (std::size_t n = kPrompt; n + 9 < text.size();) {
    std::vector<PassNode> nodes;
    const std::size_t n_beside = n_rounds++ % 3 == 0 ? 8 : 0;
    for (std::size_t i = 0; i < n_beside; ++i) {
      nodes.push_back({seq, i == 0 ? kCommitted : pending_id(i - 1), token_id(5 + i), false});
    }
    const std::size_t first = nodes.size();
    nodes.push_back({seq, kCommitted, text[n], true});
    nodes.push_back({seq, pending_id(first), text[n + 1], true});
    ASSERT_EQ(cache->evaluate(nodes), PassOutcome::ok);
    for (const std::size_t i : {first, first + 1}) {
      const std::span<const float> row(cache->row(i), cache.n_vocab());
      if (!same_bits(row, oracle[n - kPrompt + (i - first)])) ++n_different;
    }
    const std::vector<PendingId> path = {pending_id(first), pending_id(first + 1)};
    cache->commit(seq, path);
    n += 2;
    // The end of the text is gone over again, because only there is the cache nearly full.
    if (n + 9 >= text.size() && ++n_sweeps < 10) {
      n -= 60 + random() % 9;
      cache->truncate(seq, n);
    }
  }
  EXPECT_GT(cache->n_compactions(), 5U);
  EXPECT_EQ(n_different, 0U);
}

TEST(Compaction, ChangesNoBit) {
  SmallCache cache(std::string(GUMBELSPEC_MODELS_DIR) + "/demo-draft-q8_0.gguf", 600, 60);
  check_many_rounds(cache, 600);
}

TEST(Compaction, ChangesNoBitOfModelsWithSlidingWindows) {
  const TemporaryFolder folder;
  TinyModel tiny;
  tiny.architecture = "gemma3";
  tiny.n_layer = 6;
  tiny.weights = GGML_TYPE_Q8_0;
  write_tiny_model(tiny, folder.file("tiny.gguf"));
  SmallCache cache(folder.file("tiny.gguf"), 600, 60);
  check_many_rounds(cache, 600);
}

// Rounds of sixteen texts that fill the pass and accept one node each.
TEST(Compaction, IsRareWithSixteenTexts) {
  constexpr std::size_t kTexts = 16;
  constexpr std::size_t kPrompt = 20;
  constexpr std::size_t kRounds = 66;
  LlamaModelOptions options;
  options.n_context = 256;
  options.n_sequences = kTexts;
  SmallCache cache(std::string(GUMBELSPEC_MODELS_DIR) + "/demo-draft-q8_0.gguf", options, 0);
  std::mt19937 random(4);
  const auto text = random_text(random, kPrompt + kRounds, cache.n_vocab());
  const auto oracle = decode_plainly(*cache, text, kPrompt, cache.n_vocab());
  std::vector<SeqId> sequences;
  for (std::size_t i = 0; i < kTexts; ++i) {
    sequences.push_back(cache->open());
    ASSERT_EQ(cache->extend(sequences[i], std::span(text).first(kPrompt)), PassOutcome::ok);
  }
  const std::size_t n_before = cache->n_compactions();
  for (std::size_t round = 0; round < kRounds; ++round) {
    std::vector<PassNode> nodes;
    for (const SeqId seq : sequences) {
      for (std::size_t i = 0; i < 15; ++i) {
        nodes.push_back({seq, i == 0 ? kCommitted : pending_id(i - 1), token_id(5 + i), false});
      }
      nodes.push_back({seq, kCommitted, text[kPrompt + round], true});
    }
    ASSERT_EQ(cache->evaluate(nodes), PassOutcome::ok);
    for (std::size_t i = 0; i < kTexts; ++i) {
      const std::span<const float> row(cache->row(16 * i + 15), cache.n_vocab());
      ASSERT_TRUE(same_bits(row, oracle[round])) << "text " << i << ", round " << round;
    }
    const PendingId accepted = pending_id(15);
    for (const SeqId seq : sequences) cache->commit(seq, {&accepted, 1});
  }
  EXPECT_GT(cache->n_compactions(), n_before);
  EXPECT_LE(cache->n_compactions() - n_before, kRounds / 20);
}

}  // namespace
}  // namespace gumbelspec::testing
