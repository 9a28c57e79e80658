// The draft model's side of a round: a reader of the accepted text, and passes over the nodes of a
// tree. Drafters differ in what they do with its rows.
#ifndef GUMBELSPEC_ENGINE_DRAFT_SEQUENCE_H_
#define GUMBELSPEC_ENGINE_DRAFT_SEQUENCE_H_

#include <cstddef>
#include <span>
#include <vector>

#include "gumbelspec/draft_tree.h"
#include "gumbelspec/drafter.h"
#include "gumbelspec/language_model.h"
#include "src/engine/draft_reader.h"

namespace gumbelspec {

// A round is begin(), evaluate_root(), any number of evaluate(), accept(). Nodes of the tree that
// are never evaluated cost nothing; if they are accepted, the next round catches up with them.
// Lifetime: the model outlives it. Does not allocate within the sizes of the constructor.
class DraftSequence {
 public:
  // n_nodes: of the largest tree, root included; n_level: nodes of one evaluate() at most.
  DraftSequence(LanguageModel& model, std::size_t n_nodes, std::size_t n_level);

  // A new text. no_space: nothing of it can be drafted.
  [[nodiscard]] PassOutcome start(std::span<const TokenId> prompt);

  void begin();

  // Levels that can be drafted below the root, of `length` wanted ones: 0 behind the draft's
  // context, or behind a token that it does not know.
  [[nodiscard]] int levels(const DraftRequest& request, int length) const;

  // One pass over the root and what is missing before it, then one over nodes whose parents are
  // evaluated. Afterwards row(i) is the i-th node's; the root is number 0.
  [[nodiscard]] PassOutcome evaluate_root(std::span<const TokenId> text);
  [[nodiscard]] PassOutcome evaluate(const DraftTree& tree, std::span<const NodeId> nodes);
  // The same in a pass that is run elsewhere: append, then take. Of the nodes only the first ones
  // are appended that fit into n_most nodes and add at most n_ends branch ends.
  // Returns: how many.
  [[nodiscard]] PassOutcome append_root(std::span<const TokenId> text, std::size_t n_most,
                                        std::vector<PassNode>& pass);
  std::size_t append(const DraftTree& tree, std::span<const NodeId> nodes, std::size_t n_most,
                     std::size_t n_ends, std::vector<PassNode>& pass);
  void take_root(std::size_t first_row);
  void take(const DraftTree& tree, std::span<const NodeId> nodes, std::size_t first_row);
  // Shape: [model.limits().n_vocab]. Lifetime: until the next pass.
  [[nodiscard]] std::span<const float> row(std::size_t i) const {
    return reader_.row(first_row_ + i);
  }

  // After DraftTree::prune(): the nodes have these ids now.
  void renumber(std::span<const NodeId> new_ids);

  // The walk went down this path of the tree; path[0] is the root.
  void accept(std::span<const NodeId> path);

  [[nodiscard]] DraftReader& reader() { return reader_; }
  [[nodiscard]] const DraftReader& reader() const { return reader_; }
  [[nodiscard]] const ModelLimits& limits() const { return reader_.model().limits(); }
  // Since start(), the prompt's not counted.
  [[nodiscard]] std::size_t n_passes() const { return reader_.n_passes(); }
  [[nodiscard]] double pass_s() const { return reader_.pass_s(); }

 private:
  DraftReader reader_;
  std::size_t first_row_ = 0;       // of the last pass's first node that is of the tree
  std::vector<PendingId> pending_;  // by node, where the draft has evaluated it; may be shorter
  void set_nodes(const DraftTree& tree, std::span<const NodeId> nodes);
  void set_pending(const DraftTree& tree, std::span<const NodeId> nodes);

  std::vector<TokenId> tokens_;
  std::vector<PendingId> parents_;
  std::vector<PendingId> commit_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_DRAFT_SEQUENCE_H_
