// What is known about a pair of models from earlier runs: what their passes cost on this machine,
// and what the planner's values mean.
#ifndef GUMBELSPEC_PAIR_COST_CACHE_H_
#define GUMBELSPEC_PAIR_COST_CACHE_H_

#include <memory>
#include <string>
#include <vector>

#include "gumbelspec/calibration_store.h"
#include "gumbelspec/costs.h"
#include "gumbelspec/llama_model.h"

namespace gumbelspec {

// What of a target's options other costs, or another text, can come from; empty where none is
// given.
[[nodiscard]] std::string loading_details(const LlamaModelOptions& options);

// Files in one folder. Nothing here is needed: a file that is broken, older than 30 days or of
// another pair is as good as none, and where none can be written there is none.
class CostCache {
 public:
  // What a pass's time depends on besides what the models say themselves.
  struct Loaded {
    std::string target;  // paths
    std::string draft;
    std::vector<std::string> rpc_servers;
    std::string details;  // loading_details() of the target
    Attention attention = Attention::exact;
    bool uses_kernels = true;
  };

  // draft: null: there is none. is_used: otherwise nothing is read or kept.
  CostCache(const LlamaModel& target, const LlamaModel* draft, const Loaded& loaded, bool is_used);

  // Null: not known.
  [[nodiscard]] std::shared_ptr<CostModel> costs() const;
  void keep(const CostModel& costs) const;
  // Empty: nothing is known.
  [[nodiscard]] std::shared_ptr<CalibrationStore> calibrations() const;
  void keep(const CalibrationStore& calibrations) const;

 private:
  std::string folder_;  // empty: not used
  bool has_draft_ = false;
  std::string cost_key_;
  std::string calibration_key_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_PAIR_COST_CACHE_H_
