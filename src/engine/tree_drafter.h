// Best-first drafting under the shared noise (method gumbel-tree).
#ifndef GUMBELSPEC_ENGINE_TREE_DRAFTER_H_
#define GUMBELSPEC_ENGINE_TREE_DRAFTER_H_

#include <cstddef>
#include <memory>

#include "gumbelspec/draft_sources.h"
#include "gumbelspec/drafter.h"
#include "gumbelspec/method.h"
#include "gumbelspec/sampling.h"

namespace gumbelspec {

// A draft that was not used for a while reads this many tokens of what it missed.
inline constexpr std::size_t kProbeWindow = 24;

// Level by level, one batched draft pass each: the best nodes that are not expanded yet get
// children, and of all nodes found the best are verified. The round's planner decides how
// many; without one every node among the best is expanded, and method.node_limit() are verified.
// sources: propose below the root before the model does, and below what it proposes; where they
// leave too little open, the model drafts nothing.
// draft: limits of the model whose reading a round brings; n_vocab: the target's.
// Throws: Error{invalid_option}.
[[nodiscard]] std::unique_ptr<Drafter> make_tree_drafter(const ModelLimits& draft,
                                                         const SamplingOptions& sampling,
                                                         const Method& method,
                                                         const DraftSources& sources,
                                                         std::size_t n_vocab);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_TREE_DRAFTER_H_
