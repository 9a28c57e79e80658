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

namespace gumbelspec {

// Empty: all tokens may follow, or it is not known. Without it nothing below the first level would
// be drafted that the target may say. Lifetime: until the constraint is asked again.
inline std::span<const std::uint32_t> allowed_below(const DraftRound& round, std::size_t node) {
  if (node == 0) return round.allowed;
  if (round.constraint == nullptr) return {};
  try {
    return round.constraint->allowed(round.text.subspan(round.n_prompt),
                                     round.proposals->path(node));
  } catch (const Error&) {
    return {};  // the text may never come there; if it does, the target says so
  }
}

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_DRAFT_MASK_H_
