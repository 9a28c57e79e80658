// What is known about a pair of models from earlier runs: what their passes cost on this machine,
// and what the planner's values mean.
#ifndef GUMBELSPEC_APPS_CLI_COST_CACHE_H_
#define GUMBELSPEC_APPS_CLI_COST_CACHE_H_

#include <memory>
#include <string>

#include "apps/cli/model_options.h"
#include "gumbelspec/calibration_store.h"
#include "gumbelspec/planner.h"

namespace gumbelspec::cli {

// Files in one folder. Nothing here is needed: a file that is broken, older than 30 days or of
// another pair is as good as none, and where none can be written there is none.
class CostCache {
 public:
  // is_used: otherwise nothing is read or kept. Requires: both models are loaded.
  CostCache(const Models& models, const ModelOptions& options, bool is_used);

  // Null: not known.
  [[nodiscard]] std::shared_ptr<CostModel> costs() const;
  void keep(const CostModel& costs) const;
  // Empty: nothing is known.
  [[nodiscard]] std::shared_ptr<CalibrationStore> calibrations() const;
  void keep(const CalibrationStore& calibrations) const;

 private:
  std::string folder_;  // empty: not used
  std::string cost_key_;
  std::string calibration_key_;
};

// The folder of the cache: $XDG_CACHE_HOME or ~/.cache, then gumbelspec/costs; empty: there is
// none.
[[nodiscard]] std::string cost_cache_folder();

}  // namespace gumbelspec::cli

#endif  // GUMBELSPEC_APPS_CLI_COST_CACHE_H_
