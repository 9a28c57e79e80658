#include "gumbelspec/calibration_store.h"

#include <algorithm>
#include <utility>

#include "gumbelspec/sampling.h"

namespace gumbelspec {

CalibrationKey CalibrationKey::of(const SamplingOptions& sampling, float tau) {
  return {.temperature = sampling.temperature,
          .top_k = sampling.top_k,
          .top_p = sampling.top_p,
          .min_p = sampling.min_p,
          .tau = tau};
}

const CalibrationRecord* CalibrationStore::find(const CalibrationKey& key) const {
  const auto found = std::find_if(records_.begin(), records_.end(),
                                  [&](const auto& record) { return record.key == key; });
  return found == records_.end() ? nullptr : &*found;
}

void CalibrationStore::keep(CalibrationRecord record) {
  std::erase_if(records_, [&](const auto& old) { return old.key == record.key; });
  if (records_.size() == kMost) records_.erase(records_.begin());
  records_.push_back(std::move(record));
}

}  // namespace gumbelspec
