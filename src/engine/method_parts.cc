#include "src/engine/method_parts.h"

#include <stdexcept>

#include "src/engine/mixed_method.h"
#include "src/engine/rejection.h"
#include "src/engine/tree_drafter.h"

namespace gumbelspec {

void add_method_parts(const SessionOptions& options, LanguageModel& draft, SessionParts& parts) {
  const Method& method = options.method;
  switch (method.kind) {
    case MethodKind::gumbel_chain:
    case MethodKind::gumbel_beam:
      if (!parts.drafter) parts.drafter = make_model_drafter(draft, options.sampling, method);
      return;
    case MethodKind::greedy_chain:
      if (!parts.drafter) {
        SamplingOptions greedy = options.sampling;
        greedy.temperature = 0.0F;
        parts.drafter = make_model_drafter(draft, greedy, method);
      }
      return;
    case MethodKind::rejection:
    case MethodKind::rejection_tree: {
      const auto round = make_drafted_round(draft, options.sampling, method);
      if (!parts.drafter) {
        parts.drafter = make_rejection_drafter(draft, options.sampling, method, round);
      }
      if (!parts.verifier) parts.verifier = make_rejection_verifier(round);
      return;
    }
    case MethodKind::gumbel_tree:
      if (options.guarantee == Guarantee::distribution && can_mix(method, draft) &&
          !parts.drafter && !parts.verifier) {
        add_mixed_parts(options, draft, {}, parts);
        return;
      }
      if (!parts.drafter) {
        parts.drafter =
            make_tree_drafter(draft, options.sampling, method, options.costs, options.calibrations);
      }
      return;
    case MethodKind::ar:
      break;
  }
  throw std::logic_error("add_method_parts: " + to_string(method) + " does not draft");
}

}  // namespace gumbelspec
