// Block verification (Sun et al., "Block Verification Accelerates Speculative Decoding",
// 2403.10444, algorithm 2): a chain of the draft's samples is accepted as a whole. With x_1 ... x_n
// drawn from q along the chain, k_0 = 1 and k_i = min(1, k_{i-1} p(x_i) / q(x_i)), the longest
// prefix i is kept whose own coin falls below
//
//   h_i = s_i / (s_i + 1 - k_i),  s_i = sum over v of max(k_i p(v) - q(v), 0) behind x_i;  h_n =
//   k_n
//
// and the next token is drawn from max(k_i p - q, 0), behind the whole chain from p.
//
// What becomes of a prefix depends on all tokens of the chain, also on those that are not kept. So
// neither the samples nor the coins of a round may be used again for the same positions in the next
// one: they belong to the round, which is known by where it begins.
#include <algorithm>
#include <span>
#include <utility>
#include <vector>

#include "src/core/probabilities.h"
#include "src/engine/rejection.h"

namespace gumbelspec {
namespace {

class BlockVerifier final : public Verifier {
 public:
  explicit BlockVerifier(std::shared_ptr<DraftedRound> round)
      : drafted_(std::move(round)), greedy_(make_rejection_verifier(drafted_)) {}

  void verify(const Round& round, WalkResult& result) override;

 private:
  void find_chain(const DraftTree& tree);
  void observe_greedy(const DraftTree& tree, const WalkResult& result);
  void read_rows(const Round& round, std::size_t i);
  [[nodiscard]] double residue(double kept, bool writes);
  [[nodiscard]] TokenId token(const Round& round, std::size_t i) const {
    return round.tree.token(chain_[i]);
  }

  std::shared_ptr<DraftedRound> drafted_;
  std::unique_ptr<Verifier> greedy_;  // temperature 0: a block is its likeliest tokens
  std::vector<NodeId> chain_;         // the root first
  std::vector<TokenId> path_;
  std::vector<double> expected_;  // accepted tokens of the chain's first 1, 2 ... nodes
  // Behind the node of read_rows(): weights and their sums. Shape: [n_vocab], [q's vocabulary].
  std::vector<float> p_;
  std::vector<float> q_;
  TwoSums sums_;
};

void BlockVerifier::find_chain(const DraftTree& tree) {
  chain_.assign(1, kRoot);
  for (;;) {
    const DraftedRound::Candidates candidates = drafted_->of(tree, chain_.back());
    if (candidates.n == 0) return;
    chain_.push_back(candidates.first);
  }
}

// p and q behind node i of the chain; no q behind the last one.
void BlockVerifier::read_rows(const Round& round, std::size_t i) {
  path_.clear();
  for (std::size_t j = 1; j <= i; ++j) path_.push_back(token(round, j));
  const std::span<const float> log_p =
      round.weights(round.row(chain_[i]), TextView{round.text, path_}, round.allowed(path_));
  p_.resize(log_p.size());
  sums_.p = exponentiate(log_p, p_);
  q_.clear();
  sums_.q = 0.0;
  if (i + 1 == chain_.size()) return;
  const std::span<const float> log_q = drafted_->of(round.tree, chain_[i]).log_q;
  q_.resize(log_q.size());
  sums_.q = exponentiate(log_q, q_);
}

// The sum of max(kept p - q, 0); `writes`: into p_.
double BlockVerifier::residue(double kept, bool writes) {
  const double of_p = kept / sums_.p;
  const double of_q = sums_.q > 0.0 ? 1.0 / sums_.q : 0.0;
  double sum = 0.0;
  for (std::size_t v = 0; v < p_.size(); ++v) {
    const double q = v < q_.size() ? static_cast<double>(q_[v]) * of_q : 0.0;
    const double left = std::max(static_cast<double>(p_[v]) * of_p - q, 0.0);
    sum += left;
    if (writes) p_[v] = static_cast<float>(left);
  }
  return sum;
}

// Without coins what is accepted of the chain would be of its beginning, too.
void BlockVerifier::observe_greedy(const DraftTree& tree, const WalkResult& result) {
  find_chain(tree);
  const std::size_t n = chain_.size() - 1;
  if (n == 0) return;
  expected_.resize(n);
  for (std::size_t i = 0; i < n; ++i) {
    expected_[i] = static_cast<double>(std::min(i + 1, result.path.size() - 1));
  }
  drafted_->chain.observe(expected_);
}

void BlockVerifier::verify(const Round& round, WalkResult& result) {
  if (!round.weights.uses_noise()) {
    greedy_->verify(round, result);
    observe_greedy(round.tree, result);
    return;
  }
  const NoiseKey key = with_use(round.key, kDecisionUse);
  const Position begin = position_after(round.text.size());
  find_chain(round.tree);
  const std::size_t n = chain_.size() - 1;
  std::size_t n_accepted = 0;
  double kept = 1.0;
  double kept_there = 1.0;  // at the node that is kept
  double inner = 0.0;       // tokens expected of the nodes so far, as inner ones
  expected_.assign(n, 0.0);
  for (std::size_t i = 0;; ++i) {
    // A token that the target cannot say ends the chain; a constraint would not follow it.
    if (!(kept > 0.0)) {
      std::fill(expected_.begin() + static_cast<std::ptrdiff_t>(i) - 1, expected_.end(), inner);
      break;
    }
    read_rows(round, i);
    if (i > 0) {
      const double left = i == n ? 0.0 : residue(kept, false);
      double chance = kept;
      // Nothing to weigh where p is q and the prefix is kept anyway.
      if (i < n) chance = left + 1.0 - kept > 0.0 ? left / (left + 1.0 - kept) : 1.0;
      const auto depth = static_cast<double>(i);
      expected_[i - 1] = kept * depth + (1.0 - kept) * inner;
      inner = chance * depth + (1.0 - chance) * inner;
      if (uniform_at(key, begin, static_cast<std::uint32_t>(i)) < chance) {
        n_accepted = i;
        kept_there = kept;
      }
    }
    if (i == n) break;
    const std::size_t x = index(token(round, i + 1));
    const double of_p = x < p_.size() ? static_cast<double>(p_[x]) / sums_.p : 0.0;
    kept = std::min(1.0, kept * of_p / (static_cast<double>(q_[x]) / sums_.q));
  }
  for (std::size_t i = 0; i < std::min(n_accepted + 1, n); ++i) {
    drafted_->rates.observe(0, i < n_accepted);
  }
  if (n > 0) drafted_->chain.observe(expected_);
  read_rows(round, n_accepted);
  double sum = sums_.p;
  if (n_accepted < n) {
    sum = residue(kept_there, true);
    // Nothing is left of p if q is p up to rounding; that the chain ended was the rounding's.
    if (!(sum > 0.0)) {
      read_rows(round, n_accepted);
      sum = sums_.p;
    }
  }
  result.path.assign(chain_.begin(), chain_.begin() + static_cast<std::ptrdiff_t>(n_accepted) + 1);
  result.choices.clear();
  for (std::size_t i = 1; i <= n_accepted; ++i) result.choices.push_back(drawn(token(round, i)));
  result.choices.push_back(drawn(pick(p_, sum, uniform_at(key, begin, 0))));
}

}  // namespace

std::unique_ptr<Verifier> make_block_verifier(std::shared_ptr<DraftedRound> round) {
  return std::make_unique<BlockVerifier>(std::move(round));
}

}  // namespace gumbelspec
