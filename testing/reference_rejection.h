// Recursive rejection once more, as plainly as possible and in double: the oracle of the tests, and
// the same with one thing wrong, for the tests to catch.
#ifndef GUMBELSPEC_TESTING_REFERENCE_REJECTION_H_
#define GUMBELSPEC_TESTING_REFERENCE_REJECTION_H_

#include <memory>

#include "gumbelspec/session.h"
#include "testing/table_model.h"

namespace gumbelspec::testing {

enum class RejectionFault {
  none,
  resample_from_p,         // after a rejection from p, not from what is left of it
  draft_not_renormalised,  // q without the rejected tokens, but not scaled up to 1 again
  draft_noise_reused,      // the last draw takes the noise that drew the candidates
  uniform_reused,          // one uniform number for all candidates of a node
  candidates_dropped,      // candidates that the draft itself finds unlikely are not verified
};

// Decides on the candidates of a `rejection` or `rejection-tree` session. Its draft and sampling
// must be the session's, and outlive it.
[[nodiscard]] std::unique_ptr<Verifier> make_reference_rejection(const TableModel& draft,
                                                                 const SamplingOptions& sampling,
                                                                 RejectionFault fault);

}  // namespace gumbelspec::testing

#endif  // GUMBELSPEC_TESTING_REFERENCE_REJECTION_H_
