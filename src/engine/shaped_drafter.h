// Drafters whose tree has its shape before any of its tokens is drawn.
#ifndef GUMBELSPEC_ENGINE_SHAPED_DRAFTER_H_
#define GUMBELSPEC_ENGINE_SHAPED_DRAFTER_H_

#include <cstddef>
#include <span>
#include <vector>

#include "gumbelspec/drafter.h"
#include "gumbelspec/method.h"
#include "src/engine/draft_levels.h"
#include "src/engine/tree_shape.h"

namespace gumbelspec {

// The shape is that of the highest expected acceptance by what this text has shown so far, rank by
// rank (TreeShape). Nothing of the tree may be left out: its verifier counts on every candidate.
class ShapedDrafter : public Drafter {
 public:
  // method: rejection, block or rejection_tree.
  ShapedDrafter(const ModelLimits& draft, const Method& method);

  void begin(DraftRound& round) override;
  PassOutcome append(DraftRound& round, const DraftRoom& room, std::vector<PassNode>& pass) final;
  void take(DraftRound& round) final;
  [[nodiscard]] bool is_indivisible() const final { return true; }

 protected:
  // The candidates of a proposal, in the order of their ranks; logits: the draft's, below it.
  // Shape: at most out.size(), only their tokens are looked at. Returns: how many.
  virtual std::size_t draw(DraftRound& round, std::size_t node, std::span<const float> logits,
                           std::span<Candidate> out) = 0;
  [[nodiscard]] virtual const AcceptanceRates& rates() const = 0;

 private:
  // A proposal and its place in the shape.
  struct Placed {
    std::size_t node = 0;
    int place = 0;
  };
  [[nodiscard]] const ShapeNode& shape_of(const Placed& placed) const {
    return shape_.nodes()[static_cast<std::size_t>(placed.place)];
  }
  void add_children(DraftRound& round, const Placed& parent, std::span<const float> logits);

  std::size_t max_leaves_;
  std::size_t max_pass_nodes_;
  Method method_;
  DraftLevels levels_;
  TreeShape shape_;
  // Those of a level that the shape gives children, as far as they fit into the draft's pass.
  std::vector<Placed> level_;
  std::vector<Placed> next_;
  std::vector<std::size_t> nodes_;
  std::vector<Candidate> candidates_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_SHAPED_DRAFTER_H_
