#include "src/engine/mask_share.h"

#include <algorithm>

namespace gumbelspec {

std::span<const std::uint32_t> TimedConstraint::allowed(std::span<const TokenId> generated,
                                                        std::span<const TokenId> path) {
  const double start = clock_.seconds();
  // Also what ends in an error took its time.
  struct Entry {
    const Clock& clock;
    double start;
    double& seconds;
    ~Entry() { seconds += clock.seconds() - start; }
  } const entry{clock_, start, seconds_};
  return constraint_->allowed(generated, path);
}

void MaskShare::end_round(double passed_s, std::size_t n_owing) {
  if (constraint_ == nullptr) return;
  owed_ += taken();
  entered_s_ = constraint_->seconds();
  if (owed_ <= 0.0) return;
  const double share =
      std::min(kOfText, kOfAll / static_cast<double>(std::max<std::size_t>(1, n_owing)));
  owed_ = std::max(0.0, owed_ - share * passed_s);
}

}  // namespace gumbelspec
