#include "src/engine/step_drafter.h"

#include <algorithm>

#include "src/engine/stopwatch.h"

namespace gumbelspec {

PassOutcome StepDrafter::draft(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) {
  begin(request, noise, tree);
  LanguageModel& model = reader().model();
  const ModelLimits& limits = model.limits();
  for (;;) {
    pass_.clear();
    const std::size_t n_ends = std::min(reader().n_ends(), limits.max_leaves);
    PassOutcome outcome = append({limits.max_pass_nodes, limits.max_leaves - n_ends}, pass_);
    if (outcome == PassOutcome::ok && pass_.empty()) break;
    if (outcome == PassOutcome::ok) {
      const Stopwatch watch;
      outcome = model.evaluate(pass_);
      reader().count_pass(watch.seconds());
    }
    if (outcome == PassOutcome::cancelled) return outcome;
    if (outcome == PassOutcome::no_space) break;  // verify what there is
    take(0);
    observe_pass(pass_.size());
  }
  finish();
  return PassOutcome::ok;
}

}  // namespace gumbelspec
