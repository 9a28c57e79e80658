#include "src/engine/method_parts.h"

#include "gumbelspec/error.h"
#include "src/engine/tree_drafter.h"

namespace gumbelspec {

void add_method_parts(const SessionOptions& options, LanguageModel& draft, SessionParts& parts) {
  const Method& method = options.method;
  switch (method.kind) {
    case MethodKind::gumbel_chain:
    case MethodKind::gumbel_beam:
      if (!parts.drafter) parts.drafter = make_model_drafter(draft, options.sampling, method);
      return;
    case MethodKind::gumbel_tree:
      if (!parts.drafter) {
        parts.drafter = make_tree_drafter(draft, options.sampling, method, options.costs);
      }
      return;
    case MethodKind::ar:
    case MethodKind::rejection:
    case MethodKind::rejection_tree:
    case MethodKind::greedy_chain:
      break;
  }
  throw Error(ErrorCode::invalid_option, "method " + to_string(method) + " is not built in");
}

}  // namespace gumbelspec
