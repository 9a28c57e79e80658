#include "src/engine/tree_drafter.h"

#include <algorithm>
#include <optional>
#include <string_view>

#include "src/engine/calibration.h"
#include "src/engine/draft_levels.h"
#include "src/engine/draft_mask.h"
#include "src/engine/methods.h"
#include "src/engine/planner.h"
#include "src/engine/stopwatch.h"
#include "src/engine/text_sources.h"

namespace gumbelspec {
namespace {

// Of the tokens that a probe reads, this many teach. After this many rounds that draft again the
// draft reads the whole text.
constexpr std::size_t kProbeRows = 16;
constexpr std::size_t kReadAllAfter = 8;

class TreeDrafter final : public Drafter {
 public:
  TreeDrafter(const ModelLimits& draft, const SamplingOptions& sampling, const Method& method,
              const DraftSources& sources, std::size_t n_vocab)
      : name_(draft.is_head() ? "head" : "draft"),
        max_leaves_(draft.max_leaves),
        method_(method),
        weights_(sampling, draft.n_vocab),
        fixed_calibration_(method.tau, n_ranks(draft)),
        candidates_(n_ranks(draft)) {
    level_.reserve(static_cast<std::size_t>(method.width));
    if (sources.any()) sources_.emplace(sources, sampling, n_vocab);
  }

  void begin_text(std::span<const TokenId> /*prompt*/) override {
    n_drafted_in_row_ = 0;
    if (sources_) sources_->begin_text();
  }
  void begin(DraftRound& round) override;
  PassOutcome append(DraftRound& round, const DraftRoom& room,
                     std::vector<PassNode>& pass) override;
  void take(DraftRound& round) override;
  void see(const VerifiedTree& verified) override {
    if (sources_) sources_->see(verified);
  }

 private:
  void sort(const DraftRound& round);
  Calibration& calibration(const DraftRound& round) {
    return round.planner != nullptr ? round.planner->calibration() : fixed_calibration_;
  }
  void skip_gap(const DraftRound& round);
  void take_probe(const DraftRound& round);
  std::size_t find_children(const DraftRound& round, std::span<const float> logits,
                            const TextView& text, std::span<const std::uint32_t> allowed,
                            std::span<Candidate> out, ScoreMoments& moments);
  std::size_t next_width(const DraftRound& round, const DraftRoom& room);

  std::string_view name_;  // of the source
  std::size_t max_leaves_;
  Method method_;
  LogWeights weights_;
  Calibration fixed_calibration_;  // never learns
  std::optional<TextSources> sources_;
  DraftLevels levels_;
  std::vector<std::size_t> level_;  // proposals in the pass that is under way
  std::vector<Candidate> candidates_;
  std::size_t n_drafted_in_row_ = 0;
  bool is_done_ = false;  // no further pass
  std::size_t n_probe_ = 0;
};

std::size_t TreeDrafter::find_children(const DraftRound& round, std::span<const float> logits,
                                       const TextView& text, std::span<const std::uint32_t> allowed,
                                       std::span<Candidate> out, ScoreMoments& moments) {
  const ScoredRow scored = score_of_draft(weights_, *round.noise, logits, text, allowed);
  return best_candidates(scored.row, scored.noise, calibration(round).tau(), out, &moments);
}

void TreeDrafter::skip_gap(const DraftRound& round) {
  DraftReader& reader = *round.reader;
  const std::size_t n_missing = reader.n_missing(round.text);
  // It was another method's turn, not that drafting did not pay.
  if (round.text.size() - n_missing < round.n_foreign) return;
  if (n_drafted_in_row_ >= kReadAllAfter) return;  // it pays again, see begin()
  if (n_missing > kProbeWindow) reader.skip_to_last(round.text, kProbeWindow);
}

std::size_t TreeDrafter::next_width(const DraftRound& round, const DraftRoom& room) {
  Proposals& proposals = *round.proposals;
  std::size_t most = std::min({static_cast<std::size_t>(method_.width), max_leaves_, room.n_nodes});
  if (levels_.n_taken() == 0) most = 1;
  if (round.planner == nullptr) return std::min(most, proposals.frontier().size());
  const Stopwatch watch;
  const std::size_t width =
      round.planner->next_level(proposals.values(), proposals.frontier_values());
  round.planner->add_plan_time(watch.seconds());
  return std::min(width, most);
}

PassOutcome TreeDrafter::append(DraftRound& round, const DraftRoom& room,
                                std::vector<PassNode>& pass) {
  n_probe_ = 0;
  if (is_done_ || levels_.is_done()) return PassOutcome::ok;
  const std::size_t width = next_width(round, room);
  if (width > 0) {
    const auto frontier = round.proposals->frontier().first(width);
    level_.assign(frontier.begin(), frontier.end());
    if (round.planner != nullptr && levels_.n_taken() == 0) skip_gap(round);
    return levels_.append(round, level_, room, pass);
  }
  is_done_ = true;
  if (levels_.n_taken() > 0 || round.planner == nullptr || !round.planner->wants_probe()) {
    return PassOutcome::ok;
  }
  // The draft reads on without drafting, and learns from what the target said there.
  skip_gap(round);
  n_probe_ = round.reader->n_missing(round.text);
  round.planner->begin_probe(n_probe_);
  const std::size_t n_rows = std::min({kProbeRows, n_probe_, room.n_nodes});
  return round.reader->append_root(round.text, n_rows, room.n_nodes, pass);
}

void TreeDrafter::take(DraftRound& round) {
  if (n_probe_ > 0) {
    take_probe(round);
    return;
  }
  Proposals& proposals = *round.proposals;
  const SourceId source = proposals.source(name_, calibration(round), round.planner != nullptr);
  levels_.take(round, level_);
  for (std::size_t i = 0; i < level_.size(); ++i) {
    const std::size_t node = level_[i];
    const std::span<const std::uint32_t> allowed = allowed_below(round, node, /*in_time=*/true);
    const std::span<Candidate> room = proposals.room(candidates_.size());
    ScoreMoments moments;
    const std::size_t n =
        find_children(round, levels_.row(round, i), TextView{round.text, proposals.path(node)},
                      allowed, room, moments);
    proposals.propose(node, source, room.first(n), moments);
  }
  if (sources_) {
    sort(round);
    sources_->grow(round);
  }
  sort(round);
}

void TreeDrafter::sort(const DraftRound& round) {
  round.proposals->sort(std::min(round.max_nodes, static_cast<std::size_t>(method_.node_limit())),
                        levels_.n_levels());
}

void TreeDrafter::take_probe(const DraftRound& round) {
  const std::span<const TokenId> text = round.text;
  DraftReader& reader = *round.reader;
  const std::size_t n_rows = std::min(kProbeRows, reader.n_chain());
  // The last row is the root's; what follows it is not known yet.
  const std::size_t first = reader.n_chain() - n_rows;
  for (std::size_t i = 0; i + 1 < n_rows; ++i) {
    const std::size_t n_before = text.size() - n_rows + i + 1;
    if (n_before < round.n_foreign) continue;
    ScoreMoments moments;
    const std::size_t n = find_children(
        round, reader.row(first + i), TextView{text.first(n_before), {}}, {}, candidates_, moments);
    const std::span<const Candidate> candidates = std::span(candidates_).first(n);
    round.planner->calibration().learn(candidates, moments, place_of(text[n_before], candidates));
  }
  reader.commit({});
}

void TreeDrafter::begin(DraftRound& round) {
  is_done_ = false;
  n_probe_ = 0;
  if (round.planner != nullptr && round.reader != nullptr) {
    DraftReader& reader = *round.reader;
    n_drafted_in_row_ = round.planner->n_verified() == 0 ? 0 : n_drafted_in_row_ + 1;
    // After a pause the draft has read a part of the text only. Where it pays again, it reads all.
    if (reader.n_skipped() > 0 && n_drafted_in_row_ >= kReadAllAfter) {
      reader.skip_to_last(round.text, round.text.size());
    }
  }
  levels_.begin(round, static_cast<std::size_t>(method_.length));
  if (sources_) {
    sources_->begin(round);
    sort(round);
  }
  if (round.planner == nullptr || round.reader == nullptr) return;
  // What is far behind is read in a window only.
  round.planner->begin_round({round.max_nodes, static_cast<int>(levels_.n_levels()),
                              std::min(round.reader->n_missing(round.text), kProbeWindow)});
}

}  // namespace

std::unique_ptr<Drafter> make_tree_drafter(const ModelLimits& draft,
                                           const SamplingOptions& sampling, const Method& method,
                                           const DraftSources& sources, std::size_t n_vocab) {
  return std::make_unique<TreeDrafter>(draft, sampling, method, sources, n_vocab);
}

}  // namespace gumbelspec
