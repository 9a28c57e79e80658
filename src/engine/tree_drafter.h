// Best-first drafting under the shared noise (method gumbel-tree).
#ifndef GUMBELSPEC_ENGINE_TREE_DRAFTER_H_
#define GUMBELSPEC_ENGINE_TREE_DRAFTER_H_

#include <memory>

#include "gumbelspec/calibration_store.h"
#include "gumbelspec/planner.h"
#include "src/engine/step_drafter.h"

namespace gumbelspec {

// Level by level, one batched draft pass each: the best nodes that are not expanded yet get
// children, and of all nodes found the best are verified. method.max_nodes fixes their number, and
// then every node among the best is expanded; otherwise the planner decides.
// Requires: model outlives the drafter; costs is not null if method.is_planned().
// calibrations: where start() and end_text() look for and leave what the planner learnt; may be
// null. Throws: Error{invalid_option}.
[[nodiscard]] std::unique_ptr<StepDrafter> make_tree_drafter(
    LanguageModel& model, const SamplingOptions& sampling, const Method& method,
    std::shared_ptr<CostModel> costs, std::shared_ptr<CalibrationStore> calibrations = nullptr);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_TREE_DRAFTER_H_
