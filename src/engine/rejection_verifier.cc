#include <utility>

#include "src/core/probabilities.h"
#include "src/engine/rejection.h"

namespace gumbelspec {
namespace {

class RejectionVerifier final : public Verifier {
 public:
  explicit RejectionVerifier(std::shared_ptr<DraftedRound> round) : drafted_(std::move(round)) {}

  void verify(const Round& round, WalkResult& result) override {
    walk(
        round.tree, [&](NodeId node) { return choose_at(round, node); }, result);
  }

 private:
  Choice choose_at(const Round& round, NodeId node);
  Choice likeliest(const DraftTree& tree, const DraftedRound::Candidates& candidates,
                   std::span<const float> log_p);
  TokenId draw(const Round& round, const DraftedRound::Candidates& candidates, Position position,
               std::span<const float> log_p);

  std::shared_ptr<DraftedRound> drafted_;
  std::vector<TokenId> path_;
  std::vector<float> p_;  // [n_vocab]
};

Choice RejectionVerifier::choose_at(const Round& round, NodeId node) {
  const auto depth = static_cast<std::size_t>(round.tree.depth(node));
  path_.resize(depth);
  round.tree.path_tokens(node, path_);
  round.weights.set_key(round.noise.key());
  const std::span<const float> log_p =
      round.weights(round.row(node), TextView{round.text, path_}, round.allowed(path_));
  const DraftedRound::Candidates candidates = drafted_->of(round.tree, node);
  if (!round.weights.uses_noise()) return likeliest(round.tree, candidates, log_p);
  return drawn(draw(round, candidates, position_after(round.text.size() + depth), log_p));
}

// The limit of low temperatures: p and what is left of it are the likeliest token, which is
// accepted wherever it stands among the candidates.
Choice RejectionVerifier::likeliest(const DraftTree& tree,
                                    const DraftedRound::Candidates& candidates,
                                    std::span<const float> log_p) {
  const Choice choice = choose(log_p, {});
  for (int rank = 0; rank < candidates.n; ++rank) {
    const NodeId child = node_id(index(candidates.first) + static_cast<std::size_t>(rank));
    const bool is_accepted = tree.token(child) == choice.token;
    drafted_->rates.observe(static_cast<std::size_t>(rank), is_accepted);
    if (is_accepted) break;
  }
  return choice;
}

TokenId RejectionVerifier::draw(const Round& round, const DraftedRound::Candidates& candidates,
                                Position position, std::span<const float> log_p) {
  const NoiseKey key = with_use(round.key, kDecisionUse);
  p_.resize(log_p.size());
  TwoSums sums = {.p = exponentiate(log_p, p_)};
  const std::span<float> q = candidates.log_q;
  if (candidates.n > 0) sums.q = exponentiate(q, q);
  for (int rank = 0; rank < candidates.n && sums.p > 0.0 && sums.q > 0.0; ++rank) {
    const auto r = static_cast<std::uint32_t>(rank);
    const TokenId x = round.tree.token(node_id(index(candidates.first) + r));
    const double of_p = static_cast<double>(p_[index(x)]) / sums.p;
    const double of_q = static_cast<double>(q[index(x)]) / sums.q;
    const bool is_accepted = uniform_at(key, position, 1 + r) * of_q < of_p;
    drafted_->rates.observe(r, is_accepted);
    if (is_accepted) return x;
    sums = reject(x, p_, q, sums);
  }
  // Nothing is left of p if q is p up to rounding; the rejection was the rounding's.
  if (!(sums.p > 0.0)) sums.p = exponentiate(log_p, p_);
  return pick(p_, sums.p, uniform_at(key, position, 0));
}

}  // namespace

std::unique_ptr<Verifier> make_rejection_verifier(std::shared_ptr<DraftedRound> round) {
  return std::make_unique<RejectionVerifier>(std::move(round));
}

}  // namespace gumbelspec
