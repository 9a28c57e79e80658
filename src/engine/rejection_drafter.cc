#include <algorithm>
#include <utility>

#include "src/engine/draft_sequence.h"
#include "src/engine/rejection.h"

namespace gumbelspec {
namespace {

// Nodes that the draft evaluates at most: the root and `width` of every other level but the last,
// and each of them has a drafted child.
std::size_t n_evaluated(const Method& method) {
  const int by_level = 1 + method.width * (method.length - 1);
  return static_cast<std::size_t>(std::min(by_level, method.node_limit()));
}

class RejectionDrafter final : public Drafter {
 public:
  RejectionDrafter(LanguageModel& model, const SamplingOptions& sampling, const Method& method,
                   std::shared_ptr<DraftedRound> round)
      : method_(method),
        weights_(sampling, model.limits().n_vocab),
        sequence_(model, n_nodes() + 1, static_cast<std::size_t>(method.width)),
        noise_(model.limits().n_vocab, static_cast<std::size_t>(method.length)),
        shape_(n_nodes()),
        round_(std::move(round)),
        candidates_(kMaxChildren),
        path_(static_cast<std::size_t>(method.length)) {
    level_.reserve(n_nodes());
    nodes_.reserve(n_nodes());
    next_.reserve(n_nodes());
  }

  PassOutcome start(std::span<const TokenId> prompt) override {
    is_new_text_ = true;
    round_->begin();
    // A seed stands for a text: nothing of the text before may show in this one.
    round_->rates.reset();
    return sequence_.start(prompt);
  }
  PassOutcome draft(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) override;
  void accept(std::span<const NodeId> path) override { sequence_.accept(path); }
  [[nodiscard]] std::size_t n_passes() const override { return sequence_.n_passes(); }
  [[nodiscard]] double pass_s() const override { return sequence_.pass_s(); }

 private:
  // A node of the tree and its place in the shape.
  struct Placed {
    NodeId node{};
    int place = 0;
  };

  [[nodiscard]] std::size_t n_nodes() const {
    return static_cast<std::size_t>(method_.node_limit());
  }
  [[nodiscard]] ShapeLimits shape_limits(const DraftRequest& request, int n_levels) const;
  void add_level(const DraftRequest& request, std::size_t n_vocab, DraftTree& tree);
  void add_candidates(const Placed& parent, std::size_t n, DraftTree& tree);

  Method method_;
  LogWeights weights_;
  DraftSequence sequence_;
  GumbelNoise source_;
  NoiseTable noise_;
  bool is_new_text_ = true;
  TreeShape shape_;
  std::shared_ptr<DraftedRound> round_;
  std::vector<Placed>
      level_;  // those of a level that the shape gives children; row i is level_[i]'s
  std::vector<Placed> next_;
  std::vector<NodeId> nodes_;
  std::vector<Candidate> candidates_;
  std::vector<TokenId> path_;
};

ShapeLimits RejectionDrafter::shape_limits(const DraftRequest& request, int n_levels) const {
  const ModelLimits& draft = sequence_.limits();
  return {.n_nodes = std::min(request.max_nodes, n_nodes()),
          .n_leaves = std::min(request.max_leaves, draft.max_leaves),
          .n_children = method_.kind == MethodKind::rejection ? 1 : kMaxChildren,
          .width = std::min(static_cast<std::size_t>(method_.width), draft.max_pass_nodes),
          .n_levels = n_levels};
}

void RejectionDrafter::add_candidates(const Placed& parent, std::size_t n, DraftTree& tree) {
  const std::span<const ShapeNode> shape = shape_.nodes();
  int place = shape[static_cast<std::size_t>(parent.place)].first_child;
  for (const Candidate& c : std::span(candidates_).first(n)) {
    const ShapeNode& at = shape[static_cast<std::size_t>(place)];
    const float log_value = std::min(at.log_value, tree.log_value(parent.node));
    next_.push_back({tree.add(parent.node, c.token, log_value), place});
    place = at.next_sibling;
  }
}

void RejectionDrafter::add_level(const DraftRequest& request, std::size_t n_vocab,
                                 DraftTree& tree) {
  next_.clear();
  for (std::size_t i = 0; i < level_.size(); ++i) {
    const NodeId node = level_[i].node;
    const auto depth = static_cast<std::size_t>(tree.depth(node));
    const std::span<TokenId> path = std::span(path_).first(depth);
    tree.path_tokens(node, path);
    std::span<const float> log_q = weights_(sequence_.row(i), TextView{request.text, path});
    // Vocabularies may be padded differently; q is over the tokens that both models know.
    log_q = log_q.first(std::min(log_q.size(), n_vocab));
    std::span<const float> noise;
    if (weights_.uses_noise()) {
      noise = noise_.row(static_cast<Position>(request.text.size() + depth));
    }
    const auto place = static_cast<std::size_t>(level_[i].place);
    const auto n_wanted = static_cast<std::size_t>(shape_.nodes()[place].n_children);
    // The largest log q + noise are draws without replacement, in this order (Gumbel-top-k: Yellott
    // 1977; Kool et al. 1903.06059). Their values are not needed; a small tau saves computing them.
    constexpr float kTau = 0.05F;
    const std::size_t n =
        best_candidates(log_q, noise, kTau, std::span(candidates_).first(n_wanted));
    if (n == 0) continue;
    round_->add(node, node_id(tree.size()), static_cast<int>(n), log_q);
    add_candidates(level_[i], n, tree);
  }
  level_.clear();
  for (const Placed& placed : next_) {
    if (shape_.nodes()[static_cast<std::size_t>(placed.place)].n_children > 0) {
      level_.push_back(placed);
    }
  }
}

PassOutcome RejectionDrafter::draft(const DraftRequest& request, NoiseTable& noise,
                                    DraftTree& tree) {
  sequence_.begin();
  round_->begin();
  if (is_new_text_) noise_.restart(with_use(noise.key(), kDraftUse), source_);
  is_new_text_ = false;
  const int n_levels = sequence_.levels(request, method_.length);
  shape_.plan(shape_limits(request, n_levels), round_->rates);
  level_.clear();
  if (shape_.nodes()[0].n_children > 0) level_.push_back({kRoot, 0});
  while (!level_.empty()) {
    nodes_.clear();
    for (const Placed& placed : level_) nodes_.push_back(placed.node);
    const PassOutcome outcome = tree.n_drafted() == 0 ? sequence_.evaluate_root(request.text)
                                                      : sequence_.evaluate(tree, nodes_);
    if (outcome == PassOutcome::cancelled) return outcome;
    if (outcome == PassOutcome::no_space) break;  // verify what there is
    add_level(request, noise.n_vocab(), tree);
  }
  return PassOutcome::ok;
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
  Candidates result = {.first = at->first, .n = at->n};
  if (!rows_.empty()) {
    const auto row = static_cast<std::size_t>(at - entries_.begin());
    result.log_q = std::span(rows_).subspan(row * n_vocab_, n_known_);
  }
  return result;
}

std::shared_ptr<DraftedRound> make_drafted_round(const LanguageModel& model,
                                                 const SamplingOptions& sampling,
                                                 const Method& method) {
  // At temperature 0 a distribution is its likeliest token.
  const std::size_t n_rows = sampling.temperature > 0.0F ? n_evaluated(method) : 0;
  return std::make_shared<DraftedRound>(n_evaluated(method), n_rows, model.limits().n_vocab);
}

std::unique_ptr<Drafter> make_rejection_drafter(LanguageModel& model,
                                                const SamplingOptions& sampling,
                                                const Method& method,
                                                std::shared_ptr<DraftedRound> round) {
  return std::make_unique<RejectionDrafter>(model, sampling, method, std::move(round));
}

}  // namespace gumbelspec
