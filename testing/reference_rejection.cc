#include "testing/reference_rejection.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "testing/reference.h"

namespace gumbelspec::testing {
namespace {

// As in src/engine/rejection.h, so that the same tokens come out.
constexpr std::uint32_t kDraftUse = 1;
constexpr std::uint32_t kDecisionUse = 2;

double sum(const std::vector<double>& x) { return std::accumulate(x.begin(), x.end(), 0.0); }

void normalise(std::vector<double>& x) {
  const double total = sum(x);
  if (total <= 0.0) return;
  for (double& value : x) value /= total;
}

std::vector<std::size_t> children_of(const DraftTree& tree, NodeId node) {
  std::vector<std::size_t> tokens;
  for (std::size_t i = 1; i < tree.size(); ++i) {
    if (tree.parent(node_id(i)) == node) tokens.push_back(index(tree.token(node_id(i))));
  }
  return tokens;
}

class ReferenceRejection final : public Verifier {
 public:
  ReferenceRejection(const TableModel& draft, const SamplingOptions& sampling, RejectionFault fault)
      : draft_(draft), sampling_(sampling), fault_(fault) {}

  void verify(const Round& round, WalkResult& result) override {
    walk(
        round.tree,
        [&](NodeId node) {
          const TokenId token = decide(round, node);
          return Choice{.token = token, .runner_up = token};
        },
        result);
  }

 private:
  TokenId decide(const Round& round, NodeId node) const {
    const auto depth = static_cast<std::size_t>(round.tree.depth(node));
    std::vector<TokenId> text(round.text.begin(), round.text.end());
    text.resize(text.size() + depth);
    round.tree.path_tokens(node, std::span(text).last(depth));
    const auto position = position_after(text.size());
    const NoiseKey key = {round.key.seed, round.key.stream, kDecisionUse};

    const std::vector<double> target = reference_probabilities(round.row(node), sampling_, text);
    std::vector<double> p = target;
    std::vector<double> q = reference_probabilities(draft_.logits(text), sampling_, text);
    q.resize(p.size());  // a draft's vocabulary may be shorter or longer
    normalise(q);
    std::uint32_t rank = 0;
    for (const std::size_t x : children_of(round.tree, node)) {
      if (fault_ == RejectionFault::candidates_dropped && q[x] < 0.2) continue;
      const std::uint32_t number = fault_ == RejectionFault::uniform_reused ? 1 : ++rank;
      if (uniform_at(key, position, number) * q[x] < p[x]) return token_id(x);
      if (fault_ == RejectionFault::resample_from_p) break;
      for (std::size_t v = 0; v < p.size(); ++v) p[v] = std::max(p[v] - q[v], 0.0);
      normalise(p);
      q[x] = 0.0;
      if (fault_ != RejectionFault::draft_not_renormalised) normalise(q);
    }
    if (sum(p) <= 0.0) p = target;
    return draw(p, key, position);
  }

  [[nodiscard]] TokenId draw(const std::vector<double>& p, NoiseKey key, Position position) const {
    if (fault_ == RejectionFault::draft_noise_reused) {
      std::vector<float> noise(p.size());
      fill_noise({key.seed, key.stream, kDraftUse}, position, noise);
      std::vector<float> log_p(p.size());
      std::transform(p.begin(), p.end(), log_p.begin(),
                     [](double x) { return static_cast<float>(std::log(x)); });
      return choose(log_p, noise).token;
    }
    const double wanted = uniform_at(key, position, 0) * sum(p);
    double before = 0.0;
    std::size_t last = 0;
    for (std::size_t v = 0; v < p.size(); ++v) {
      if (p[v] <= 0.0) continue;
      last = v;
      before += p[v];
      if (before > wanted) break;
    }
    return token_id(last);
  }

  const TableModel& draft_;
  const SamplingOptions& sampling_;
  RejectionFault fault_;
};

}  // namespace

std::unique_ptr<Verifier> make_reference_rejection(const TableModel& draft,
                                                   const SamplingOptions& sampling,
                                                   RejectionFault fault) {
  return std::make_unique<ReferenceRejection>(draft, sampling, fault);
}

}  // namespace gumbelspec::testing
