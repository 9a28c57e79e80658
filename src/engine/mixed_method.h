// Planned trees that may also use rejection (Guarantee::distribution): three methods, called arms,
// take turns: gumbel-tree, block verification of a chain (never worse than its rejection), and
// rejection of a tree.
//
// The text is cut into blocks, counted from the prompt's end, and each block has one arm. Which one
// is chosen by what the arms brought and took so far, before anything that is random in the block's
// positions is looked at. That keeps the distribution; docs/exactness.md has the argument.
#ifndef GUMBELSPEC_ENGINE_MIXED_METHOD_H_
#define GUMBELSPEC_ENGINE_MIXED_METHOD_H_

#include <cstddef>
#include <functional>

#include "gumbelspec/language_model.h"
#include "gumbelspec/text_options.h"
#include "src/engine/methods.h"

namespace gumbelspec {

enum class Arm : std::size_t { gumbel_tree, block, rejection_tree };
inline constexpr std::size_t kArms = 3;

struct MixedOptions {
  std::size_t block = 64;  // positions
  // For tests: the arm of the block whose first position is given. Empty: the fastest.
  std::function<Arm(std::size_t)> choose = {};
};

// Drafter and verifier of a text whose options say is_mixed(). All arms read the text through the
// one reading that a round brings. draft: the limits of that model; n_vocab: the target's.
// Throws: Error{invalid_option}.
[[nodiscard]] MethodParts make_mixed_method(const TextOptions& options, const ModelLimits& draft,
                                            std::size_t n_vocab, const MixedOptions& mixed = {});

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_MIXED_METHOD_H_
