// Which steps of a plan have to wait for which.
#ifndef GUMBELSPEC_KERNELS_SRC_HAZARDS_H_
#define GUMBELSPEC_KERNELS_SRC_HAZARDS_H_

#include <cstdint>
#include <vector>

#include "ggml.h"

namespace gumbelspec::kernels {

struct Range {
  uintptr_t begin, end;
  bool overlaps(const Range& r) const { return begin < r.end && r.begin < end; }
};

inline Range range_of(const ggml_tensor* t) {
  const auto begin = reinterpret_cast<uintptr_t>(t->data);
  return {begin, begin + ggml_nbytes(t)};
}

// What has been read and written since the last barrier.
class Hazards {
 public:
  void read(const Range& r) { step_reads_.push_back(r); }
  void write(const Range& r) { step_writes_.push_back(r); }
  // Ends the description of a step. Returns: whether it must wait for the earlier ones.
  bool commit() {
    const bool wait =
        any(step_reads_, writes_) || any(step_writes_, writes_) || any(step_writes_, reads_);
    if (wait) {
      reads_.clear();
      writes_.clear();
    }
    reads_.insert(reads_.end(), step_reads_.begin(), step_reads_.end());
    writes_.insert(writes_.end(), step_writes_.begin(), step_writes_.end());
    step_reads_.clear();
    step_writes_.clear();
    return wait;
  }

 private:
  static bool any(const std::vector<Range>& a, const std::vector<Range>& b) {
    for (const Range& x : a) {
      for (const Range& y : b) {
        if (x.overlaps(y)) return true;
      }
    }
    return false;
  }
  std::vector<Range> reads_, writes_, step_reads_, step_writes_;
};

}  // namespace gumbelspec::kernels

#endif  // GUMBELSPEC_KERNELS_SRC_HAZARDS_H_
