#include "src/engine/plan.h"

#include <algorithm>
#include <array>
#include <functional>

namespace gumbelspec {
namespace {

// Of a level with its children; what can be expanded adds up over the levels.
constexpr std::size_t kMostChildren = std::size_t{64} * 16;
constexpr std::size_t kMostNodes = 256;

constexpr std::array<std::size_t, 10> kWidths = {1, 2, 3, 4, 6, 8, 12, 16, 32, 64};

}  // namespace

NodeCount best_node_count(std::span<const double> values, const Prices& prices) {
  NodeCount best;
  double tokens = 0.0;
  for (std::size_t n = 1; n <= values.size(); ++n) {
    tokens += values[n - 1];
    const double gain = tokens - prices.verify(n) - prices.reread(tokens, values[n - 1]);
    if (gain > best.gain) best = {n, gain};
  }
  return best;
}

LevelPlan::LevelPlan() {
  children_.reserve(kMostChildren);
  values_.reserve(kMostNodes + kLookahead * kMostChildren);  // they trade places
  frontier_.reserve(kMostNodes + kLookahead * kMostChildren);
  merged_.reserve(kMostNodes + kLookahead * kMostChildren);
}

// Replaces the best `width` nodes of the frontier by their imagined children.
void LevelPlan::expand(const Input& input, std::size_t width) {
  children_.clear();
  // A child that is worth less than the last of a full set changes nothing.
  const double least = values_.size() < input.max_nodes ? 0.0 : values_.back();
  for (const double value : std::span(frontier_).first(width)) {
    for (const double share : input.profile) {
      if (value * share <= least) continue;
      children_.push_back(value * share);
    }
  }
  std::sort(children_.begin(), children_.end(), std::greater<>());
  merged_.resize(values_.size() + children_.size());
  std::merge(values_.begin(), values_.end(), children_.begin(), children_.end(), merged_.begin(),
             std::greater<>());
  if (merged_.size() > input.max_nodes) merged_.resize(input.max_nodes);
  values_.swap(merged_);
  // What was not expanded this time can be next time.
  merged_.resize(frontier_.size() - width + children_.size());
  std::merge(frontier_.begin() + static_cast<std::ptrdiff_t>(width), frontier_.end(),
             children_.begin(), children_.end(), merged_.begin(), std::greater<>());
  frontier_.swap(merged_);
}

double LevelPlan::look_ahead(const Input& input, const Prices& prices, std::size_t width) {
  values_.assign(input.values.begin(), input.values.end());
  if (values_.size() > input.max_nodes) values_.resize(input.max_nodes);
  frontier_.assign(input.frontier.begin(), input.frontier.end());
  double paid = prices.draft(width) + prices.rate * input.extra_s;
  double best = -1e300;
  for (int level = 0; level < std::min(kLookahead, input.max_levels); ++level) {
    if (level > 0) {
      // Imagined levels are as wide as the first one, where that many nodes are worth verifying.
      const double cut = frontier_.empty() ? 0.0 : 0.05 * frontier_[0];
      std::size_t n = 0;
      while (n < std::min(width, frontier_.size()) && frontier_[n] > cut) ++n;
      if (n == 0) break;
      paid += prices.draft(n);
      expand(input, n);
    } else {
      expand(input, width);
    }
    best = std::max(best, best_node_count(values_, prices).gain - paid);
  }
  return best;
}

LevelChoice LevelPlan::choose(const Input& input, const Prices& prices) {
  LevelChoice best;
  if (input.max_levels <= 0 || input.max_nodes == 0 || input.frontier.empty()) return best;
  const std::span<const double> now =
      input.values.first(std::min(input.values.size(), input.max_nodes));
  const double gain_now = best_node_count(now, prices).gain;
  const std::size_t most = std::min(input.max_width, input.frontier.size());
  double last = -1e300;
  for (const std::size_t width : kWidths) {
    if (width > most) break;
    const double gain = look_ahead(input, prices, width) - gain_now;
    if (gain > best.gain) best = {width, gain};
    // Wider and wider is worse and worse.
    if (gain < last && gain < best.gain) break;
    last = gain;
  }
  return best;
}

}  // namespace gumbelspec
