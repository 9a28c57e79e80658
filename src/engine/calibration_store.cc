#include "gumbelspec/calibration_store.h"

#include <algorithm>
#include <utility>

#include "gumbelspec/sampling.h"

namespace gumbelspec {
namespace {

// kind: SamplingOptions or another record, which call these things the same.
template <class Kind>
bool is_of(const CalibrationRecord& record, const Kind& kind, float tau) {
  return record.temperature == kind.temperature && record.top_k == kind.top_k &&
         record.top_p == kind.top_p && record.min_p == kind.min_p && record.tau == tau;
}

}  // namespace

const CalibrationRecord* CalibrationStore::find(const SamplingOptions& sampling, float tau) const {
  const auto found = std::find_if(records_.begin(), records_.end(),
                                  [&](const auto& record) { return is_of(record, sampling, tau); });
  return found == records_.end() ? nullptr : &*found;
}

void CalibrationStore::keep(CalibrationRecord record) {
  std::erase_if(records_, [&](const auto& old) { return is_of(old, record, record.tau); });
  if (records_.size() == kMost) records_.erase(records_.begin());
  records_.push_back(std::move(record));
}

}  // namespace gumbelspec
