// A drafter whose round is cut into steps, so that several texts can share the draft's passes.
//
// begin, then as often as append() adds nodes: the pass, take; then finish, and the walk's accept.
// Drafter::draft() is the same for one text alone.
#ifndef GUMBELSPEC_ENGINE_STEP_DRAFTER_H_
#define GUMBELSPEC_ENGINE_STEP_DRAFTER_H_

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "gumbelspec/drafter.h"
#include "src/engine/draft_reader.h"
#include "src/engine/planner.h"

namespace gumbelspec {

class StepDrafter : public Drafter {
 public:
  // What the draft's pass can still hold of this text.
  struct Room {
    std::size_t n_nodes = 0;  // at least 1
    std::size_t n_ends = 0;   // branch ends, besides those that are pending
  };

  // The tree becomes a tree below its root in finish(). Lifetime: all three until then.
  virtual void begin(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) = 0;
  // Appends this text's nodes of the next pass; none: there is no further one. In the first pass of
  // a round the draft may have to read more than that, and does so at once.
  [[nodiscard]] virtual PassOutcome append(const Room& room, std::vector<PassNode>& pass) = 0;
  // The pass took place; this text's rows begin with number first_row.
  virtual void take(std::size_t first_row) = 0;
  // The last pass, of so many nodes, was this text's alone: learns what it cost.
  virtual void observe_pass(std::size_t /*n_nodes*/) {}
  // Builds the tree.
  virtual void finish() = 0;
  // Nodes of the tree were left out. Shape: as DraftTree::prune().
  virtual void renumber(std::span<const NodeId> new_ids) = 0;

  // Null: the size of the tree is fixed. Otherwise the planner decides in append() and in finish(),
  // or somebody else how many of values() the tree gets, with finish(n).
  [[nodiscard]] virtual Planner* planner() { return nullptr; }
  [[nodiscard]] virtual std::span<const double> values() const { return {}; }  // descending
  virtual void finish(std::size_t /*n*/) { finish(); }
  // Whether the last append() was only for learning: its tokens, or 0.
  [[nodiscard]] virtual std::size_t n_probe() const { return 0; }
  // Whether append() read nothing in a pass of its own.
  [[nodiscard]] virtual bool is_one_pass() const { return true; }

  [[nodiscard]] virtual DraftReader& reader() = 0;
  [[nodiscard]] virtual const DraftReader& reader() const = 0;

  // Drafter.
  [[nodiscard]] PassOutcome draft(const DraftRequest& request, NoiseTable& noise,
                                  DraftTree& tree) final;
  [[nodiscard]] PassOutcome start(std::span<const TokenId> prompt) override {
    return reader().start(prompt);
  }
  [[nodiscard]] std::size_t n_passes() const override { return reader().n_passes(); }
  [[nodiscard]] double pass_s() const override { return reader().pass_s(); }

 protected:
  // n_level: nodes of this text in a pass.
  explicit StepDrafter(std::size_t n_level) { pass_.reserve(n_level); }

 private:
  std::vector<PassNode> pass_;
};

// As make_model_drafter().
[[nodiscard]] std::unique_ptr<StepDrafter> make_model_step_drafter(LanguageModel& model,
                                                                   const SamplingOptions& sampling,
                                                                   const Method& method);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_STEP_DRAFTER_H_
