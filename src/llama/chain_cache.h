// Sequences with chains of pending tokens, for models whose state cannot branch.
#ifndef GUMBELSPEC_SRC_LLAMA_CHAIN_CACHE_H_
#define GUMBELSPEC_SRC_LLAMA_CHAIN_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "gumbelspec/language_model.h"
#include "llama.h"
#include "src/llama/log_capture.h"
#include "src/llama/pass_batch.h"
#include "src/llama/sequence_cache.h"
#include "src/llama/sequence_slots.h"

namespace gumbelspec::internal {

// Recurrent layers keep one state per sequence, which every token overwrites. Two ways back:
//
// - Snapshots (Rollback::snapshots): a pass leaves the states behind its last n_snapshots + 1
//   tokens, and llama_memory_seq_rm() chooses one of them, once. It does not check of which pass
//   they are; this class does.
// - Copies (Rollback::copies): before tokens are evaluated that may be dropped, a second llama.cpp
//   id is given the state. That copies nothing: the pass then writes elsewhere. Where tokens are
//   dropped, the sequence takes the copy back, and what was accepted is *owed*: it is committed,
//   and read again in front of the next pass's tokens.
//
// In a pass over several texts llama.cpp computes texts of different lengths one after the other,
// so that weights are read several times. With snapshots shorter chains are filled up with tokens
// that are dropped again.
//
// Threads: one at a time.
class ChainCache final : public SequenceCache {
 public:
  // llama.cpp's sequence ids that n sequences need.
  static std::size_t n_ids(std::size_t n_sequences, Rollback rollback) {
    return rollback == Rollback::copies ? 2 * n_sequences : n_sequences;
  }
  // States that remember() keeps of every sequence.
  static constexpr std::size_t kMostRemembered = 4;

  // Lifetime: context and log must outlive it.
  ChainCache(llama_context* context, const CacheSettings& settings, const LogSink& log,
             std::function<bool()> is_cancelled);

  SeqId open() override;
  void close(SeqId seq) override;
  [[nodiscard]] std::size_t n_committed(SeqId seq) const override;
  [[nodiscard]] PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override;
  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override;
  [[nodiscard]] const float* row(std::size_t i) const override;
  void commit(SeqId seq, std::span<const PendingId> path) override;
  void truncate(SeqId seq, std::size_t n) override;
  [[nodiscard]] std::size_t n_restorable(SeqId seq, std::size_t n) const override;
  void remember(SeqId seq) override;
  [[nodiscard]] std::size_t n_extra() const override { return n_extra_; }

 private:
  struct Remembered {
    std::size_t n = 0;  // tokens
    std::vector<std::uint8_t> state;
  };
  struct Sequence {
    bool is_open = false;
    llama_seq_id id = 0;
    llama_seq_id copy_id = 0;
    std::size_t n_committed = 0;
    std::vector<TokenId> owed;  // the last committed tokens
    std::vector<TokenId> pending;
    std::size_t n_last = 0;     // of the pending tokens, those of the last pass
    std::size_t n_filling = 0;  // tokens behind the pending ones in the state, to be dropped
    bool has_copy = false;
    std::size_t n_copied = 0;            // tokens that the copy has read
    std::vector<Remembered> remembered;  // ascending
    std::vector<std::int32_t> in_pass;   // evaluate(): its nodes, in order
    std::size_t n_fill = 0;              // evaluate(): tokens that make it as long as others

    // Tokens that the state has read, but for owed ones while nothing is pending.
    [[nodiscard]] std::size_t n_in_state() const { return n_committed + pending.size(); }
    // Those that the next pass begins with.
    [[nodiscard]] std::size_t n_to_reread() const { return pending.empty() ? owed.size() : 0; }
  };

  [[nodiscard]] std::size_t n_used() const;

  void read_chains(std::span<const PassNode> nodes);
  [[nodiscard]] bool has_room() const;
  [[nodiscard]] PassOutcome settle_debts(std::size_t n_nodes);
  [[nodiscard]] PassOutcome read_owed(Sequence& sequence);
  void drop_filling();
  void fill_up();
  void make_copies();
  void fill_batch(std::span<const PassNode> nodes);
  void record(std::span<const PassNode> nodes);

  void copy_state(llama_seq_id from, llama_seq_id to) const;
  void take_snapshot(Sequence& sequence, std::size_t n_kept) const;
  void take_copy_back(Sequence& sequence, std::size_t n_kept);
  void drop_copy(Sequence& sequence);
  void restore(Sequence& sequence, const Remembered& remembered);

  llama_context* context_;
  llama_memory_t memory_;
  CacheSettings settings_;
  const LogSink& log_;
  std::function<bool()> is_cancelled_;
  SequenceSlots<Sequence> sequences_;
  std::vector<std::int32_t> row_slot_;  // by node: place in the last batch, -1 without a row
  PassBatch batch_;
  std::size_t n_extra_ = 0;
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_CHAIN_CACHE_H_
