// What decides which drafted nodes are accepted, and what comes next.
#ifndef GUMBELSPEC_VERIFIER_H_
#define GUMBELSPEC_VERIFIER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "gumbelspec/draft_tree.h"
#include "gumbelspec/language_model.h"
#include "gumbelspec/noise_table.h"
#include "gumbelspec/sampling.h"
#include "gumbelspec/token_constraint.h"
#include "gumbelspec/walk.h"

namespace gumbelspec {

// The library's own is the walk under shared noise; the interface exists for methods to compare
// with, and for the tests' sabotaged samplers. Unlike a drafter, a verifier can break the text.
class Verifier {
 public:
  virtual ~Verifier() = default;

  // The target's pass over a tree.
  struct Round {
    const DraftTree& tree;
    const LanguageModel& target;
    std::size_t first_row = 0;
    std::span<const TokenId> text;  // accepted; the last token is the root
    LogWeights& weights;
    NoiseTable& noise;
    NoiseKey key;
    std::size_t n_prompt = 0;               // of text
    TokenConstraint* constraint = nullptr;  // null: none
    std::span<const std::uint32_t> allowed_below_root = {};

    // The logits below a node. Shape: [n_vocab].
    [[nodiscard]] std::span<const float> row(NodeId node) const {
      return target.row(first_row + index(node));
    }
    // Which tokens may follow the root and then `path`, as LogWeights takes it.
    // Lifetime: until the next call. Throws: what the constraint throws.
    [[nodiscard]] std::span<const std::uint32_t> allowed(std::span<const TokenId> path) const {
      if (constraint == nullptr || path.empty()) return allowed_below_root;
      return constraint->allowed(text.subspan(n_prompt), path);
    }
  };
  virtual void verify(const Round& round, WalkResult& result) = 0;
};

// The choice of the target at a node: log-weights of its row plus the noise of its position.
[[nodiscard]] std::unique_ptr<Verifier> make_walk_verifier();

}  // namespace gumbelspec

#endif  // GUMBELSPEC_VERIFIER_H_
