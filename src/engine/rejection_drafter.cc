#include <algorithm>
#include <stdexcept>
#include <utility>

#include "src/engine/draft_mask.h"
#include "src/engine/rejection.h"
#include "src/engine/shaped_drafter.h"

namespace gumbelspec {
namespace {

// Nodes that the draft evaluates at most: the root and `width` of every other level but the last,
// and each of them has a drafted child.
std::size_t n_evaluated(const Method& method) {
  const int by_level = 1 + method.width * (method.length - 1);
  return static_cast<std::size_t>(std::min(by_level, method.node_limit()));
}

class RejectionDrafter final : public ShapedDrafter {
 public:
  RejectionDrafter(const ModelLimits& draft, const SamplingOptions& sampling, const Method& method,
                   std::shared_ptr<DraftedRound> round)
      : ShapedDrafter(draft, method),
        weights_(sampling, draft.n_vocab),
        noise_(draft.n_vocab, static_cast<std::size_t>(method.length)),
        round_(std::move(round)),
        is_block_(method.kind == MethodKind::block) {}

  void begin_text(std::span<const TokenId> /*prompt*/) override {
    is_new_text_ = true;
    round_->begin();
    // A seed stands for a text: nothing of the text before may show in this one.
    round_->rates.reset();
  }
  void begin(DraftRound& round) override {
    round_->begin();
    if (is_block_) {
      const auto begin = static_cast<std::uint32_t>(round.text.size());
      noise_.restart(with_use(round.noise->key(), kBlockUse + begin), source_);
    } else if (is_new_text_) {
      noise_.restart(with_use(round.noise->key(), kDraftUse), source_);
    }
    is_new_text_ = false;
    ShapedDrafter::begin(round);
  }

 private:
  std::size_t draw(DraftRound& round, std::size_t node, std::span<const float> logits,
                   std::span<Candidate> out) override;
  [[nodiscard]] const AcceptanceRates& rates() const override { return round_->rates; }

  LogWeights weights_;
  GumbelNoise source_;
  NoiseTable noise_;
  bool is_new_text_ = true;
  std::shared_ptr<DraftedRound> round_;
  bool is_block_;
};

std::size_t RejectionDrafter::draw(DraftRound& round, std::size_t node,
                                   std::span<const float> logits, std::span<Candidate> out) {
  // Whatever the clock says: what is drawn from decides the text of a seed here.
  std::span<const std::uint32_t> allowed = allowed_below(round, node, /*in_time=*/false);
  if (allowed.size() * 32 < logits.size()) allowed = {};
  const TextView text{round.text, round.proposals->path(node)};
  weights_.set_key(round.noise->key());
  std::span<const float> log_q = weights_(logits, text, allowed);
  // Vocabularies may be padded differently; q is over the tokens that both models know.
  log_q = log_q.first(std::min(log_q.size(), round.noise->n_vocab()));
  std::span<const float> noise;
  if (weights_.uses_noise()) noise = noise_.row(position_after(text.size()));
  // The largest log q + noise are draws without replacement, in this order (Gumbel-top-k: Yellott
  // 1977; Kool et al. 1903.06059). Their values are not needed; a small tau saves computing them.
  constexpr float kTau = 0.05F;
  const std::size_t n = best_candidates(log_q, noise, kTau, out);
  if (n > 0) {
    round_->add(node_id(node), node_id(round.proposals->size()), static_cast<int>(n), log_q);
  }
  return n;
}

}  // namespace

DraftedRound::DraftedRound(std::size_t n_nodes, std::size_t n_rows, std::size_t n_vocab)
    : n_vocab_(n_vocab), rows_(n_rows * n_vocab) {
  entries_.reserve(n_nodes);
}

void DraftedRound::begin() { entries_.clear(); }

void DraftedRound::add(NodeId node, NodeId first, int n, std::span<const float> log_q) {
  n_known_ = log_q.size();
  if (!rows_.empty()) {
    std::copy(log_q.begin(), log_q.end(),
              rows_.begin() + static_cast<std::ptrdiff_t>(entries_.size() * n_vocab_));
  }
  entries_.push_back({node, first, n});
}

DraftedRound::Candidates DraftedRound::of(const DraftTree& tree, NodeId node) {
  if (tree.is_leaf(node)) return {};
  const auto at = std::lower_bound(
      entries_.begin(), entries_.end(), node,
      [](const Entry& entry, NodeId wanted) { return index(entry.node) < index(wanted); });
  if (at == entries_.end() || at->node != node) return {};
  // Whoever left some of them out would bias what is drawn.
  if (index(at->first) + static_cast<std::size_t>(at->n) > tree.size()) {
    throw std::logic_error("DraftedRound::of: the tree has lost candidates");
  }
  Candidates result = {.first = at->first, .n = at->n};
  if (!rows_.empty()) {
    const auto row = static_cast<std::size_t>(at - entries_.begin());
    result.log_q = std::span(rows_).subspan(row * n_vocab_, n_known_);
  }
  return result;
}

std::shared_ptr<DraftedRound> make_drafted_round(const ModelLimits& draft,
                                                 const SamplingOptions& sampling,
                                                 const Method& method) {
  // At temperature 0 a distribution is its likeliest token.
  const std::size_t n_rows = sampling.temperature > 0.0F ? n_evaluated(method) : 0;
  return std::make_shared<DraftedRound>(n_evaluated(method), n_rows, draft.n_vocab);
}

std::unique_ptr<Drafter> make_rejection_drafter(const ModelLimits& draft,
                                                const SamplingOptions& sampling,
                                                const Method& method,
                                                std::shared_ptr<DraftedRound> round) {
  return std::make_unique<RejectionDrafter>(draft, sampling, method, std::move(round));
}

}  // namespace gumbelspec
