#include "src/engine/methods.h"

#include <algorithm>

#include "src/engine/beam_drafter.h"
#include "src/engine/mixed_method.h"
#include "src/engine/rejection.h"
#include "src/engine/text_sources.h"
#include "src/engine/tree_drafter.h"
#include "src/engine/tree_shape.h"

namespace gumbelspec {
namespace {

// Children per node that gumbel-tree looks at; one that is 16th by score is the target's choice
// less than once in a hundred times, and then a lucky one.
constexpr std::size_t kRanks = 16;

MethodParts make_rejection(const TextOptions& options, const ModelLimits& draft) {
  const auto round = make_drafted_round(draft, options.sampling, options.method);
  return {.drafter = make_rejection_drafter(draft, options.sampling, options.method, round),
          .verifier = options.method.kind == MethodKind::block ? make_block_verifier(round)
                                                               : make_rejection_verifier(round)};
}

}  // namespace

bool is_mixed(const TextOptions& options) {
  return options.method.is_planned() && options.guarantee == Guarantee::distribution &&
         !options.drafter && !options.verifier;
}

std::size_t n_ranks(const ModelLimits& draft) { return draft.max_leaves > 1 ? kRanks : 1; }

DraftSources sources_of(const TextOptions& options, const ModelLimits* draft) {
  if (options.method.kind != MethodKind::gumbel_tree || options.drafter) return {};
  return options.method.sources.value_or(draft == nullptr ? DraftSources::all()
                                                          : DraftSources::none());
}

Proposals::Limits proposal_limits(const TextOptions& options, const ModelLimits* draft,
                                  std::size_t n_vocab) {
  const Method& method = options.method;
  const auto width = static_cast<std::size_t>(method.width);
  const auto length = static_cast<std::size_t>(method.length);
  const auto n_nodes = std::max(width * length, static_cast<std::size_t>(method.node_limit()));
  const bool draws = !method.keeps_seed() || is_mixed(options);
  // A look may end in a proposal for each source.
  const std::size_t n_looks = sources_of(options, draft).any() ? 3 * TextSources::kMostLooks : 0;
  return {.n_vocab = n_vocab,
          .n_expanded = n_nodes + 1 + n_looks,
          .n_ranks = draws ? kMaxChildren : std::max(kRanks, width),
          .n_nodes = n_nodes,
          .n_levels = length};
}

MethodParts make_method(const TextOptions& options, const ModelLimits* draft, std::size_t n_vocab) {
  if (options.drafter) return {};
  const DraftSources sources = sources_of(options, draft);
  if (draft == nullptr) {
    if (!sources.any()) return {};
    return {.drafter = make_source_drafter(sources, options.sampling, n_vocab)};
  }
  const Method& method = options.method;
  switch (method.kind) {
    case MethodKind::ar:
      return {};
    case MethodKind::gumbel_chain:
    case MethodKind::gumbel_beam:
      return {.drafter = make_beam_drafter(*draft, options.sampling, method)};
    case MethodKind::greedy_chain: {
      SamplingOptions greedy = options.sampling;
      greedy.temperature = 0.0F;
      greedy.dynatemp_range = 0.0F;
      greedy.samplers.reset();
      greedy.mirostat = 0;
      return {.drafter = make_beam_drafter(*draft, greedy, method)};
    }
    case MethodKind::rejection:
    case MethodKind::rejection_tree:
    case MethodKind::block:
      return make_rejection(options, *draft);
    case MethodKind::gumbel_tree:
      if (is_mixed(options)) return make_mixed_method(options, *draft, n_vocab);
      return {.drafter = make_tree_drafter(*draft, options.sampling, method, sources, n_vocab)};
  }
  return {};
}

}  // namespace gumbelspec
