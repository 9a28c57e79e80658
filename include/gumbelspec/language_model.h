// What the engine knows of a model: sequences of tokens, passes over trees of tokens, rows of
// logits. Implemented over llama.cpp (llama_model.h) and by the in-memory model of the tests.
#ifndef GUMBELSPEC_LANGUAGE_MODEL_H_
#define GUMBELSPEC_LANGUAGE_MODEL_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "gumbelspec/types.h"

namespace gumbelspec {

// One token of a pass.
struct PassNode {
  SeqId seq{};
  // The token before it: kCommitted, an earlier pass's pending token of the same sequence, or one
  // that stands earlier in this pass.
  PendingId parent = kCommitted;
  TokenId token{};
  bool wants_row = true;  // whether its logits are needed
  // Of a head: the target's hidden state of the token before. Null: what the head made of its
  // parent, if that is pending, and nothing (zeros) otherwise; other models do not look at it.
  // Shape: [ModelLimits::n_input_state]. Lifetime: of the call.
  const float* state = nullptr;
};

enum class PassOutcome {
  ok,
  no_space,   // the cache cannot hold these nodes; nothing was evaluated
  cancelled,  // the model was asked to stop; what was pending before the pass is still pending
};

struct ModelLimits {
  std::size_t n_vocab = 0;
  std::size_t n_context = 0;       // tokens of one sequence, prompt included
  std::size_t max_pass_nodes = 0;  // nodes of one pass
  std::size_t max_leaves = 0;      // branch ends in one pass, and over all pending trees
  bool can_branch = true;          // several children of one parent (tree attention)
  bool can_drop = true;            // any evaluated tokens can be dropped again
  // Where can_drop is false (recurrent layers): how many of its last pending tokens commit() can
  // drop of a sequence, if one pass evaluated them and at least one token of that pass stays.
  std::size_t max_drop = 0;
  // Where can_drop is false: whether commit() can drop what several passes evaluated, all but the
  // first pending token. What is kept of them is then read again with the next pass.
  bool can_drop_passes = false;
  std::size_t n_sequences = 1;  // sequences open at once
  std::size_t max_context = 0;  // what n_context could be; 0: no more than it is
  // Why not, where can_drop is false: what stands behind "the model ", e.g. "is recurrent".
  // Lifetime: of the program.
  std::string_view why_no_drop = "keeps a state that cannot go back";
  // Hidden states: floats that a pass gives of every token, and floats that the model reads with
  // every token, of the one before. A model that reads states is a head: it drafts for a target
  // that gives as many, and knows the text from them. 0: none.
  std::size_t n_state = 0;
  std::size_t n_input_state = 0;

  // How long a chain below the root can be verified, and whether a draft can be followed over
  // several passes and then dropped.
  [[nodiscard]] std::size_t longest_chain() const { return can_drop ? max_pass_nodes : max_drop; }
  [[nodiscard]] bool can_draft() const { return can_drop || can_drop_passes; }
  [[nodiscard]] bool is_head() const { return n_input_state > 0; }
};

// A sequence has a committed text, which only grows, and below it a tree of pending tokens. A
// pending token takes the next PendingId of its sequence in the order of the nodes passed to
// evaluate(), over all passes since the last commit().
//
// Threads: one at a time.
class LanguageModel {
 public:
  virtual ~LanguageModel() = default;

  [[nodiscard]] virtual const ModelLimits& limits() const = 0;

  // Whether the text ends with this token.
  [[nodiscard]] virtual bool is_end(TokenId token) const = 0;

  // A new, empty sequence. Throws: std::logic_error when there are too many.
  virtual SeqId open() = 0;
  virtual void close(SeqId seq) = 0;

  // The number of committed tokens.
  [[nodiscard]] virtual std::size_t n_committed(SeqId seq) const = 0;

  // Evaluates and commits tokens behind the committed text (a prompt), without logits.
  // Requires: nothing pending.
  [[nodiscard]] virtual PassOutcome extend(SeqId seq, std::span<const TokenId> tokens) = 0;

  // The same for a head, with the target's state of the token before each; before the first token
  // of a text there is none: zeros. Shape: states [tokens.size(), n_input_state].
  [[nodiscard]] virtual PassOutcome extend_after(SeqId seq, std::span<const TokenId> tokens,
                                                 std::span<const float> /*states*/) {
    return extend(seq, tokens);
  }

  // One pass over a forest of nodes. Requires: parents before children; at most max_pass_nodes.
  // Throws: Error{evaluation_failed}.
  [[nodiscard]] virtual PassOutcome evaluate(std::span<const PassNode> nodes) = 0;

  // The logits of the i-th node of the last pass, which must have wanted its row.
  // Shape: [n_vocab]. Lifetime: until the next call of any non-const function.
  [[nodiscard]] virtual std::span<const float> row(std::size_t i) const = 0;

  // The hidden state of the i-th node of the last pass, wanted row or not, or of the i-th token of
  // the last extend(). Requires: limits().n_state > 0; no other non-const function was called
  // since. Shape: out [n_state].
  virtual void copy_state(std::size_t i, std::span<float> out) const;

  // Appends a path of pending tokens to the committed text and drops all other pending ones.
  // Requires: path[0]'s parent is kCommitted, path[i]'s parent is path[i - 1]. May be empty. What
  // is dropped is within limits().
  virtual void commit(SeqId seq, std::span<const PendingId> path) = 0;

  // Shortens the committed text to n tokens and drops everything pending.
  // Requires: n <= n_committed(seq), n == n_restorable(seq, n); limits().can_drop if anything is
  // pending and n > 0.
  virtual void truncate(SeqId seq, std::size_t n) = 0;

  // The largest length up to n that truncate() can shorten the committed text to.
  // Requires: n <= n_committed(seq).
  [[nodiscard]] virtual std::size_t n_restorable(SeqId seq, std::size_t n) const {
    return limits().can_drop || n == n_committed(seq) ? n : 0;
  }
  // Remembers the committed text's end, so that truncate() can come back to it; of several such
  // places of a sequence the last few. Does nothing where that is possible anyway.
  // Requires: nothing pending. Throws: Error{out_of_memory}.
  virtual void remember(SeqId /*seq*/) {}

  // What is evaluated of the committed text, as bytes for set_state() of the same model; empty:
  // this model has no such thing. Requires: nothing pending.
  [[nodiscard]] virtual std::vector<std::uint8_t> state(SeqId /*seq*/) { return {}; }
  // Returns: whether the sequence now has n_tokens committed; if not, it is empty.
  // Requires: an empty sequence.
  [[nodiscard]] virtual bool set_state(SeqId /*seq*/, std::span<const std::uint8_t> /*state*/,
                                       std::size_t /*n_tokens*/) {
    return false;
  }

  // Tokens that the last evaluate() computed besides its nodes: read again after others were
  // dropped, or to make the texts of a pass equally long.
  [[nodiscard]] virtual std::size_t n_extra() const { return 0; }
};

inline void LanguageModel::copy_state(std::size_t /*i*/, std::span<float> /*out*/) const {
  throw std::logic_error("this model gives no hidden states");
}

}  // namespace gumbelspec

#endif  // GUMBELSPEC_LANGUAGE_MODEL_H_
