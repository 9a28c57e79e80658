// Speculative sampling by rejection, with one candidate per node or several: the methods that the
// shared noise is compared with. Only the distribution is the target's, not the text of a seed.
//
// A node's candidates x_1, x_2, ... are drawn from the draft's distribution q without replacement.
// x_1 is accepted with probability min(1, p(x_1) / q(x_1)); if it is not, p becomes
// norm(max(p - q, 0)), q loses x_1, and x_2 is next. If none is accepted, the token is drawn from
// what is left of p; without candidates, from p. Why this is exact: docs/exactness.md.
// Source: Leviathan et al. 2211.17192, Chen et al. 2302.01318 (one candidate); RSD 2402.14160,
// SpecInfer 2305.09781, Sequoia 2402.12374 (several).
//
// Random numbers belong to positions, as the text's own noise does: the draft's Gumbel noise is of
// use kDraftUse, and uniform number i of a position of use kDecisionUse, 0 for the last draw and
// 1 + rank for a candidate.
#ifndef GUMBELSPEC_ENGINE_REJECTION_H_
#define GUMBELSPEC_ENGINE_REJECTION_H_

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <vector>

#include "gumbelspec/drafter.h"
#include "gumbelspec/method.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/verifier.h"
#include "src/engine/chain_acceptance.h"
#include "src/engine/tree_shape.h"

namespace gumbelspec {

inline constexpr std::uint32_t kDraftUse = 1;
inline constexpr std::uint32_t kDecisionUse = 2;
// A block's samples belong to its round: this and the position where it begins.
inline constexpr std::uint32_t kBlockUse = 1U << 28U;

[[nodiscard]] constexpr NoiseKey with_use(NoiseKey key, std::uint32_t use) {
  return {key.seed, key.stream, use};
}

// What the draft knows of a round that its verification needs, and the other way round.
class DraftedRound {
 public:
  // A node's candidates in the order in which they were drawn: ids that follow each other. Nothing
  // is left out of such a tree, so a node has the number of its proposal.
  struct Candidates {
    NodeId first{};
    int n = 0;
    std::span<float> log_q = {};  // [vocabulary that both models know], free to be overwritten
  };

  // n_rows: nodes whose distribution is kept; 0 where none is needed (temperature 0).
  DraftedRound(std::size_t n_nodes, std::size_t n_rows, std::size_t n_vocab);

  void begin();
  // The node has n candidates, `first` and those after it, drawn from this distribution.
  // Requires: in the order of the nodes.
  void add(NodeId node, NodeId first, int n, std::span<const float> log_q);
  // None where the tree was not drafted, or was given up. Throws: std::logic_error where it was
  // cut.
  [[nodiscard]] Candidates of(const DraftTree& tree, NodeId node);

  AcceptanceRates rates;
  ChainAcceptance chain;  // of MethodKind::block

 private:
  struct Entry {
    NodeId node{};
    NodeId first{};
    int n = 0;
  };
  std::size_t n_vocab_;
  std::size_t n_known_ = 0;
  std::vector<Entry> entries_;  // by rising node
  std::vector<float> rows_;     // [n_rows, n_vocab], row i is entry i's
};

// Draws the candidates, level by level, in the shape of the highest expected acceptance by what
// this text has shown so far.
[[nodiscard]] std::unique_ptr<Drafter> make_rejection_drafter(const ModelLimits& draft,
                                                              const SamplingOptions& sampling,
                                                              const Method& method,
                                                              std::shared_ptr<DraftedRound> round);
[[nodiscard]] std::unique_ptr<Verifier> make_rejection_verifier(
    std::shared_ptr<DraftedRound> round);

// A chain as a whole, for MethodKind::block; block_verifier.cc.
[[nodiscard]] std::unique_ptr<Verifier> make_block_verifier(std::shared_ptr<DraftedRound> round);

// Memory for a round of this method on a draft.
[[nodiscard]] std::shared_ptr<DraftedRound> make_drafted_round(const ModelLimits& draft,
                                                               const SamplingOptions& sampling,
                                                               const Method& method);

// The choice of a token that was drawn: these methods take no maximum, so there is no second best.
[[nodiscard]] inline Choice drawn(TokenId token) {
  return {.token = token,
          .runner_up = token,
          .score = 0.0F,
          .margin = std::numeric_limits<float>::infinity()};
}

}  // namespace gumbelspec

#endif  // GUMBELSPEC_ENGINE_REJECTION_H_
