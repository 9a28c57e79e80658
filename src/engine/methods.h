// What the methods are made of: one place that knows them all.
#ifndef GUMBELSPEC_ENGINE_METHODS_H_
#define GUMBELSPEC_ENGINE_METHODS_H_

#include <array>
#include <cstddef>
#include <memory>

#include "gumbelspec/draft_sources.h"
#include "gumbelspec/drafter.h"
#include "gumbelspec/method.h"
#include "gumbelspec/proposals.h"
#include "gumbelspec/text_options.h"
#include "gumbelspec/verifier.h"

namespace gumbelspec {

// Stretches of a text that gumbel-tree, rejection and rejection-tree were used for.
using BlocksByArm = std::array<std::size_t, 3>;

struct MethodParts {
  std::shared_ptr<Drafter> drafter;           // null: plain decoding
  std::shared_ptr<Verifier> verifier;         // null: the walk
  std::shared_ptr<const BlocksByArm> blocks;  // null: one method all the way
};

// Whether a text of these options may use rejection as well as gumbel-tree.
[[nodiscard]] bool is_mixed(const TextOptions& options);

// Children per node that gumbel-tree looks at with this draft; one, where trees are chains.
[[nodiscard]] std::size_t n_ranks(const ModelLimits& draft);

// The sources that a text of these options uses. draft: null: there is none.
[[nodiscard]] DraftSources sources_of(const TextOptions& options, const ModelLimits* draft);

// The nodes that a round of the options can have, for Proposals.
// draft: null: there is none.
[[nodiscard]] Proposals::Limits proposal_limits(const TextOptions& options,
                                                const ModelLimits* draft, std::size_t n_vocab);

// Drafter and verifier of options.method; what the options bring themselves is left out.
// draft: of the model whose reading the drafter will be lent; null: there is none, and nothing that
// needs one is made. n_vocab: the target's. Throws: Error{invalid_option}.
[[nodiscard]] MethodParts make_method(const TextOptions& options, const ModelLimits* draft,
                                      std::size_t n_vocab);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_METHODS_H_
