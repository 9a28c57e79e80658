// Sequences of a draft head: a tree cache whose tokens are read with hidden states.
#ifndef GUMBELSPEC_SRC_LLAMA_HEAD_CACHE_H_
#define GUMBELSPEC_SRC_LLAMA_HEAD_CACHE_H_

#include <cstddef>
#include <functional>
#include <span>
#include <vector>

#include "gumbelspec/llama_model.h"
#include "llama.h"
#include "src/llama/sequence_cache.h"
#include "src/llama/tree_cache.h"

namespace gumbelspec::internal {

// A token's cell holds the token and the state of the one before it. An EAGLE-3 head was trained
// without the first token of a text, which has no state before it: that token gets no cell, unless
// there is nothing else yet. Its states are fused first (fuse_states), those it makes itself are
// read as they are.
//
// Threads: one at a time.
class HeadCache final : public SequenceCache {
 public:
  // n_state: numbers of the target's states; n_own: of the head's. Lifetime: context and log must
  // outlive it.
  HeadCache(HeadKind kind, std::size_t n_state, std::size_t n_own, llama_context* context,
            const CacheSettings& settings, const LogSink& log, std::function<bool()> is_cancelled);

  SeqId open() override;
  void close(SeqId seq) override;
  [[nodiscard]] std::size_t n_committed(SeqId seq) const override;
  // Without states: zeros, to measure what it costs.
  [[nodiscard]] PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override;
  [[nodiscard]] PassOutcome extend_after(SeqId seq, std::span<const TokenId> tokens,
                                         std::span<const float> states) override;
  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override;
  [[nodiscard]] const float* row(std::size_t i) const override { return cache_.row(i); }
  void commit(SeqId seq, std::span<const PendingId> path) override;
  void truncate(SeqId seq, std::size_t n) override;
  [[nodiscard]] std::size_t n_restorable(SeqId /*seq*/, std::size_t n) const override { return n; }
  void remember(SeqId /*seq*/) override {}
  [[nodiscard]] std::size_t n_extra() const override { return 0; }

 private:
  struct Sequence {
    bool leaves_first_out = false;
    std::vector<float> own;  // states of the pending tokens, by id
  };

  [[nodiscard]] PassOutcome fuse(std::size_t n_tokens);
  // Of states_, as the head reads them. Requires: fuse().
  [[nodiscard]] std::span<const float> fused() const {
    return kind_ == HeadKind::eagle3 ? fused_ : states_;
  }

  HeadKind kind_;
  std::size_t n_state_;
  std::size_t n_own_;
  llama_context* context_;
  const LogSink& log_;
  TreeCache cache_;
  std::vector<Sequence> sequences_;
  std::vector<float> zeros_;   // [n_own]
  std::vector<float> states_;  // of the target, for the pass that is being made
  std::vector<float> fused_;
  std::vector<PassNode> nodes_;
  std::vector<std::size_t> places_;  // of nodes_, in states_; kOwn: they read another
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_HEAD_CACHE_H_
