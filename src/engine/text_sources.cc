#include "src/engine/text_sources.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "gumbelspec/token_constraint.h"
#include "src/engine/draft_mask.h"

namespace gumbelspec {
namespace {

// Nodes of less value are not extended.
constexpr double kLeastValue = 0.02;
// A token of less chance is not worth a place.
constexpr double kLeastChance = 1e-4;
// How far a guessed distribution is from the target's: the temperature of its scores.
constexpr double kTau = 0.6;
// A mixture's rest is spread over about so many tokens, for learning its weights.
constexpr double kRestTokens = 200.0;
constexpr double kWeightStep = 0.03;
// Of the habits of a grammar's few tokens, beside the others.
constexpr double kOfAllowed = 0.5;
// No value is certain.
constexpr double kForced = 0.995;
// Proposals of a round, about; more of them allocate.
constexpr std::size_t kMostPool = 4096;
// Rows kept of nodes that were not on the way.
constexpr std::size_t kMostOther = 4;

bool is_allowed(std::span<const std::uint32_t> allowed, TokenId token) {
  const std::size_t word = index(token) / 32;
  return allowed.empty() ||
         (word < allowed.size() && (allowed[word] >> (index(token) % 32) & 1U) != 0);
}

double chance_of(std::span<const Guess> guesses, TokenId token) {
  double rest = 1.0;
  for (const Guess& g : guesses) {
    if (g.token == token) return static_cast<double>(g.chance);
    rest -= static_cast<double>(g.chance);
  }
  return std::max(rest, 0.01) / kRestTokens;
}

}  // namespace

TextSources::TextSources(const DraftSources& sources, const SamplingOptions& sampling,
                         std::size_t n_vocab)
    : sources_(sources), has_noise_(sampling.temperature > 0.0F), n_vocab_(n_vocab) {
  if (sources.suffix) suffix_.emplace();
  if (sources.recycled) recycled_.emplace(sampling);
  if (sources.grammar) allowed_.emplace();
  for (std::size_t bin = 0; bin < kChances; ++bin) {
    of_allowed_.begin(bin, 0.7 * (static_cast<double>(bin) + 0.5) / kChances);
  }
  // Long matches are surer than any row of the past.
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    weights_[i] = 0.3 + 0.65 * static_cast<double>(i) / static_cast<double>(weights_.size() - 1);
  }
  looks_.reserve(kMostLooks);
  queue_.reserve(kMostPool);
  is_known_.reserve(kMostPool);
  mixed_.reserve(kMostGuesses);
  tokens_.reserve(kMostGuesses);
  log_chances_.reserve(kMostGuesses);
}

void TextSources::begin_text() {
  if (suffix_) suffix_->begin_text();
  if (recycled_) recycled_->begin_text();
  proposals_ = nullptr;
}

void TextSources::begin(const DraftRound& round) {
  proposals_ = round.proposals;
  looks_.clear();
  const std::span<const TokenId> text = round.text;
  end_ = {text[text.size() - std::min<std::size_t>(text.size(), 2)], text.back()};
  if (suffix_) suffix_->read(text);
  force(round);
  grow(round);
}

// A constraint's only choice, and what is the only choice after it.
void TextSources::force(const DraftRound& round) {
  if (!sources_.grammar || round.constraint == nullptr) return;
  Proposals& proposals = *round.proposals;
  std::size_t node = 0;
  for (std::size_t depth = 0; depth < round.max_depth; ++depth) {
    const std::span<const std::uint32_t> allowed =
        depth == 0
            ? round.allowed
            : round.constraint->allowed(round.text.subspan(round.n_prompt), proposals.path(node));
    std::size_t only = 0;
    int n = 0;
    for (std::size_t i = 0; i < allowed.size() && n < 2; ++i) {
      if (allowed[i] == 0) continue;
      n += std::popcount(allowed[i]);
      only = 32 * i + static_cast<std::size_t>(std::countr_zero(allowed[i]));
    }
    if (n != 1) return;
    node =
        proposals.propose(node, proposals.source_at_its_word("grammar"), token_id(only), kForced);
    if (node == Proposal::kNone) return;
  }
}

void TextSources::grow(const DraftRound& round) {
  const Proposals& proposals = *round.proposals;
  const auto add = [&](std::size_t i) {
    while (is_known_.size() <= i) is_known_.push_back(0);
    if (is_known_[i] != 0) return;
    is_known_[i] = 1;
    queue_.push_back(i);
  };
  queue_.clear();
  is_known_.assign(proposals.size(), 0);
  for (const Look& look : looks_) is_known_[look.node] = 1;
  add(0);
  for (const std::size_t i : proposals.nodes()) add(i);
  while (looks_.size() < kMostLooks) {
    const auto best = std::max_element(
        queue_.begin(), queue_.end(),
        [&](std::size_t a, std::size_t b) { return proposals[a].value < proposals[b].value; });
    if (best == queue_.end() || proposals[*best].value < kLeastValue) return;
    const std::size_t node = *best;
    *best = queue_.back();
    queue_.pop_back();
    if (static_cast<std::size_t>(proposals[node].depth) >= round.max_depth) continue;
    const std::size_t n_before = proposals.size();
    look(round, node);
    for (std::size_t i = n_before; i < proposals.size(); ++i) add(i);
  }
}

void TextSources::look(const DraftRound& round, std::size_t node) {
  Look& found = looks_.emplace_back();
  found.node = node;
  const std::span<const std::uint32_t> allowed = allowed_
                                                     ? allowed_below(round, node, /*in_time=*/true)
                                                 : node == 0 ? round.allowed
                                                             : std::span<const std::uint32_t>{};
  if (allowed_) found.n_allowed = allowed_->look(allowed, found.allowed);
  const TextView text{round.text, round.proposals->path(node)};
  if (suffix_) {
    found.n_suffix = suffix_->look(text, found.suffix);
    found.confidence = suffix_->confidence();
  }
  if (recycled_) found.n_recycled = recycled_->look(text, found.recycled);
  mix(found, allowed);
  if (mixed_.empty()) return;
  add_noise(round, static_cast<std::size_t>((*round.proposals)[node].depth));
  propose(round, found);
}

double TextSources::weight(const Look& look) const {
  if (look.n_suffix == 0) return 0.0;
  return look.n_recycled == 0 ? 1.0 : weights_[look.confidence];
}

void TextSources::mix(const Look& look, std::span<const std::uint32_t> allowed) {
  mixed_.clear();
  const double w = weight(look);
  const auto add = [&](const Guess& guess, double chance, std::size_t source) {
    if (index(guess.token) >= n_vocab_ || chance < kLeastChance) return;
    if (!is_allowed(allowed, guess.token)) return;
    auto at = std::find_if(mixed_.begin(), mixed_.end(),
                           [&](const Mixed& m) { return m.token == guess.token; });
    if (at == mixed_.end()) at = mixed_.insert(at, Mixed{.token = guess.token});
    at->from[source] += chance;
  };
  for (const Guess& g : std::span(look.suffix).first(look.n_suffix)) {
    add(g, w * static_cast<double>(g.chance), 0);
  }
  for (const Guess& g : std::span(look.recycled).first(look.n_recycled)) {
    add(g, (1.0 - w) * static_cast<double>(g.chance), 1);
  }
  if (look.n_allowed == 0) return;
  // All that can come is known, so what the others say of it is worth more.
  double sum = 0.0;
  for (const Mixed& m : mixed_) sum += m.chance();
  const double of_allowed = sum > 0.0 ? kOfAllowed : 1.0;
  for (Mixed& m : mixed_) {
    for (double& from : m.from) from *= (1.0 - of_allowed) / sum;
  }
  for (const Guess& g : std::span(look.allowed).first(look.n_allowed)) {
    add(g, of_allowed * static_cast<double>(g.chance), 2);
  }
}

// Afterwards Mixed::score is the log of the chance under the noise, best first.
void TextSources::add_noise(const DraftRound& round, std::size_t depth) {
  double rest = 1.0;
  for (const Mixed& m : mixed_) rest -= m.chance();
  rest = std::max(rest, 0.005);
  if (!has_noise_) {
    for (Mixed& m : mixed_) m.score = static_cast<float>(std::log(m.chance()));
  } else {
    std::sort(mixed_.begin(), mixed_.end(),
              [](const Mixed& a, const Mixed& b) { return a.token < b.token; });
    tokens_.clear();
    log_chances_.clear();
    for (const Mixed& m : mixed_) {
      tokens_.push_back(m.token);
      log_chances_.push_back(static_cast<float>(std::log(m.chance())));
    }
    const KeptRow row{.tokens = tokens_, .weights = log_chances_, .is_whole = false};
    const std::span<const float> noise =
        round.noise->of(position_after(round.text.size() + depth), row);
    float most = -HUGE_VALF;
    for (std::size_t i = 0; i < mixed_.size(); ++i) {
      mixed_[i].score = log_chances_[i] + noise[i];
      most = std::max(most, mixed_[i].score);
    }
    const double stays = std::exp(-rest * std::exp(-static_cast<double>(most)));
    double sum = 0.0;
    for (const Mixed& m : mixed_) sum += std::exp(static_cast<double>(m.score - most) / kTau);
    const double log_part = std::log(std::max(stays, 1e-9) / sum);
    for (Mixed& m : mixed_) {
      m.score = static_cast<float>(static_cast<double>(m.score - most) / kTau + log_part);
    }
  }
  std::sort(mixed_.begin(), mixed_.end(), [](const Mixed& a, const Mixed& b) {
    return a.score != b.score ? a.score > b.score : a.token < b.token;
  });
}

// The target knows more than its habits, so that the noise decides less than it would by them.
float TextSources::corrected(Look& look, const Mixed& mixed) const {
  const double chance = std::exp(static_cast<double>(mixed.score));
  const auto bin = std::min(static_cast<std::size_t>(chance * kChances), kChances - 1);
  if (look.n_offered < look.offered.size()) {
    look.offered[look.n_offered++] = {mixed.token, mixed.score, static_cast<std::uint8_t>(bin)};
  }
  return static_cast<float>(std::log(of_allowed_.rate(bin)));
}

void TextSources::propose(const DraftRound& round, Look& look) {
  Proposals& proposals = *round.proposals;
  for (std::size_t source = 0; source < kDraftSourceNames.size(); ++source) {
    std::span<Candidate> room = proposals.room(mixed_.size());
    std::size_t n = 0;
    for (const Mixed& m : mixed_) {
      const auto most = std::max_element(m.from.begin(), m.from.end());
      if (static_cast<std::size_t>(most - m.from.begin()) != source) continue;
      if (static_cast<double>(m.score) < std::log(kLeastChance)) continue;
      const float value = source == 2 ? corrected(look, m) : m.score;
      room[n++] = {.token = m.token, .score = m.score, .log_value = value};
    }
    if (n == 0) continue;
    const std::string_view name = kDraftSourceNames[source];
    const SourceId id = source == 2 ? proposals.source_at_its_word(name) : proposals.source(name);
    proposals.propose(look.node, id, room.first(n));
  }
}

void TextSources::learn(const Look& look, TokenId choice) {
  const std::span<const Guess> of_suffix = std::span(look.suffix).first(look.n_suffix);
  const std::span<const Guess> of_recycled = std::span(look.recycled).first(look.n_recycled);
  if (!of_suffix.empty() && !of_recycled.empty()) {
    double& w = weights_[look.confidence];
    const double a = w * chance_of(of_suffix, choice);
    const double b = (1.0 - w) * chance_of(of_recycled, choice);
    w = std::clamp(w + kWeightStep * (a / (a + b) - w), 0.02, 0.98);
  }
  for (const Guess& g : of_suffix) suffix_->learn(g, g.token == choice);
  for (const Guess& g : of_recycled) recycled_->learn(g, g.token == choice);
  if (look.n_allowed > 1) allowed_->learn(std::span(look.allowed).first(look.n_allowed), choice);
  for (const Guess& g : std::span(look.offered).first(look.n_offered)) {
    of_allowed_.learn(g.kind, g.token == choice);
  }
}

void TextSources::see(const VerifiedTree& verified) {
  if (proposals_ == nullptr) return;
  const WalkResult& walk = verified.walk;
  std::size_t node = 0;
  for (std::size_t d = 0; d < walk.choices.size() && node != Proposal::kNone; ++d) {
    const TokenId choice = walk.choices[d].token;
    const auto look =
        std::find_if(looks_.begin(), looks_.end(), [&](const Look& l) { return l.node == node; });
    if (look != looks_.end()) learn(*look, choice);
    node = proposals_->child(node, choice);
  }
  if (!recycled_) return;
  const DraftTree& tree = verified.tree;
  const auto keep = [&](NodeId of) {
    const TokenId last = tree.token(of);
    if (of == kRoot) {
      recycled_->keep(end_[0], last, verified.row(of));
    } else {
      const NodeId parent = tree.parent(of);
      recycled_->keep(tree.token(parent), last, verified.row(of));
    }
  };
  // Parents come before their children, so the likeliest ones come first.
  std::size_t n_other = 0;
  for (std::size_t i = 0; i < tree.size() && n_other < kMostOther; ++i) {
    const NodeId id = node_id(i);
    if (std::find(walk.path.begin(), walk.path.end(), id) != walk.path.end()) continue;
    keep(id);
    ++n_other;
  }
  for (const NodeId id : walk.path) keep(id);
}

}  // namespace gumbelspec
