// Masks at drafted nodes: what a text's constraint leaves below them.
#ifndef GUMBELSPEC_ENGINE_DRAFT_MASK_H_
#define GUMBELSPEC_ENGINE_DRAFT_MASK_H_

#include <cstddef>
#include <cstdint>
#include <span>

#include "gumbelspec/drafter.h"
#include "gumbelspec/error.h"
#include "gumbelspec/proposals.h"
#include "gumbelspec/token_constraint.h"
#include "src/engine/mask_share.h"

namespace gumbelspec {

// Empty: all tokens may follow, or it is not known. Without it nothing below the first level would
// be drafted that the target may say. in_time: not known either once the text's masks have taken
// what they may, which depends on the clock. Lifetime: until the constraint is asked again.
inline std::span<const std::uint32_t> allowed_below(const DraftRound& round, std::size_t node,
                                                    bool in_time) {
  if (node == 0) return round.allowed;
  if (round.constraint == nullptr) return {};
  if (in_time) {
    const auto* timed = dynamic_cast<const TimedConstraint*>(round.constraint);
    if (timed != nullptr && !timed->serves_drafts()) return {};
  }
  try {
    return round.constraint->allowed(round.text.subspan(round.n_prompt),
                                     round.proposals->path(node));
  } catch (const Error&) {
    return {};  // the text may never come there; if it does, the target says so
  }
}

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_DRAFT_MASK_H_
