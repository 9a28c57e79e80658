#include "apps/bench/hindsight.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "gumbelspec/noise.h"
#include "src/core/probabilities.h"
#include "src/engine/shaped_drafter.h"

namespace gumbelspec::apps::bench {
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

class HindsightDrafter final : public ShapedDrafter {
 public:
  HindsightDrafter(const ModelLimits& draft, const Method& method, const TraceText& text,
                   float temperature)
      : ShapedDrafter(draft, method), text_(text), temperature_(static_cast<double>(temperature)) {}

  void begin_text(std::span<const TokenId> /*prompt*/) override { rates_.reset(); }

 private:
  std::size_t draw(DraftRound& round, std::size_t node, std::span<const float> logits,
                   std::span<Candidate> out) override;
  [[nodiscard]] const AcceptanceRates& rates() const override { return rates_; }
  // The rank of the candidate that was accepted after the first n tokens; n_ranks: none was.
  std::size_t accepted_rank(std::size_t n, std::size_t n_ranks);
  [[nodiscard]] bool is_on_text(std::size_t n_text, std::span<const TokenId> path) const {
    return n_text + path.size() <= text_.tokens.size() &&
           std::equal(path.begin(), path.end(),
                      text_.tokens.begin() + static_cast<std::ptrdiff_t>(n_text));
  }

  const TraceText& text_;
  double temperature_;
  AcceptanceRates rates_;
  Pair pair_;
};

std::size_t HindsightDrafter::accepted_rank(std::size_t n, std::size_t n_ranks) {
  const std::size_t row = n - text_.n_prompt;
  if (n < text_.n_prompt || row >= text_.target.size()) return n_ranks;
  const NoiseKey key{text_.seed, text_.stream, kHindsightUse};
  const auto position = position_after(n);
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

std::size_t HindsightDrafter::draw(DraftRound& round, std::size_t node,
                                   std::span<const float> /*logits*/, std::span<Candidate> out) {
  const std::span<const TokenId> path = round.proposals->path(node);
  const std::size_t n = round.text.size() + path.size();
  const bool is_on_text = this->is_on_text(round.text.size(), path);
  const TokenId y = is_on_text && n < text_.tokens.size() ? text_.tokens[n] : TokenId{0};
  const std::size_t accepted = is_on_text ? accepted_rank(n, out.size()) : out.size();
  // A placeholder is any token but the text's; the vocabulary has more of them than children.
  std::size_t other = index(y);
  for (std::size_t rank = 0; rank < out.size(); ++rank) {
    other = (other + 1) % round.noise->n_vocab();
    out[rank].token = rank == accepted ? y : token_id(other);
  }
  return out.size();
}

}  // namespace

std::unique_ptr<Drafter> make_hindsight_drafter(const ModelLimits& draft, const Method& method,
                                                const TraceText& text, float temperature) {
  return std::make_unique<HindsightDrafter>(draft, method, text, temperature);
}

}  // namespace gumbelspec::apps::bench
