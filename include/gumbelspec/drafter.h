// Who proposes the tree of a round.
#ifndef GUMBELSPEC_DRAFTER_H_
#define GUMBELSPEC_DRAFTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "gumbelspec/draft_tree.h"
#include "gumbelspec/language_model.h"
#include "gumbelspec/method.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/planner.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec {

// The noise of the next positions. A row is drawn once: the draft's levels, the target's walk and
// the rounds that follow all read the same memory. Where truncation leaves a few tokens, only
// theirs is.
class NoiseTable {
 public:
  // n_rows: positions held at once. Shape of a row: [n_vocab].
  NoiseTable(std::size_t n_vocab, std::size_t n_rows);

  // From now on the noise of this key.
  void restart(NoiseKey key, const NoiseSource& source);

  [[nodiscard]] std::size_t n_vocab() const { return n_vocab_; }
  [[nodiscard]] NoiseKey key() const { return key_; }

  // The noise of a position. Lifetime: until a position n_rows away is asked for, or restart().
  std::span<const float> row(Position position);
  // The noise of the entries of a row at a position: of a list that of its tokens alone, unless the
  // whole row is there already, or so many were asked for that it is worth drawing.
  // Requires: no token from n_vocab() on. Shape: at least [kept.size()]. Lifetime: as row(), and
  // until the next call.
  std::span<const float> of(Position position, const KeptRow& kept);

 private:
  std::size_t n_vocab_;
  std::vector<float> rows_;
  std::vector<std::int64_t> held_;  // position in each slot, -1: none
  // By slot: the position that lists were asked for last, and how many tokens they had.
  std::vector<std::int64_t> listed_;
  std::vector<std::size_t> n_listed_;
  std::vector<float> of_list_;
  NoiseKey key_;
  const NoiseSource* source_ = nullptr;
};

struct DraftRequest {
  std::span<const TokenId> text;  // accepted so far; the last token is the root
  int max_depth = 0;              // levels that can still be of use
  std::size_t max_nodes = 0;      // drafted nodes that the target can verify
  std::size_t max_leaves = 0;
  // Tokens at the beginning of the text that may not be choices under the shared noise: there is
  // nothing to learn from them.
  std::size_t n_foreign = 0;
  // Which tokens may follow the root, a bit each (as LogWeights takes it); empty: all.
  std::span<const std::uint32_t> allowed = {};

  // The same for a draft of so many tokens; empty where it has more than the target.
  [[nodiscard]] std::span<const std::uint32_t> allowed_of(std::size_t n_vocab) const {
    if (allowed.size() * 32 < n_vocab) return {};
    return allowed;
  }
};

// Whatever a drafter does, the text is the target's; it decides only how fast.
class Drafter {
 public:
  virtual ~Drafter() = default;

  // A new text with this prompt. no_space: the drafter will propose nothing.
  [[nodiscard]] virtual PassOutcome start(std::span<const TokenId> prompt) = 0;

  // Adds nodes below the root of `tree`, which holds nothing else.
  [[nodiscard]] virtual PassOutcome draft(const DraftRequest& request, NoiseTable& noise,
                                          DraftTree& tree) = 0;

  // The walk went down this path of the tree last drafted; path[0] is the root.
  virtual void accept(std::span<const NodeId> path) = 0;

  // The text has ended, whatever the reason.
  virtual void end_text() {}

  // The target's pass over the tree last drafted, n_nodes with the root, took so long.
  virtual void observe_target_pass(std::size_t /*n_nodes*/, double /*seconds*/) {}

  // What a planner did; null: there is none. Lifetime: until the next call of the drafter.
  [[nodiscard]] virtual const PlannerReport* report() { return nullptr; }

  // Model passes since start(), the prompt's not counted, and the seconds that they took.
  [[nodiscard]] virtual std::size_t n_passes() const = 0;
  [[nodiscard]] virtual double pass_s() const = 0;
};

// Beam search with a draft model under the shared noise; a chain is a beam of width 1.
// Each level costs one pass of the draft over `width` nodes. The child v of a node is worth
// log softmax(score / tau)(v) more than the node, score = log-weight + noise; the best `width` of
// all children make the next level.
// Requires: model outlives the drafter. Throws: Error{invalid_option}.
[[nodiscard]] std::unique_ptr<Drafter> make_model_drafter(LanguageModel& model,
                                                          const SamplingOptions& sampling,
                                                          const Method& method);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_DRAFTER_H_
