// The rejection methods on a recorded text.
#ifndef GUMBELSPEC_APPS_BENCH_HINDSIGHT_H_
#define GUMBELSPEC_APPS_BENCH_HINDSIGHT_H_

#include <memory>

#include "apps/bench/trace.h"
#include "gumbelspec/drafter.h"
#include "gumbelspec/language_model.h"
#include "gumbelspec/method.h"

namespace gumbelspec::apps::bench {

// Draws which candidates a rejection method had, given that its text came out as recorded. A text
// of the method has the target's distribution, as the recorded one has, so text and acceptances
// together have the distribution of a real run. Given the token y of a position, the candidate
// drawn next was accepted with probability min(1, q(y) / p(y)); if not, it was some x of
// norm(max(q - p, 0)), whichever y is, p becomes norm(max(p - q, 0)) and q loses x. (Of the pairs
// of candidate and token, y accepted has probability min(p(y), q(y)), and x rejected with y later
// max(q - p, 0)(x) times norm(max(p - q, 0))(y).)
//
// The walk under the recorded noise then finds the recorded tokens again, so the session needs no
// other verifier. Candidates that are not the text's are placeholders: nothing below them can be
// accepted, and what the draft says there does not change the shape of the tree.
// Requires: the method is rejection or rejection-tree; the text's temperature is above 0.
[[nodiscard]] std::unique_ptr<Drafter> make_hindsight_drafter(const ModelLimits& draft,
                                                              const Method& method,
                                                              const TraceText& text,
                                                              float temperature);

}  // namespace gumbelspec::apps::bench

#endif  // GUMBELSPEC_APPS_BENCH_HINDSIGHT_H_
