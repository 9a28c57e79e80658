#include "gumbelspec/calibration_store.h"

#include <algorithm>
#include <utility>

#include "gumbelspec/sampling.h"

namespace gumbelspec {

const CalibrationRecord* CalibrationStore::find(const SamplingOptions& sampling, float tau) const {
  const auto found = std::find_if(records_.begin(), records_.end(), [&](const auto& record) {
    return record.temperature == sampling.temperature && record.top_k == sampling.top_k &&
           record.top_p == sampling.top_p && record.min_p == sampling.min_p && record.tau == tau;
  });
  return found == records_.end() ? nullptr : &*found;
}

void CalibrationStore::keep(CalibrationRecord record) {
  std::erase_if(records_, [&](const CalibrationRecord& old) {
    return old.temperature == record.temperature && old.top_k == record.top_k &&
           old.top_p == record.top_p && old.min_p == record.min_p && old.tau == record.tau;
  });
  if (records_.size() == kMost) records_.erase(records_.begin());
  records_.push_back(std::move(record));
}

}  // namespace gumbelspec
