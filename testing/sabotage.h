// Samplers that are wrong in ways that real ones have been. A test of exactness is worth what it
// catches, so each of these must be caught.
#ifndef GUMBELSPEC_TESTING_SABOTAGE_H_
#define GUMBELSPEC_TESTING_SABOTAGE_H_

#include <span>
#include <string_view>

#include "gumbelspec/session.h"
#include "testing/table_model.h"

namespace gumbelspec::testing {

enum class Sabotage {
  none,
  exponential_noise,     // -log u instead of -log(-log u): the argmax is no longer a sample
  reused_noise,          // the same noise at two neighbouring positions: tokens are correlated
  ratio_test,            // accept with min(1, p/q) and resample the rest, under the shared noise:
                         // the ratio test assumes that draft and residual are independent
  fresh_noise_per_path,  // new noise for every path, and any path that matches is taken: tokens
                         // that are drafted often get more than their share
  // Of the rejection methods: see RejectionFault.
  resample_from_p,
  draft_not_renormalised,
  draft_noise_reused,
  uniform_reused,
  candidates_dropped,
};

// "none", "exponential-noise", ... in the order of the enum.
[[nodiscard]] std::span<const std::string_view> sabotage_names();

// Puts the sabotage into the session that is made of these. Some need to know the draft's
// distribution. Lifetime: the draft and options.sampling outlive the session.
void put_in(Sabotage sabotage, const TableModel& draft, TextOptions& options, SessionParts& parts);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_SABOTAGE_H_
