// Methods by name: how the next tokens are proposed, and in which shape.
#ifndef GUMBELSPEC_METHOD_H_
#define GUMBELSPEC_METHOD_H_

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "gumbelspec/draft_sources.h"
#include "gumbelspec/language_model.h"

namespace gumbelspec {

enum class MethodKind {
  ar,              // plain decoding: one token per target pass
  rejection,       // one chain of draft samples, accepted with min(1, p/q) (2211.17192, 2302.01318)
  rejection_tree,  // several samples without replacement, recursive rejection (2305.09781,
                   // 2402.14160)
  greedy_chain,    // the draft's likeliest tokens; accepted iff the target samples them (llama.cpp)
  gumbel_chain,    // one chain of the draft's own choices under the shared noise (2408.07978)
  gumbel_beam,     // beam search under the shared noise (the 2024 talk)
  gumbel_tree,     // best-first under the shared noise; its size is planned, or fixed by max_nodes
  block,           // one chain of draft samples, accepted as a whole (2403.10444)
};

// What a method has to keep.
enum class Guarantee {
  seed,          // the text of a seed is that of plain decoding
  distribution,  // the text's distribution is; planned trees may then use rejection, too
  automatic,     // seed for who gave a seed, distribution for who did not; see guarantee_for()
};

// What a text gets. TextOptions always have a seed, so whoever draws one decides by this.
[[nodiscard]] constexpr Guarantee guarantee_for(Guarantee wanted, bool has_seed) {
  if (wanted != Guarantee::automatic) return wanted;
  return has_seed ? Guarantee::seed : Guarantee::distribution;
}
// "seed", "distribution", "auto"; parse_guarantee() reads them back, and throws
// Error{invalid_option} for anything else.
[[nodiscard]] std::string_view to_string(Guarantee guarantee);
[[nodiscard]] Guarantee parse_guarantee(std::string_view text);

// The defaults are gumbel_tree's; of another kind, begin with Method::of(). Not every kind has
// every field: method.cc has the table, and validate() holds a method against it.
struct Method {
  [[nodiscard]] static Method of(MethodKind kind);

  MethodKind kind = MethodKind::gumbel_tree;
  // Nodes of a level that the draft evaluates, [1, 64]; a chain has one. A node of rejection_tree
  // may have more children than that, as long as there are nodes left.
  int width = 16;
  int length = 16;    // levels of the tree, [1, 64]
  int max_nodes = 0;  // drafted nodes verified per round, [0, 255]; 0: width * length, or, of
                      // gumbel_tree, as many as pay
  float tau = 0.5F;   // temperature of the values, (0, 10]; gumbel_tree: where learning begins
  bool keep_pruned = true;  // verify the beams that died on the way, too
  int most_nodes = 64;      // bound of a planned tree, [1, 255]
  // What gumbel_tree proposes besides what a draft model does; none given: everything where there
  // is no draft model, nothing where there is one.
  std::optional<DraftSources> sources = {};

  [[nodiscard]] bool drafts() const { return kind != MethodKind::ar; }
  // Whether a seed gives the text of plain decoding. Otherwise only the distribution is the same.
  [[nodiscard]] bool keeps_seed() const {
    return kind != MethodKind::rejection && kind != MethodKind::rejection_tree &&
           kind != MethodKind::block;
  }
  // Whether the tree's size is decided round by round.
  [[nodiscard]] bool is_planned() const {
    return kind == MethodKind::gumbel_tree && max_nodes == 0;
  }
  // Drafted nodes that a round verifies at most.
  [[nodiscard]] int node_limit() const {
    if (max_nodes > 0) return max_nodes;
    return is_planned() ? most_nodes : width * length;
  }
};

// "gumbel-beam", "gumbel-beam:width=4,length=5,tau=0.5,nodes=20,keep=0",
// "gumbel-tree:sources=suffix+recycled".
// Throws: Error{invalid_option} with the known names, keys and limits.
[[nodiscard]] Method parse_method(std::string_view text);

// Throws: Error{invalid_option} where a field is outside its limits, or has a value although the
// kind has no such field.
void validate(const Method& method);

// The shortest text that parse_method reads back: the name, and what differs from its defaults.
[[nodiscard]] std::string to_string(const Method& method);

[[nodiscard]] std::span<const std::string_view> method_names();

// What of a method these models can run: where the tree may not branch, as in recurrent and hybrid
// models, a chain is left; a target that can drop no evaluated token at all decodes plainly.
// `reason` is one line, empty if nothing changes.
struct PossibleMethod {
  Method method;
  std::string reason;
};
[[nodiscard]] PossibleMethod possible_method(const Method& wanted, const ModelLimits& target,
                                             const ModelLimits& draft);

}  // namespace gumbelspec

#endif  // GUMBELSPEC_METHOD_H_
