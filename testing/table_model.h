// A language model small enough to enumerate: the logits are a table over the last two tokens.
#ifndef GUMBELSPEC_TESTING_TABLE_MODEL_H_
#define GUMBELSPEC_TESTING_TABLE_MODEL_H_

#include <cstdint>
#include <span>
#include <vector>

#include "gumbelspec/language_model.h"

namespace gumbelspec::testing {

// Keeps the promises of LanguageModel and checks the caller's: a broken one is a std::logic_error.
class TableModel final : public LanguageModel {
 public:
  struct Options {
    std::size_t n_vocab = 5;
    std::uint64_t seed = 1;
    float spread = 1.5F;  // logits are uniform in [-spread, spread]
    std::size_t n_context = 64;
    TokenId end{-1};  // the token that ends a text; -1: none
  };
  explicit TableModel(const Options& options);

  // A draft for `target`: its logits mixed with as many random ones. share in [0, 1]: 1 is a copy.
  static TableModel draft_of(const TableModel& target, float share, std::uint64_t seed);

  // A head for `target`, with the draft's logits, but the token before the last one is what the
  // hidden state says: the target's states say it right, the head's own, which the children of its
  // nodes read, say the next token of the vocabulary instead if own_states_err. A state that is not
  // of the token before is a std::logic_error.
  static TableModel head_of(TableModel& target, float share, std::uint64_t seed,
                            bool own_states_err = false);
  // Tokens behind a text's first that were committed without the target's state before them.
  [[nodiscard]] std::size_t n_committed_blind() const { return n_committed_blind_; }

  // The logits after a text; before_last and last may be absent (-1). Shape: [n_vocab].
  [[nodiscard]] std::span<const float> logits(TokenId before_last, TokenId last) const;
  [[nodiscard]] std::span<const float> logits(std::span<const TokenId> text) const;

  // To play models that cannot branch or drop, or whose cache is full.
  ModelLimits& mutable_limits() { return limits_; }
  // Plays one with recurrent layers: chains, of which the last n_snapshots tokens of a pass can be
  // dropped; 0: all but the first pending one, and what is kept of them counts as read again.
  void become_recurrent(std::size_t n_snapshots);
  // Tokens that were evaluated or read again, and those that extend() read, since it was made.
  [[nodiscard]] std::size_t n_read() const { return n_read_; }
  [[nodiscard]] std::size_t n_reread() const { return n_reread_; }
  void set_full(bool is_full) { is_full_ = is_full; }
  void set_cancelled(bool is_cancelled) { is_cancelled_ = is_cancelled; }
  [[nodiscard]] std::size_t n_passes() const { return n_passes_; }
  [[nodiscard]] std::span<const TokenId> committed(SeqId seq) const;

  [[nodiscard]] const ModelLimits& limits() const override { return limits_; }
  [[nodiscard]] bool is_end(TokenId token) const override { return token == options_.end; }
  SeqId open() override;
  void close(SeqId seq) override;
  [[nodiscard]] std::size_t n_committed(SeqId seq) const override;
  [[nodiscard]] PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) override;
  [[nodiscard]] PassOutcome extend_after(SeqId seq, std::span<const TokenId> tokens,
                                         std::span<const float> states) override;
  void copy_state(std::size_t i, std::span<float> out) const override;
  [[nodiscard]] PassOutcome evaluate(std::span<const PassNode> nodes) override;
  [[nodiscard]] std::span<const float> row(std::size_t i) const override;
  void commit(SeqId seq, std::span<const PendingId> path) override;
  void truncate(SeqId seq, std::size_t n) override;
  [[nodiscard]] std::size_t n_restorable(SeqId seq, std::size_t n) const override;
  void remember(SeqId seq) override;
  [[nodiscard]] std::size_t n_extra() const override { return n_extra_; }

 private:
  struct Pending {
    PendingId parent = kCommitted;
    TokenId token{};
    std::size_t depth = 0;
    bool is_blind = false;  // of a head: read without the target's state
  };
  struct Sequence {
    bool is_open = false;
    std::vector<TokenId> text;
    std::vector<Pending> pending;
    std::size_t n_last = 0;               // of them, those of the last pass
    std::size_t n_owed = 0;               // committed, to be read again
    std::vector<std::size_t> remembered;  // lengths, ascending
  };
  // A token, and where it stands.
  struct State {
    TokenId token{};
    std::size_t position = 0;
  };
  [[nodiscard]] State state_before(const Sequence& s, const PassNode& node, std::size_t depth,
                                   bool& is_blind) const;
  static void check_state(const float* state, std::size_t n_before, TokenId before);
  Sequence& sequence(SeqId seq);
  [[nodiscard]] const Sequence& sequence(SeqId seq) const;
  void drop_all_but(Sequence& s, std::size_t n_kept) const;
  [[nodiscard]] std::size_t table_row(TokenId before_last, TokenId last) const;

  Options options_;
  ModelLimits limits_;
  std::vector<float> table_;  // [n_vocab + 1, n_vocab + 1, n_vocab]; index n_vocab: no token
  std::vector<Sequence> sequences_;
  std::vector<std::size_t> rows_;  // per node of the last pass, its row of the table
  std::vector<bool> wanted_;
  std::vector<State> states_;  // of the last pass or extension
  bool own_states_err_ = false;
  std::size_t n_committed_blind_ = 0;
  std::size_t n_passes_ = 0;
  std::size_t n_read_ = 0;
  std::size_t n_reread_ = 0;
  std::size_t n_extra_ = 0;
  bool is_full_ = false;
  bool is_cancelled_ = false;
};

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_TABLE_MODEL_H_
