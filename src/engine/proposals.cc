#include "gumbelspec/proposals.h"

#include <algorithm>
#include <cmath>

#include "src/engine/calibration.h"

namespace gumbelspec {
namespace {

// Below this a node is not worth a place in any tree.
constexpr double kLeastValue = 1e-4;
// Where the learning of a source's temperature begins, if it has scores at all.
constexpr float kFirstTau = 0.5F;

}  // namespace

Proposals::Proposals(const Limits& limits) : limits_(limits) {
  // A level is cut to what can be chosen before the next one is added.
  sources_.reserve(4);
  found_.reserve(1 + limits.n_expanded * std::min(limits.n_ranks, limits.n_nodes));
  expansions_.reserve(limits.n_expanded);
  candidates_.resize(limits.n_expanded * limits.n_ranks);
  chances_.resize(limits.n_ranks);
  frontier_.reserve(limits.n_nodes + 1);
  order_.reserve(limits.n_nodes + limits.n_expanded * limits.n_ranks);
  values_.reserve(order_.capacity());
  frontier_values_.reserve(limits.n_nodes + 1);
  open_.reserve(limits.n_nodes + 1);
  path_.resize(limits.n_levels + 1);
  chosen_.reserve(limits.n_nodes + 1);
  keep_.reserve(found_.capacity());
  new_ids_.reserve(limits.n_nodes + 1);
  clear(limits.n_levels);
}

Proposals::~Proposals() = default;

const Proposals::Source* Proposals::find(std::string_view name) const {
  const auto at = std::find_if(sources_.begin(), sources_.end(),
                               [&](const Source& source) { return source.name == name; });
  return at == sources_.end() ? nullptr : &*at;
}

SourceId Proposals::source(std::string_view name) {
  if (const Source* known = find(name)) return id_of(known);
  auto own = std::make_unique<Calibration>(kFirstTau, limits_.n_ranks);
  Calibration* calibration = own.get();
  sources_.push_back({std::string(name), calibration, true, std::move(own)});
  return id_of(&sources_.back());
}

SourceId Proposals::source_at_its_word(std::string_view name) {
  if (const Source* known = find(name)) return id_of(known);
  sources_.push_back({std::string(name), nullptr, false, nullptr});
  return id_of(&sources_.back());
}

SourceId Proposals::source(std::string_view name, Calibration& calibration, bool learns) {
  if (const Source* known = find(name)) return id_of(known);
  sources_.push_back({std::string(name), &calibration, learns, nullptr});
  return id_of(&sources_.back());
}

void Proposals::clear(std::size_t max_depth) {
  max_depth_ = std::min(max_depth, limits_.n_levels);
  found_.assign(1, Proposal{});
  expansions_.clear();
  n_candidates_ = 0;
  order_.clear();
  chosen_.assign(1, 0);
  values_.clear();
  frontier_.assign(1, 0);
  frontier_values_.assign(1, 1.0);
}

std::span<const TokenId> Proposals::path(std::size_t i) {
  const auto depth = static_cast<std::size_t>(found_[i].depth);
  for (std::size_t d = depth; d-- > 0; i = found_[i].parent) path_[d] = found_[i].token;
  return std::span(path_).first(depth);
}

std::size_t Proposals::child(std::size_t i, TokenId token) const {
  std::size_t k = found_[i].first_child;
  while (k != Proposal::kNone && found_[k].token != token) k = found_[k].next_sibling;
  return k;
}

double Proposals::open(std::size_t i) const {
  const double value = found_[i].value;
  if (value <= 0.0) return 0.0;
  double sum = 0.0;
  for (std::size_t k = found_[i].first_child; k != Proposal::kNone; k = found_[k].next_sibling) {
    sum += found_[k].value;
  }
  return std::clamp(1.0 - sum / value, 0.0, 1.0);
}

// A node and all below it.
void Proposals::scale(std::size_t i, double factor) {
  found_[i].value *= factor;
  for (std::size_t k = found_[i].first_child; k != Proposal::kNone; k = found_[k].next_sibling) {
    scale(k, factor);
  }
}

// The children of node i together are worth no more than the node.
void Proposals::normalize(std::size_t i) {
  double sum = 0.0;
  for (std::size_t k = found_[i].first_child; k != Proposal::kNone; k = found_[k].next_sibling) {
    sum += found_[k].value;
  }
  if (sum <= found_[i].value) return;
  const double factor = found_[i].value / sum;
  for (std::size_t k = found_[i].first_child; k != Proposal::kNone; k = found_[k].next_sibling) {
    scale(k, factor);
  }
}

std::span<Candidate> Proposals::room(std::size_t n) {
  if (candidates_.size() < n_candidates_ + n) candidates_.resize(n_candidates_ + n);
  return std::span(candidates_).subspan(n_candidates_, n);
}

std::size_t Proposals::add(std::size_t i, SourceId source, TokenId token, double value) {
  order_.push_back(found_.size());
  found_.push_back({.parent = i,
                    .token = token,
                    .source = source,
                    .depth = found_[i].depth + 1,
                    .value = value,
                    .next_sibling = found_[i].first_child});
  found_[i].first_child = found_.size() - 1;
  return found_.size() - 1;
}

void Proposals::propose(std::size_t i, SourceId source, std::span<const Candidate> children,
                        const ScoreMoments& moments) {
  if (static_cast<std::size_t>(found_[i].depth) >= max_depth_) return;
  const std::span<Candidate> kept = room(children.size());
  if (kept.data() != children.data()) std::copy(children.begin(), children.end(), kept.begin());
  expansions_.push_back({found_[i].expansion, source, n_candidates_, children.size(), moments});
  n_candidates_ += children.size();
  found_[i].expansion = expansions_.size() - 1;
  if (chances_.size() < children.size()) chances_.resize(children.size());
  const Calibration* calibration = sources_[static_cast<std::size_t>(source)].calibration;
  if (calibration != nullptr) calibration->values(kept, chances_);
  for (std::size_t k = 0; k < kept.size(); ++k) {
    const TokenId token = kept[k].token;
    if (static_cast<std::int32_t>(token) < 0 || index(token) >= limits_.n_vocab) continue;
    const double chance = calibration != nullptr ? static_cast<double>(chances_[k])
                                                 : std::exp(static_cast<double>(kept[k].log_value));
    const double value = found_[i].value * std::min(chance, 1.0);
    const std::size_t known = child(i, token);
    if (known == Proposal::kNone) {
      if (calibration == nullptr || value >= kLeastValue) add(i, source, token, value);
    } else if (value > found_[known].value && found_[known].value > 0.0) {
      // Who is surer may be right. What is below the node is worth a part of its value.
      scale(known, value / found_[known].value);
    }
  }
  normalize(i);
}

std::size_t Proposals::propose(std::size_t i, SourceId source, TokenId token, double chance) {
  const Candidate child{.token = token, .log_value = static_cast<float>(std::log(chance))};
  propose(i, source, {&child, 1});
  return this->child(i, token);
}

void Proposals::keep_paths_to(std::span<const std::size_t> nodes) {
  keep_.assign(found_.size(), 0);
  for (std::size_t i : nodes) {
    for (; i != 0 && keep_[i] == 0; i = found_[i].parent) keep_[i] = 1;
  }
  std::erase_if(order_, [&](std::size_t i) { return keep_[i] == 0; });
  values_.clear();
}

void Proposals::sort(std::size_t max_nodes, std::size_t n_levels) {
  std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
    if (found_[a].value != found_[b].value) return found_[a].value > found_[b].value;
    return a < b;  // so that parents come before their children
  });
  if (order_.size() > max_nodes) order_.resize(max_nodes);
  values_.clear();
  frontier_.clear();
  frontier_values_.clear();
  open_.clear();
  const auto look_at = [&](std::size_t i) {
    const Proposal& f = found_[i];
    if (f.pending != kNotEvaluated || static_cast<std::size_t>(f.depth) >= n_levels) return;
    // The draft model evaluates a node behind its parent.
    if (i != 0 && found_[f.parent].pending == kNotEvaluated) return;
    open_.emplace_back(f.value * open(i), i);
  };
  look_at(0);
  for (const std::size_t i : order_) {
    values_.push_back(found_[i].value);
    look_at(i);
  }
  std::sort(open_.begin(), open_.end(), [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  for (const auto& [value, i] : open_) {
    frontier_.push_back(i);
    frontier_values_.push_back(value);
  }
}

void Proposals::settle(std::size_t n, std::size_t max_leaves, DraftTree& tree) {
  if (n < order_.size()) sort(n, 0);
  std::sort(order_.begin(), order_.end());
  found_[0].node = kRoot;
  chosen_.assign(1, 0);
  for (const std::size_t i : order_) {
    Proposal& f = found_[i];
    const NodeId parent = found_[f.parent].node;
    f.node = tree.add(parent, f.token,
                      std::min(static_cast<float>(std::log(f.value)), tree.log_value(parent)));
    chosen_.push_back(i);
  }
  if (tree.n_leaves() <= max_leaves) return;
  keep_.resize(tree.size());
  new_ids_.resize(tree.size());
  mark_best(tree, tree.n_drafted(), max_leaves, keep_);
  tree.prune(keep_, new_ids_);
  renumber(new_ids_);
}

void Proposals::renumber(std::span<const NodeId> new_ids) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < new_ids.size(); ++i) {
    if (new_ids[i] == kNoNode) continue;
    chosen_[index(new_ids[i])] = chosen_[i];
    n = index(new_ids[i]) + 1;
  }
  chosen_.resize(n);
}

void Proposals::learn(const WalkResult& walk) {
  for (std::size_t d = 0; d < walk.path.size(); ++d) {
    for (std::size_t e = chosen(walk.path[d]).expansion; e != Proposal::kNone;
         e = expansions_[e].before) {
      const Expansion& expansion = expansions_[e];
      const Source& source = sources_[static_cast<std::size_t>(expansion.source)];
      if (!source.learns) continue;
      const std::span<const Candidate> candidates =
          std::span(candidates_).subspan(expansion.first, expansion.n);
      source.calibration->learn(candidates, expansion.moments,
                                place_of(walk.choices[d].token, candidates));
    }
  }
}

}  // namespace gumbelspec
