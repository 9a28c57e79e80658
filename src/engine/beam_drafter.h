// Beam search with a draft model under the shared noise; a chain is a beam of width 1.
#ifndef GUMBELSPEC_ENGINE_BEAM_DRAFTER_H_
#define GUMBELSPEC_ENGINE_BEAM_DRAFTER_H_

#include <memory>

#include "gumbelspec/drafter.h"
#include "gumbelspec/method.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec {

// Each level costs one pass of the draft over `width` nodes. The child v of a node is worth
// log softmax(score / tau)(v) more than the node, score = log-weight + noise; the best `width` of
// all children make the next level.
// draft: limits of the model whose reading a round brings. Throws: Error{invalid_option}.
[[nodiscard]] std::unique_ptr<Drafter> make_beam_drafter(const ModelLimits& draft,
                                                         const SamplingOptions& sampling,
                                                         const Method& method);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_BEAM_DRAFTER_H_
