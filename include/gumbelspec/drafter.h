// Who proposes the tree of a round.
#ifndef GUMBELSPEC_DRAFTER_H_
#define GUMBELSPEC_DRAFTER_H_

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "gumbelspec/costs.h"
#include "gumbelspec/draft_reader.h"
#include "gumbelspec/draft_tree.h"
#include "gumbelspec/language_model.h"
#include "gumbelspec/noise_table.h"
#include "gumbelspec/proposals.h"
#include "gumbelspec/walk.h"

namespace gumbelspec {

class Planner;
class TokenConstraint;

// A round of one text, as its drafter sees it. Lifetime: of the round.
struct DraftRound {
  std::span<const TokenId> text;  // accepted so far; the last token is the root
  std::size_t max_depth = 0;      // levels that can still be of use
  std::size_t max_nodes = 0;      // drafted nodes that the target can verify
  std::size_t max_leaves = 0;
  // Which tokens may follow the root, a bit each (as LogWeights takes it); empty: all.
  std::span<const std::uint32_t> allowed = {};
  NoiseTable* noise = nullptr;     // the text's, which the target will choose with
  Proposals* proposals = nullptr;  // where to put what is found; empty when the round begins
  DraftReader* reader = nullptr;   // the draft model's reading of the text; null: there is none
  Planner* planner = nullptr;      // the library's, of a method that has one
  // Tokens at the beginning of the text that may not be choices under the shared noise: there is
  // nothing to learn from them.
  std::size_t n_foreign = 0;
  // Which tokens may follow further down (it is asked with the text behind the prompt); null: all.
  TokenConstraint* constraint = nullptr;
  std::size_t n_prompt = 0;  // tokens of the text that are the prompt's
};

// What a pass of the draft model can still hold of a text.
struct DraftRoom {
  std::size_t n_nodes = 0;  // at least 1
  std::size_t n_ends = 0;   // branch ends, besides those that are pending
};

// The target's pass over a tree, and the way down it. Lifetime: of the call.
struct VerifiedTree {
  const DraftTree& tree;
  const WalkResult& walk;
  const LanguageModel& target;
  std::size_t first_row = 0;

  // The target's logits below any node, on the way or not. Shape: [n_vocab].
  [[nodiscard]] std::span<const float> row(NodeId node) const {
    return target.row(first_row + index(node));
  }
};

// Whatever a drafter does, the text is the target's; it decides only how fast.
//
// A round is begin(); then, as long as append() appends nodes, a pass of the draft model and
// take(); then finish(), the target's pass, and see(). Texts of a batch share the passes. A drafter
// that needs none proposes in begin(), and is done.
//
// Threads: one at a time. A drafter serves one text at a time.
class Drafter {
 public:
  virtual ~Drafter() = default;

  // A new text with this prompt, and its end, whatever the reason.
  virtual void begin_text(std::span<const TokenId> /*prompt*/) {}
  virtual void end_text() {}

  virtual void begin(DraftRound& round) = 0;
  // Appends this text's nodes of the next pass through round.reader; none: there is no further one.
  [[nodiscard]] virtual PassOutcome append(DraftRound& /*round*/, const DraftRoom& /*room*/,
                                           std::vector<PassNode>& /*pass*/) {
    return PassOutcome::ok;
  }
  // The pass took place: round.reader has its rows.
  virtual void take(DraftRound& /*round*/) {}
  virtual void finish(DraftRound& /*round*/) {}

  // The walk. Rows are gone afterwards.
  virtual void see(const VerifiedTree& /*verified*/) {}

  // Whether everything proposed in this round must be verified, or nothing of it, because the
  // verifier counts on it. Otherwise what is not worth its price is left out.
  [[nodiscard]] virtual bool is_indivisible() const { return false; }
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_DRAFTER_H_
