#include "apps/cli/bench_hindsight.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gumbelspec/noise.h"
#include "src/core/probabilities.h"
#include "src/engine/draft_sequence.h"
#include "src/engine/tree_shape.h"

namespace gumbelspec::cli {
namespace {

// Of the uniform numbers; the methods' own are 1 and 2.
constexpr std::uint32_t kHindsightUse = 3;

// p and q over the tokens that either row kept, and one more that stands for all others.
class Pair {
 public:
  void set(const TraceRow& target, const TraceRow& draft, double temperature) {
    tokens_.clear();
    std::set_union(target.tokens.begin(), target.tokens.end(), draft.tokens.begin(),
                   draft.tokens.end(), std::back_inserter(tokens_));
    spread(target, temperature, p_);
    spread(draft, temperature, q_);
    sums_ = {total(p_), total(q_)};
  }
  [[nodiscard]] double acceptance(TokenId y) const {
    const std::size_t at = place(y);
    const double p = at < p_.size() ? p_[at] / sums_.p : 0.0;
    const double q = at < q_.size() ? q_[at] / sums_.q : 0.0;
    return p > 0.0 ? std::min(1.0, q / p) : 0.0;
  }
  // A candidate was rejected; the unit decides which. Returns whether anything is left.
  bool reject(double unit) {
    double sum = 0.0;
    differences_.resize(p_.size());
    for (std::size_t i = 0; i < p_.size(); ++i) {
      differences_[i] = std::max(q_[i] / sums_.q - p_[i] / sums_.p, 0.0);
      sum += differences_[i];
    }
    std::size_t x = 0;
    for (double left = unit * sum; x + 1 < differences_.size(); ++x) {
      left -= differences_[x];
      if (left < 0.0) break;
    }
    for (std::size_t i = 0; i < p_.size(); ++i) {
      p_[i] = std::max(p_[i] / sums_.p - q_[i] / sums_.q, 0.0);
    }
    // Of the others one of many is gone, which hardly changes their mass.
    if (x + 1 < q_.size()) q_[x] = 0.0;
    sums_ = {total(p_), total(q_)};
    return sums_.p > 0.0 && sums_.q > 0.0;
  }

 private:
  [[nodiscard]] std::size_t place(TokenId token) const {
    const auto at = std::lower_bound(tokens_.begin(), tokens_.end(), token);
    const bool is_there = at != tokens_.end() && *at == token;
    return is_there ? static_cast<std::size_t>(at - tokens_.begin()) : p_.size();
  }
  // A token that only the other row kept has its share of this row's rest.
  void spread(const TraceRow& row, double temperature, std::vector<double>& out) const {
    const double rest = row.n_rest == 0 ? 0.0 : std::exp(static_cast<double>(row.log_rest));
    const double each = row.n_rest == 0 ? 0.0 : rest / static_cast<double>(row.n_rest);
    out.assign(tokens_.size() + 1, each);
    out.back() = rest;
    std::size_t i = 0;
    for (std::size_t k = 0; k < tokens_.size(); ++k) {
      if (i < row.tokens.size() && row.tokens[i] == tokens_[k]) {
        out[k] = std::exp(static_cast<double>(row.weights[i++]) / temperature);
      } else {
        out.back() = std::max(out.back() - each, 0.0);
      }
    }
  }
  static double total(const std::vector<double>& weights) {
    double sum = 0.0;
    for (const double w : weights) sum += w;
    return sum;
  }

  std::vector<TokenId> tokens_;
  std::vector<double> p_;  // [tokens + 1]
  std::vector<double> q_;
  std::vector<double> differences_;
  TwoSums sums_;
};

class HindsightDrafter final : public Drafter {
 public:
  HindsightDrafter(LanguageModel& model, const Method& method, const TraceText& text,
                   float temperature)
      : method_(method),
        text_(text),
        temperature_(static_cast<double>(temperature)),
        sequence_(model, n_nodes() + 1, static_cast<std::size_t>(method.width)),
        shape_(n_nodes()) {}

  PassOutcome start(std::span<const TokenId> prompt) override {
    rates_.reset();
    return sequence_.start(prompt);
  }
  PassOutcome draft(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) override;
  void accept(std::span<const NodeId> path) override { sequence_.accept(path); }
  [[nodiscard]] std::size_t n_passes() const override { return sequence_.n_passes(); }
  [[nodiscard]] double pass_s() const override { return sequence_.pass_s(); }

 private:
  struct Placed {
    NodeId node{};
    int place = 0;
    bool is_on_text = false;
  };
  [[nodiscard]] std::size_t n_nodes() const {
    return static_cast<std::size_t>(method_.node_limit());
  }
  // The rank of the candidate that was accepted after the first n tokens; n_ranks: none was.
  std::size_t accepted_rank(std::size_t n, std::size_t n_ranks);
  void add_children(const Placed& parent, std::size_t n_text, std::size_t n_vocab, DraftTree& tree);

  Method method_;
  const TraceText& text_;
  double temperature_;
  DraftSequence sequence_;
  TreeShape shape_;
  AcceptanceRates rates_;
  Pair pair_;
  std::vector<Placed> level_;
  std::vector<Placed> next_;
  std::vector<NodeId> nodes_;
};

std::size_t HindsightDrafter::accepted_rank(std::size_t n, std::size_t n_ranks) {
  const std::size_t row = n - text_.n_prompt;
  if (n < text_.n_prompt || row >= text_.target.size()) return n_ranks;
  const NoiseKey key{text_.seed, text_.stream, kHindsightUse};
  const auto position = static_cast<Position>(n);
  pair_.set(text_.target[row], text_.draft[row], temperature_);
  for (std::size_t rank = 0; rank < n_ranks; ++rank) {
    const auto r = static_cast<std::uint32_t>(rank);
    const bool is_accepted = uniform_at(key, position, 2 * r) < pair_.acceptance(text_.tokens[n]);
    rates_.observe(rank, is_accepted);
    if (is_accepted) return rank;
    if (!pair_.reject(uniform_at(key, position, 2 * r + 1))) break;
  }
  return n_ranks;
}

void HindsightDrafter::add_children(const Placed& parent, std::size_t n_text, std::size_t n_vocab,
                                    DraftTree& tree) {
  const std::span<const ShapeNode> shape = shape_.nodes();
  const ShapeNode& at = shape[static_cast<std::size_t>(parent.place)];
  const std::size_t n = n_text + static_cast<std::size_t>(tree.depth(parent.node));
  const auto n_children = static_cast<std::size_t>(at.n_children);
  const bool has_token = parent.is_on_text && n < text_.tokens.size();
  const TokenId y = has_token ? text_.tokens[n] : TokenId{0};
  const std::size_t accepted = parent.is_on_text ? accepted_rank(n, n_children) : n_children;
  int place = at.first_child;
  // A placeholder is any token but the text's; the vocabulary has more of them than children.
  std::size_t other = index(y);
  for (std::size_t rank = 0; rank < n_children; ++rank) {
    other = (other + 1) % n_vocab;
    const bool is_y = rank == accepted;
    const TokenId token = is_y ? y : token_id(other);
    const ShapeNode& child = shape[static_cast<std::size_t>(place)];
    const float log_value = std::min(child.log_value, tree.log_value(parent.node));
    next_.push_back({tree.add(parent.node, token, log_value), place, is_y});
    place = child.next_sibling;
  }
}

PassOutcome HindsightDrafter::draft(const DraftRequest& request, NoiseTable& noise,
                                    DraftTree& tree) {
  sequence_.begin();
  const ModelLimits& limits = sequence_.limits();
  const bool is_chain = method_.kind == MethodKind::rejection;
  shape_.plan({.n_nodes = std::min(request.max_nodes, n_nodes()),
               .n_leaves = std::min(request.max_leaves, limits.max_leaves),
               .n_children = is_chain ? 1 : kMaxChildren,
               .width = std::min(static_cast<std::size_t>(method_.width), limits.max_pass_nodes),
               .n_levels = sequence_.levels(request, method_.length)},
              rates_);
  level_.clear();
  if (shape_.nodes()[0].n_children > 0) level_.push_back({kRoot, 0, true});
  while (!level_.empty()) {
    nodes_.clear();
    for (const Placed& placed : level_) nodes_.push_back(placed.node);
    const PassOutcome outcome = tree.n_drafted() == 0 ? sequence_.evaluate_root(request.text)
                                                      : sequence_.evaluate(tree, nodes_);
    if (outcome == PassOutcome::cancelled) return outcome;
    if (outcome == PassOutcome::no_space) break;
    next_.clear();
    for (const Placed& placed : level_) {
      add_children(placed, request.text.size(), noise.n_vocab(), tree);
    }
    level_.clear();
    for (const Placed& placed : next_) {
      if (shape_.nodes()[static_cast<std::size_t>(placed.place)].n_children > 0) {
        level_.push_back(placed);
      }
    }
  }
  return PassOutcome::ok;
}

}  // namespace

std::unique_ptr<Drafter> make_hindsight_drafter(LanguageModel& draft, const Method& method,
                                                const TraceText& text, float temperature) {
  return std::make_unique<HindsightDrafter>(draft, method, text, temperature);
}

}  // namespace gumbelspec::cli
