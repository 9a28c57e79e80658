// Which tokens may follow, beyond the sampling options: a grammar.
#ifndef GUMBELSPEC_TOKEN_CONSTRAINT_H_
#define GUMBELSPEC_TOKEN_CONSTRAINT_H_

#include <cstdint>
#include <span>

#include "gumbelspec/types.h"

namespace gumbelspec {

class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // A bit per token, least significant first, 0 = forbidden; at least one is allowed.
  // Shape: [(n_vocab + 31) / 32] words. It must be a function of generated and path alone; where a
  // round ends, generated has grown by a part of the paths that were asked about.
  // Lifetime: until the next call.
  [[nodiscard]] virtual std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                                               std::span<const TokenId> path) = 0;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_TOKEN_CONSTRAINT_H_
