// Sequences with trees of pending tokens in llama.cpp's key/value cache. Models whose state cannot
// branch: chain_cache.h.
#ifndef GUMBELSPEC_SRC_LLAMA_TREE_CACHE_H_
#define GUMBELSPEC_SRC_LLAMA_TREE_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "gumbelspec/language_model.h"
#include "llama.h"
#include "src/llama/branch_ids.h"
#include "src/llama/log_capture.h"
#include "src/llama/pass_batch.h"
#include "src/llama/pass_plan.h"
#include "src/llama/sequence_cache.h"
#include "src/llama/sequence_slots.h"

namespace gumbelspec::internal {

// A token sees a cell iff the cell carries the token's first llama.cpp sequence id and does not
// lie behind it. So every pending branch end has an id of its own, which the cells of its whole
// text carry. Sequence s has the id s for its committed text; the first branch below it borrows
// that id (a plain chain needs no other), further branches take one from BranchIds.
//
// Order of cells. The attention sums over the cells in the order in which they lie in memory, and
// floating-point sums depend on their order. With keeps_order, free cells therefore always lie
// behind the last cell of every text: a rejected token that lies before one is not freed but
// parked under an id that nobody reads, until free cells run short and the cache is written out
// and read back in without the parked ones.
//
// Threads: one at a time.
class TreeCache final : public SequenceCache {
 public:
  // Ids that a cache with n sequences leaves for branch ends, one sequence's own included.
  static std::size_t max_leaves(std::size_t n_sequences);

  // Lifetime: context and log must outlive it.
  TreeCache(llama_context* context, const CacheSettings& settings, const LogSink& log,
            std::function<bool()> is_cancelled);

  SeqId open() override;
  void close(SeqId seq) override;
  [[nodiscard]] std::size_t n_committed(SeqId seq) const override;
  [[nodiscard]] PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override {
    return extend_after(seq, tokens, {});
  }
  // states: one for each token, or none. Shape: [tokens.size(), n_input of use_states()].
  [[nodiscard]] PassOutcome extend_after(SeqId seq, std::span<const TokenId> tokens,
                                         std::span<const float> states) override;
  // What the context was told to make (make_states), and what tokens are read with.
  void use_states(const StateSource& source, std::size_t n_input);
  void copy_state(std::size_t i, std::span<float> out) const override;
  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override;
  [[nodiscard]] const float* row(std::size_t i) const override;
  void commit(SeqId seq, std::span<const PendingId> path) override;
  void truncate(SeqId seq, std::size_t n) override;
  // It can go anywhere.
  [[nodiscard]] std::size_t n_restorable(SeqId /*seq*/, std::size_t n) const override { return n; }
  void remember(SeqId /*seq*/) override {}
  [[nodiscard]] std::size_t n_extra() const override { return 0; }
  [[nodiscard]] std::vector<std::uint8_t> state(SeqId seq) override;
  [[nodiscard]] bool set_state(SeqId seq, std::span<const std::uint8_t> state,
                               std::size_t n_tokens) override;

  // How often the cache was rewritten so far.
  [[nodiscard]] std::size_t n_compactions() const { return n_compactions_; }

 private:
  struct Pending {
    PendingId parent = kCommitted;
    llama_pos pos = 0;
    std::uint64_t order = 0;   // of evaluation, over all sequences; cells ascend with it
    llama_seq_id carrier = 0;  // an id that carries its path
    bool is_tip = true;        // the carrier's last token
    bool on_path = false;      // commit(): accepted
    bool is_settled = false;   // commit(): accepted or parked
  };
  struct Sequence {
    bool is_open = false;
    llama_seq_id base = 0;  // the id of its committed text
    llama_pos n_committed = 0;
    std::uint64_t end_order = 0;  // above the order of every committed token
    bool base_is_lent = false;    // to the first branch below the committed text
    std::vector<Pending> pending;
    std::vector<std::int32_t> pass_nodes;  // evaluate(): its nodes in the pass
  };

  [[nodiscard]] std::size_t n_pending() const;
  [[nodiscard]] bool make_room(std::size_t n);
  void compact();
  void guard_window();
  void drop_guard();

  // extend(), evaluate(); tree_cache_pass.cc.
  void reserve_batch(std::size_t n, std::size_t n_ids);
  void read_parents(std::span<const PassNode> nodes);
  [[nodiscard]] llama_pos position_of(const PassNode& node, std::size_t i) const;
  [[nodiscard]] bool give_ids(std::span<const PassNode> nodes);
  void take_back_ids(std::span<const PassNode> nodes);
  void fill_batch(std::span<const PassNode> nodes);
  void record(std::span<const PassNode> nodes);
  [[nodiscard]] PassOutcome decode();
  [[nodiscard]] PassOutcome extend_by(Sequence& sequence, std::span<const TokenId> tokens,
                                      std::span<const float> states);

  // commit().
  void mark_path(Sequence& sequence, std::span<const PendingId> path) const;
  void park_rejected(Sequence& sequence, std::uint64_t limit);
  void park(llama_seq_id carrier, llama_pos begin, llama_pos end);
  void move_base(Sequence& sequence, std::span<const PendingId> path);
  [[nodiscard]] std::uint64_t first_free_order(const Sequence& sequence) const;

  llama_context* context_;
  llama_memory_t memory_;
  CacheSettings settings_;
  const LogSink& log_;
  std::function<bool()> is_cancelled_;
  llama_seq_id park_id_;
  llama_seq_id guard_id_;
  bool is_guarded_ = false;
  BranchIds branch_ids_;
  SequenceSlots<Sequence> sequences_;
  std::size_t n_used_ = 0;  // cells that are not free, the parked ones included
  std::size_t n_parked_ = 0;
  std::uint64_t next_order_ = 0;
  std::size_t n_compactions_ = 0;

  // One pass. Indexed by node unless said otherwise.
  PassPlan plan_;
  std::vector<std::int32_t> parents_;
  std::vector<llama_pos> positions_;
  std::vector<llama_seq_id> leaf_ids_;  // by leaf
  std::vector<bool> leaf_is_borrowed_;  // by leaf: taken over from the node it grows from
  std::vector<std::int32_t> row_slot_;  // place in the last batch, -1 without a row
  PassBatch batch_;
  std::size_t n_input_ = 0;
  std::vector<float> extended_;  // states of the last extend()
  bool has_extended_ = false;    // it was the last call that made states
};

}  // namespace gumbelspec::internal

#endif  // GUMBELSPEC_SRC_LLAMA_TREE_CACHE_H_
