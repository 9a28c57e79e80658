// A draft model's reading of one text: what it has evaluated, and what it still has to.
#ifndef GUMBELSPEC_ENGINE_DRAFT_READER_H_
#define GUMBELSPEC_ENGINE_DRAFT_READER_H_

#include <cstddef>
#include <span>
#include <vector>

#include "gumbelspec/language_model.h"

namespace gumbelspec {

// One sequence of the model, opened by start(). It holds the text from its beginning on, or the
// first token and then only the end of the text: a draft may miss something, the text does not
// depend on it.
class DraftReader {
 public:
  // Does not allocate for passes over up to n_level nodes, n_nodes of a round in all.
  DraftReader(LanguageModel& model, std::size_t n_nodes, std::size_t n_level);
  ~DraftReader() {
    if (is_open_) model_.close(seq_);
  }
  DraftReader(const DraftReader&) = delete;
  DraftReader& operator=(const DraftReader&) = delete;

  [[nodiscard]] const LanguageModel& model() const { return model_; }

  // A new text; reads the prompt but for its last token.
  [[nodiscard]] PassOutcome start(std::span<const TokenId> prompt);

  // Tokens that read_root() would read; text.back() is the root.
  [[nodiscard]] std::size_t n_missing(std::span<const TokenId> text) const;
  // Tokens of the text left out.
  [[nodiscard]] std::size_t n_skipped() const { return n_skipped_; }
  // Levels below the root that fit into the model's context; 0: it cannot follow this text.
  [[nodiscard]] std::size_t n_levels(std::span<const TokenId> text) const;

  // Forgets the text but for its first token and the last n tokens, which will be read next.
  // Requires: nothing pending; limits().can_drop.
  void skip_to_last(std::span<const TokenId> text, std::size_t n);

  // Reads what is missing, in one pass unless it is long; of the last n_rows tokens of that pass
  // the logits are kept. Afterwards the root is pending.
  [[nodiscard]] PassOutcome read_root(std::span<const TokenId> text, std::size_t n_rows = 1);
  // How many tokens the last read_root() evaluated in its last pass.
  [[nodiscard]] std::size_t n_chain() const { return n_chain_; }
  // The logits of the i-th token of the last pass. Shape: [model's n_vocab].
  // Lifetime: until the next pass.
  [[nodiscard]] std::span<const float> row(std::size_t i) const { return model_.row(i); }
  [[nodiscard]] PendingId root() const { return pending_id(n_chain_ - 1); }

  // One pass over nodes below the root. Their parents are root() or ids of earlier nodes.
  // The i-th node then has the id id_of_last(i).
  [[nodiscard]] PassOutcome evaluate(std::span<const TokenId> tokens,
                                     std::span<const PendingId> parents);
  [[nodiscard]] PendingId id_of_last(std::size_t i) const { return pending_id(first_ + i); }

  // Keeps the root and a path below it, if the root was read, and drops the rest.
  void commit(std::span<const PendingId> path);

  [[nodiscard]] std::size_t n_passes() const { return n_passes_; }
  [[nodiscard]] double pass_s() const { return pass_s_; }

 private:
  // Tokens that a pass takes on its way to the root; more get a pass of their own.
  static constexpr std::size_t kMaxChain = 8;

  [[nodiscard]] bool knows(std::span<const TokenId> tokens) const;
  [[nodiscard]] std::size_t n_read(std::size_t n_text) const;
  PassOutcome run_pass();

  LanguageModel& model_;
  SeqId seq_{};
  bool is_open_ = false;
  std::size_t n_skipped_ = 0;
  std::size_t n_chain_ = 0;    // pending tokens from the committed text to the root, inclusive
  std::size_t n_pending_ = 0;  // all of them
  std::size_t first_ = 0;      // id of the first node of the last pass
  std::size_t n_passes_ = 0;
  double pass_s_ = 0.0;
  std::vector<PassNode> pass_;
  std::vector<PendingId> commit_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_DRAFT_READER_H_
