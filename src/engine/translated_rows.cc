#include "src/engine/translated_rows.h"

#include <algorithm>
#include <cmath>

namespace gumbelspec {
namespace {

// What has no counterpart is not forbidden, since a mask may leave nothing else.
constexpr float kImpossible = 1000.0F;
// A token of the draft that is several of the target's counts from exp(-this) of the best one.
constexpr float kLeastLong = 9.0F;
// And no more of them, the likeliest: a row that knows nothing has all there are.
constexpr std::size_t kMostLong = 128;

double log_sum(double a, double b) {
  if (!(b > -HUGE_VAL)) return a;
  if (!(a > -HUGE_VAL)) return b;
  return std::max(a, b) + std::log1p(std::exp(-std::abs(a - b)));
}

double log_sum(std::span<const float> row) {
  const float most = *std::max_element(row.begin(), row.end());
  double sum = 0.0;
  for (const float x : row) sum += std::exp(static_cast<double>(x - most));
  return static_cast<double>(most) + std::log(sum);
}

}  // namespace

void TranslatedRows::add(std::span<const TokenId> tokens, double log_weight, std::span<float> out,
                         std::vector<LongToken>& longs) {
  float& weight = out[index(tokens.front())];
  if (tokens.size() > 1) {
    double own = static_cast<double>(weight);
    for (const LongToken& other : longs) {
      if (other.tokens.front() == tokens.front()) own = other.log_weight_own;
    }
    longs.push_back({tokens, log_weight, own});
  }
  weight = static_cast<float>(log_sum(static_cast<double>(weight), log_weight));
}

void TranslatedRows::add_others(std::span<const float> in, float most, std::span<float> out,
                                std::vector<LongToken>& longs) {
  others_.clear();
  for (const TokenId other : map_.others()) {
    if (in[index(other)] > most - kLeastLong) others_.push_back(other);
  }
  if (others_.size() > kMostLong) {
    std::nth_element(others_.begin(), others_.begin() + kMostLong, others_.end(),
                     [&](TokenId a, TokenId b) { return in[index(a)] > in[index(b)]; });
    others_.resize(kMostLong);
  }
  for (const TokenId other : others_) {
    const std::span<const TokenId> chain = map_.chain(other);
    if (!chain.empty()) add(chain, static_cast<double>(in[index(other)]), out, longs);
  }
}

void TranslatedRows::translate(std::span<const float> in, std::span<const RestOfToken> rests,
                               std::span<float> out, std::vector<LongToken>& longs) {
  longs.clear();
  const float most = *std::max_element(in.begin(), in.end());
  if (!std::isfinite(most)) {
    std::fill(out.begin(), out.end(), 0.0F);
    return;
  }
  const std::span<const std::int32_t> twins = map_.twins();
  for (std::size_t i = 0; i < out.size(); ++i) {
    const float weight = twins[i] < 0 ? -HUGE_VALF : in[static_cast<std::size_t>(twins[i])];
    out[i] = std::max(weight, most - kImpossible);
  }
  add_others(in, most, out, longs);
  if (rests.empty()) return;
  double own = 1.0;
  for (const RestOfToken& rest : rests) own -= rest.share;
  const double shift = std::log(std::max(own, 1e-6)) - log_sum(out);
  for (float& weight : out) weight += static_cast<float>(shift);
  for (LongToken& token : longs) {
    token.log_weight += shift;
    token.log_weight_own += shift;
  }
  for (const RestOfToken& rest : rests) add(rest.tokens, std::log(rest.share), out, longs);
}

void TranslatedRows::rests_below(std::span<const LongToken> longs, TokenId token,
                                 std::vector<RestOfToken>& out) {
  out.clear();
  double all = -HUGE_VAL;
  for (const LongToken& entry : longs) {
    if (entry.tokens.front() != token) continue;
    if (out.empty()) all = entry.log_weight_own;
    all = log_sum(all, entry.log_weight);
    out.push_back({entry.tokens.subspan(1), entry.log_weight});
  }
  for (RestOfToken& rest : out) rest.share = std::exp(rest.share - all);
}

}  // namespace gumbelspec
