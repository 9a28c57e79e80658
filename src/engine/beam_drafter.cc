#include "src/engine/beam_drafter.h"

#include <algorithm>
#include <cmath>

#include "src/engine/draft_levels.h"
#include "src/engine/draft_mask.h"

namespace gumbelspec {
namespace {

// A child that a node of the current level may get.
struct Child {
  std::size_t parent = 0;
  Candidate candidate;
  double value = 0.0;
};

class BeamDrafter final : public Drafter {
 public:
  BeamDrafter(const ModelLimits& draft, const SamplingOptions& sampling, const Method& method)
      : method_(method),
        weights_(sampling, draft.n_vocab),
        width_(std::min(static_cast<std::size_t>(method.width), draft.max_leaves)),
        candidates_(width_) {
    level_.reserve(width_);
    pool_.reserve(width_ * width_);
  }

  void begin(DraftRound& round) override {
    levels_.begin(round, static_cast<std::size_t>(method_.length));
    level_.assign(1, 0);
  }
  PassOutcome append(DraftRound& round, const DraftRoom& room,
                     std::vector<PassNode>& pass) override {
    // The best come first; what does not fit stays without children.
    return levels_.append(round, level_, room, pass);
  }
  void take(DraftRound& round) override;
  void finish(DraftRound& round) override {
    if (!method_.keep_pruned) round.proposals->keep_paths_to(level_);
  }

 private:
  Method method_;
  LogWeights weights_;
  std::size_t width_;
  DraftLevels levels_;
  std::vector<std::size_t> level_;  // proposals that are evaluated next
  std::vector<Candidate> candidates_;
  std::vector<Child> pool_;
};

void BeamDrafter::take(DraftRound& round) {
  Proposals& proposals = *round.proposals;
  const SourceId source = proposals.source_at_its_word("beam");
  levels_.take(round, level_);
  pool_.clear();
  for (std::size_t i = 0; i < level_.size(); ++i) {
    const std::size_t node = level_[i];
    const std::span<const std::uint32_t> allowed = allowed_below(round, node, /*in_time=*/true);
    const ScoredRow scored = score_of_draft(weights_, *round.noise, levels_.row(round, i),
                                            TextView{round.text, proposals.path(node)}, allowed);
    const std::size_t n = best_candidates(scored.row, scored.noise, method_.tau, candidates_);
    for (const Candidate& c : std::span(candidates_).first(n)) {
      const double chance = std::exp(static_cast<double>(c.log_value));
      pool_.push_back({node, c, proposals[node].value * chance});
    }
  }
  const std::size_t n = std::min(width_, pool_.size());
  std::partial_sort(pool_.begin(), pool_.begin() + static_cast<std::ptrdiff_t>(n), pool_.end(),
                    [](const Child& a, const Child& b) {
                      if (a.value != b.value) return a.value > b.value;
                      return a.parent != b.parent ? a.parent < b.parent
                                                  : a.candidate.token < b.candidate.token;
                    });
  level_.clear();
  for (const Child& child : std::span(pool_).first(n)) {
    const std::size_t added = proposals.size();
    proposals.propose(child.parent, source, {&child.candidate, 1});
    if (proposals.size() > added) level_.push_back(added);
  }
}

}  // namespace

std::unique_ptr<Drafter> make_beam_drafter(const ModelLimits& draft,
                                           const SamplingOptions& sampling, const Method& method) {
  return std::make_unique<BeamDrafter>(draft, sampling, method);
}

}  // namespace gumbelspec
