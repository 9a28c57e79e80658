// A draft model's reading of one text: what it has evaluated, and what it still has to.
#ifndef GUMBELSPEC_DRAFT_READER_H_
#define GUMBELSPEC_DRAFT_READER_H_

#include <cstddef>
#include <span>
#include <vector>

#include "gumbelspec/language_model.h"

namespace gumbelspec {

// One sequence of the model, opened by start() or lent by attach(). It holds the text from its
// beginning on, or the first token and then only the end of the text: a draft may miss something,
// the text does not depend on it.
//
// Of a head (ModelLimits::is_head) it also keeps the target's hidden states of the text's last
// tokens, because the head reads each token with the state of the one before. What it drafted from
// states of its own is dropped and read again with the target's. Where states are missing, it reads
// the text from where they begin.
//
// A pass may be shared with other texts: append...() adds the nodes to it, whoever runs it says so
// with take(). read_root() and evaluate() are the same for a text alone.
class DraftReader {
 public:
  // Does not allocate for passes over up to n_level nodes, n_nodes of a round in all.
  // n_states: of a head: states that are kept, at least those of a round's accepted tokens.
  DraftReader(LanguageModel& model, std::size_t n_nodes, std::size_t n_level,
              std::size_t n_states = 0);
  ~DraftReader() {
    if (is_open_ && !is_lent_) model_.close(seq_);
  }
  DraftReader(const DraftReader&) = delete;
  DraftReader& operator=(const DraftReader&) = delete;

  [[nodiscard]] const LanguageModel& model() const { return model_; }
  [[nodiscard]] LanguageModel& model() { return model_; }

  // A new text; reads the prompt but for its last token.
  [[nodiscard]] PassOutcome start(std::span<const TokenId> prompt);

  // A new text, of which read_after() will read the prompt. Returns: no_space where it cannot.
  [[nodiscard]] PassOutcome begin(std::span<const TokenId> prompt);

  // A new text in a sequence that stays somebody else's, and holds the beginning of the text.
  void attach(SeqId seq);
  // Whether the text can be followed from its beginning on.
  [[nodiscard]] bool can_read(std::span<const TokenId> prompt) const {
    return prompt.size() <= model_.limits().n_context && knows(prompt);
  }
  // The next tokens of the prompt. Requires: nothing pending.
  [[nodiscard]] PassOutcome read(std::span<const TokenId> tokens);
  // Of a head: the target has just read these tokens of the prompt with extend(), the text's from
  // its n_before-th on. Keeps their states and, if `reads`, reads those that are still to be read.
  // Requires: nothing pending.
  [[nodiscard]] PassOutcome read_after(const LanguageModel& target, std::size_t n_before,
                                       std::span<const TokenId> tokens, bool reads);
  // Of a head: row i of the target's last pass was the text's n_before-th token; in the order of
  // the text, without gaps.
  void keep_state(const LanguageModel& target, std::size_t i, std::size_t n_before);
  // Of a head: leaves out the tokens whose states are missing. Requires: nothing pending.
  void close_gap(std::span<const TokenId> text);
  // Reads the text from its n-th token on only. Requires: nothing pending.
  void skip_before(std::size_t n);
  [[nodiscard]] bool is_head() const { return n_state_ > 0; }
  // Tokens in the sequence; the first of them are those of the text.
  [[nodiscard]] std::size_t n_committed() const { return model_.n_committed(seq_); }

  // Tokens that read_root() would read; text.back() is the root.
  [[nodiscard]] std::size_t n_missing(std::span<const TokenId> text) const;
  // Tokens of the text left out.
  [[nodiscard]] std::size_t n_skipped() const { return n_skipped_; }
  // Levels below the root that fit into the model's context; 0: it cannot follow this text.
  [[nodiscard]] std::size_t n_levels(std::span<const TokenId> text) const;

  // Forgets the text but for its first token and the last n tokens, which will be read next.
  // Does nothing where the model cannot drop what it has read, or has no states of so many tokens.
  // Requires: nothing pending.
  void skip_to_last(std::span<const TokenId> text, std::size_t n);

  // Reads what is missing, in one pass unless it is long; of the last n_rows tokens of that pass
  // the logits are kept. Afterwards the root is pending.
  [[nodiscard]] PassOutcome read_root(std::span<const TokenId> text, std::size_t n_rows = 1);
  // Appends what read_root() would have in its last pass, at most n_most nodes; where there is
  // more to read, it does that at once. Requires: n_rows <= n_most; nothing pending.
  [[nodiscard]] PassOutcome append_root(std::span<const TokenId> text, std::size_t n_rows,
                                        std::size_t n_most, std::vector<PassNode>& pass);
  // How many tokens the last append_root() read in a pass of its own, because they were too many.
  [[nodiscard]] std::size_t n_read_apart() const { return n_read_apart_; }
  // How many tokens the last read_root() evaluated in its last pass.
  [[nodiscard]] std::size_t n_chain() const { return n_chain_; }
  // The logits of the i-th token of the last pass. Shape: [model's n_vocab].
  // Lifetime: until the next pass.
  [[nodiscard]] std::span<const float> row(std::size_t i) const {
    return model_.row(first_row_ + i);
  }
  [[nodiscard]] PendingId root() const { return pending_id(n_chain_ - 1); }

  // One pass over nodes below the root. Their parents are root() or ids of earlier nodes.
  // The i-th node then has the id id_of_last(i).
  [[nodiscard]] PassOutcome evaluate(std::span<const TokenId> tokens,
                                     std::span<const PendingId> parents);
  void append(std::span<const TokenId> tokens, std::span<const PendingId> parents,
              std::vector<PassNode>& pass);
  [[nodiscard]] PendingId id_of_last(std::size_t i) const { return pending_id(first_ + i); }

  // Branch ends of what is pending and appended.
  [[nodiscard]] std::size_t n_ends() const { return n_ends_; }
  // How many of the nodes below these parents, counted from the first, add at most n_ends to it.
  [[nodiscard]] std::size_t n_fitting(std::span<const PendingId> parents, std::size_t n_ends) const;

  // The pass with what was appended last took place; its rows begin with number first_row.
  void take(std::size_t first_row);
  // A pass with something of this text took so long, done or not.
  void count_pass(double seconds) {
    ++n_passes_;
    pass_s_ += seconds;
  }

  // Keeps the root and a path below it (a head: the root alone), if the root was read, and drops
  // the rest.
  void commit(std::span<const PendingId> path);

  [[nodiscard]] std::size_t n_passes() const { return n_passes_; }
  [[nodiscard]] double pass_s() const { return pass_s_; }

 private:
  // Tokens that a pass takes on its way to the root; more get a pass of their own.
  static constexpr std::size_t kMaxChain = 8;

  [[nodiscard]] bool knows(std::span<const TokenId> tokens) const;
  [[nodiscard]] std::size_t n_read(std::size_t n_text) const;
  [[nodiscard]] std::size_t first_readable() const;
  [[nodiscard]] float* slot(std::size_t i) { return states_.data() + i % n_kept_ * n_state_; }
  [[nodiscard]] const float* state_before(std::size_t i);
  std::span<const float> states_before(std::size_t first, std::size_t n);
  PassOutcome run_pass();
  void end_pending();

  LanguageModel& model_;
  SeqId seq_{};
  bool is_open_ = false;
  bool is_lent_ = false;
  std::size_t n_skipped_ = 0;
  std::size_t n_chain_ = 0;    // pending tokens from the committed text to the root, inclusive
  std::size_t n_pending_ = 0;  // all of them
  std::size_t first_ = 0;      // id of the first node of the last pass
  std::size_t first_row_ = 0;  // and its row
  std::size_t n_appended_ = 0;
  std::size_t n_read_apart_ = 0;
  bool appended_root_ = false;
  std::size_t n_ends_ = 0;
  std::vector<char> has_child_;  // by pending id, appended ones included
  std::size_t n_passes_ = 0;
  double pass_s_ = 0.0;
  std::vector<PassNode> pass_;
  std::vector<PendingId> commit_;

  // Of a head: the states of the text's tokens [states_begin_, states_end_), token i's in slot(i).
  std::size_t n_state_ = 0;  // floats of one; 0: no head
  std::size_t n_kept_ = 0;   // slots
  std::size_t states_begin_ = 0;
  std::size_t states_end_ = 0;
  std::vector<float> states_;     // [n_kept_ + 1, n_state_], the last one zeros
  std::vector<float> extension_;  // scratch of what is read in one go
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_DRAFT_READER_H_
