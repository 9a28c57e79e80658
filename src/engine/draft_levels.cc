#include "src/engine/draft_levels.h"

#include <algorithm>

namespace gumbelspec {

DraftLevels::DraftLevels() {
  constexpr std::size_t kUsual = 64;  // the widest level of a method
  tokens_.reserve(kUsual);
  parents_.reserve(kUsual);
}

void DraftLevels::begin(const DraftRound& round, std::size_t length) {
  n_taken_ = n_levels_ = 0;
  if (round.reader == nullptr || round.max_nodes == 0) return;
  n_levels_ = std::min({length, round.max_depth, round.reader->n_levels(round.text)});
}

PassOutcome DraftLevels::append(const DraftRound& round, std::vector<std::size_t>& level,
                                const DraftRoom& room, std::vector<PassNode>& pass) {
  if (is_done() || level.empty()) return PassOutcome::ok;
  if (n_taken_ == 0) return round.reader->append_root(round.text, 1, room.n_nodes, pass);
  tokens_.clear();
  parents_.clear();
  // Other sources may propose what only the target knows.
  const std::size_t n_known = round.reader->model().limits().n_vocab;
  std::erase_if(level,
                [&](std::size_t i) { return index((*round.proposals)[i].token) >= n_known; });
  for (const std::size_t i : level) {
    const Proposal& proposal = (*round.proposals)[i];
    tokens_.push_back(proposal.token);
    parents_.push_back((*round.proposals)[proposal.parent].pending);
  }
  const std::size_t n = std::min(round.reader->n_fitting(parents_, room.n_ends), room.n_nodes);
  level.resize(std::min(n, level.size()));
  round.reader->append(std::span(tokens_).first(level.size()),
                       std::span(parents_).first(level.size()), pass);
  return PassOutcome::ok;
}

void DraftLevels::take(const DraftRound& round, std::span<const std::size_t> level) {
  first_row_ = n_taken_ == 0 ? round.reader->n_chain() - 1 : 0;
  ++n_taken_;
  for (std::size_t i = 0; i < level.size(); ++i) {
    round.proposals->set_evaluated(
        level[i], level[i] == 0 ? round.reader->root() : round.reader->id_of_last(i));
  }
}

}  // namespace gumbelspec
