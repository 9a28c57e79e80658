// Which tokens may follow, beyond the sampling options: a grammar.
#ifndef GUMBELSPEC_TOKEN_CONSTRAINT_H_
#define GUMBELSPEC_TOKEN_CONSTRAINT_H_

#include <cstdint>
#include <memory>
#include <span>

#include "gumbelspec/types.h"

namespace gumbelspec {

// Of one text. Threads: one at a time.
class TokenConstraint {
 public:
  virtual ~TokenConstraint() = default;
  // A bit per token, least significant first, 0 = forbidden; at least one is allowed.
  // generated: the text after the prompt; path: the nodes of a draft below it.
  // Shape: [(n_vocab + 31) / 32] words.
  // The result must depend on generated and path alone. From round to round, generated grows by the
  // part of a path that was accepted, and the token after it.
  // Lifetime: until the next call.
  [[nodiscard]] virtual std::span<const std::uint32_t> allowed(std::span<const TokenId> generated,
                                                               std::span<const TokenId> path) = 0;
};

// What texts have to look like, compiled once for any number of them: each gets a matcher of its
// own. It does not change.
// Threads: any number at once; its matchers may be used by different threads, too.
class Grammar {
 public:
  virtual ~Grammar() = default;
  // For a text from its beginning. Lifetime: the matcher does not need the grammar any more.
  [[nodiscard]] virtual std::unique_ptr<TokenConstraint> matcher() const = 0;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_TOKEN_CONSTRAINT_H_
