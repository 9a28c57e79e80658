// Options of planned trees: their bounds, and what passes cost on this machine.
#ifndef GUMBELSPEC_APPS_CLI_PLANNER_OPTIONS_H_
#define GUMBELSPEC_APPS_CLI_PLANNER_OPTIONS_H_

#include <memory>
#include <optional>
#include <string>

#include "apps/common/model_options.h"
#include "gumbelspec/method.h"
#include "gumbelspec/session.h"
#include "src/pair/cost_cache.h"

namespace gumbelspec::apps::cli {

struct PlannerOptions {
  std::optional<int> draft_max;         // nodes verified per round
  std::optional<int> draft_levels;      // levels of the tree
  std::optional<int> draft_width;       // nodes of a level
  std::optional<DraftSources> sources;  // besides a draft model; none: the library's default
  bool names_model = false;             // --draft names the draft model or head
  std::optional<Guarantee> guarantee;   // none: what the method keeps
  bool uses_cost_cache = true;
};

void add_planner_options(Arguments& arguments, PlannerOptions& options);

// Throws: Error{invalid_option} where --draft names a model or head that there is not.
void check_named_model(const PlannerOptions& options, const ModelOptions& models);

// The method, by default the library's, within the bounds. Throws: Error{invalid_option} if it has
// none, or is outside what the guarantee allows.
[[nodiscard]] Method bounded_method(const std::optional<Method>& wanted,
                                    const PlannerOptions& options);

// What is known about these models from earlier runs.
[[nodiscard]] CostCache cost_cache_of(const Models& models, const ModelOptions& options,
                                      const PlannerOptions& planner);

// What passes of these models cost: from the cache if it has been measured on this machine with
// these models and options, otherwise measured now and, if the machine was quiet, kept. Null where
// the method does not plan. Throws: Stopped if a signal came meanwhile.
[[nodiscard]] std::shared_ptr<CostModel> costs_for(const Method& method, const Models& models,
                                                   const CostCache& cache, Progress& progress);

}  // namespace gumbelspec::apps::cli

#endif  // GUMBELSPEC_APPS_CLI_PLANNER_OPTIONS_H_
