#include "testing/drafters.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace gumbelspec::testing {

void OracleDrafter::begin(DraftRound& round) {
  const SourceId source = round.proposals->source("oracle");
  std::vector<TokenId> text(round.text.begin(), round.text.end());
  std::size_t node = 0;
  for (std::size_t i = 0; i < std::min(n_, round.max_depth); ++i) {
    const TokenId token =
        score(weights_, *round.noise, target_.logits(text), TextView{text, {}}).choose().token;
    node = round.proposals->propose(node, source, token, 0.99);
    if (node == Proposal::kNone) return;
    text.push_back(token);
  }
}

std::uint32_t RandomDrafter::next() {
  state_ = state_ * 1664525U + 1013904223U;
  return state_ >> 8U;
}

void RandomDrafter::begin(DraftRound& round) {
  Proposals& proposals = *round.proposals;
  const SourceId source =
      next() % 2 == 0 ? proposals.source("random") : proposals.source_at_its_word("certain");
  for (std::size_t i = next() % 20; i > 0; --i) {
    const std::size_t parent = next() % proposals.size();
    const TokenId token{static_cast<std::int32_t>(next() % (n_vocab_ + 2)) - 1};
    proposals.propose(parent, source, token, static_cast<double>(1 + next() % 99) / 100.0);
  }
}

void TwoSourceDrafter::begin(DraftRound& round) {
  const std::span<const TokenId> text = round.text;
  Proposals& proposals = *round.proposals;
  const SourceId matches = proposals.source("matches");
  for (std::size_t i = text.size() - 1; i-- > 0;) {
    if (text[i] != text.back()) continue;
    std::size_t node = 0;
    for (std::size_t k = i + 1; k < std::min(i + 4, text.size()); ++k) {
      node = proposals.propose(node, matches, text[k], 0.4);
      if (node == Proposal::kNone) break;
    }
  }
  counts_.clear();
  for (const TokenId token : text) {
    counts_.resize(std::max(counts_.size(), index(token) + 1));
    ++counts_[index(token)];
  }
  std::array<Candidate, 3> often;
  for (Candidate& best : often) {
    const auto most = std::max_element(counts_.begin(), counts_.end());
    best = {.token = token_id(static_cast<std::size_t>(most - counts_.begin())),
            .log_value = std::log(static_cast<float>(*most + 1) / (text.size() + 4.0F) / 3.0F)};
    *most = 0;
  }
  proposals.propose(0, proposals.source("often"), often);
}

void LastRowsDrafter::see(const VerifiedTree& verified) {
  for (const NodeId node : verified.walk.path) {
    const std::span<const float> row = verified.row(node);
    rows_[verified.tree.token(node)].assign(row.begin(), row.end());
  }
}

void LastRowsDrafter::begin(DraftRound& round) {
  constexpr float kTau = 0.5F;
  Proposals& proposals = *round.proposals;
  const SourceId source = proposals.source("last rows");
  std::vector<Candidate> best(3);
  for (std::size_t node = 0; node < proposals.size() && node < 8; ++node) {
    const TokenId token = node == 0 ? round.text.back() : proposals[node].token;
    const auto row = rows_.find(token);
    if (row == rows_.end()) continue;
    const ScoredRow scored =
        score(weights_, *round.noise, row->second, TextView{round.text, proposals.path(node)});
    ScoreMoments moments;
    const std::size_t n = best_candidates(scored.row, scored.noise, kTau, best, &moments);
    proposals.propose(node, source, std::span(best).first(n), moments);
  }
}

}  // namespace gumbelspec::testing
