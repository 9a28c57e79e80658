#include "src/engine/mixed_method.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "src/engine/candidate_planner.h"
#include "src/engine/planner.h"
#include "src/engine/rejection.h"
#include "src/engine/stopwatch.h"
#include "src/engine/tree_drafter.h"

namespace gumbelspec {
namespace {

// Tokens that count for an arm's rate, about.
constexpr double kRateWindow = 2048.0;
// An arm is tried if it is expected to be so fast, the best one being 1, and tried again once in
// kRetryEvery blocks if it was.
constexpr double kWorthTrying = 0.7;
constexpr double kWorthRetrying = 0.75;
constexpr std::size_t kRetryEvery = 32;
// Until it was tried, a draft is thought to be good: as if so many candidates had been accepted.
constexpr int kHopefulTrials = 8;
constexpr double kHopefulGain = 0.9;
// Where no candidate pays, one is drawn once in so many rounds, to see whether that has changed.
constexpr std::size_t kProbeEvery = 32;
constexpr std::size_t kMostCandidates = 32;

constexpr std::size_t index(Arm arm) { return static_cast<std::size_t>(arm); }

struct ArmParts {
  std::unique_ptr<Drafter> drafter;
  std::unique_ptr<Verifier> verifier;
  std::shared_ptr<DraftedRound> round;        // of an arm that draws candidates
  std::unique_ptr<CandidatePlanner> planner;  // of rejection_tree
  std::size_t n_most = 0;                     // nodes of block's chain
  bool was_tried = false;
  std::size_t last_block = 0;  // chosen for, counted over all texts
  // Of its last rounds, fading.
  double tokens = 0.0;
  double seconds = 0.0;

  [[nodiscard]] bool is_measured() const { return seconds > 0.0; }
  [[nodiscard]] double rate() const { return tokens / seconds; }

  // How many candidates it draws in a round. Requires: it draws some.
  CandidatePlan plan(const ShapeRoom& room, const AcceptanceRates& rates,
                     const ChainAcceptance& chain, const KnownCosts& costs) const {
    if (planner != nullptr) return planner->plan(room, rates, costs);
    return plan_chain(std::min({n_most, room.max_depth, room.max_nodes}), chain, costs);
  }
};

// The arms, and which block has which.
class Mix {
 public:
  Mix(const TextOptions& options, const ModelLimits& draft, std::size_t n_vocab,
      MixedOptions mixed);

  void start(std::size_t n_prompt);
  // The arm that decides a position. Requires: it is not before that of an earlier call.
  ArmParts& arm_at(std::size_t position) { return arms_[index(block_at(position).arm)]; }
  [[nodiscard]] bool is_gumbel(const ArmParts& arm) const { return &arm == arms_.data(); }
  // The last position that a round from this one on may look at.
  std::size_t last_from(std::size_t position);
  // Costs known to the block of this position.
  const KnownCosts& costs_at(std::size_t position) { return block_at(position).costs; }
  // The first position of the blocks up to this one's that gumbel-tree had without a break.
  std::size_t first_own(std::size_t position) { return block_at(position).first_own; }
  void count(ArmParts& arm, std::size_t n_tokens, double seconds);

  [[nodiscard]] std::array<ArmParts, kArms>& arms() { return arms_; }
  // The text's planner, from its first round that drafts on.
  void set_planner(Planner* planner) { planner_ = planner; }
  [[nodiscard]] Planner& planner() { return *planner_; }
  [[nodiscard]] CostModel& costs() { return planner_->costs(); }
  [[nodiscard]] const BlocksByArm& blocks_by_arm() const { return n_blocks_; }

 private:
  struct Block {
    Arm arm = Arm::gumbel_tree;
    std::size_t first_own = 0;
    KnownCosts costs;  // times seen later may depend on what was drafted in the block
  };
  Block& block_at(std::size_t position);
  Arm choose(std::size_t first, const KnownCosts& costs);
  Arm fastest(const KnownCosts& costs);

  MixedOptions mixed_;
  std::size_t max_leaves_;
  Planner* planner_ = nullptr;
  std::array<ArmParts, kArms> arms_;
  AcceptanceRates hopeful_;
  ChainAcceptance hopeful_chain_{kHopefulGain};
  std::size_t n_prompt_ = 0;
  std::size_t n_chosen_ = 0;      // blocks of this text whose arm is known
  std::size_t n_all_chosen_ = 0;  // of all texts
  std::array<Block, 2> blocks_;   // the last two, by number modulo 2
  BlocksByArm n_blocks_ = {};
};

Method rejection_method(const Method& planned, MethodKind kind) {
  Method method = Method::of(kind);
  method.length = planned.length;
  const int n_most = std::min(planned.node_limit(), static_cast<int>(kMostCandidates));
  if (kind == MethodKind::block) {
    method.width = 1;
    method.length = std::min(method.length, n_most);
  } else {
    method.width = planned.width;
    method.max_nodes = n_most;
  }
  return method;
}

Mix::Mix(const TextOptions& options, const ModelLimits& draft, std::size_t n_vocab,
         MixedOptions mixed)
    : mixed_(std::move(mixed)),
      max_leaves_(std::min(draft.max_leaves, kMostCandidates)),
      blocks_{Block{.costs = KnownCosts(kMostCandidates + kMaxChildren + 2)},
              Block{.costs = KnownCosts(kMostCandidates + kMaxChildren + 2)}} {
  arms_[0].drafter = make_tree_drafter(draft, options.sampling, options.method,
                                       sources_of(options, &draft), n_vocab);
  arms_[0].verifier = make_walk_verifier();
  for (const Arm arm : {Arm::block, Arm::rejection_tree}) {
    const bool is_block = arm == Arm::block;
    const Method method =
        rejection_method(options.method, is_block ? MethodKind::block : MethodKind::rejection_tree);
    ArmParts& parts = arms_[index(arm)];
    parts.round = make_drafted_round(draft, options.sampling, method);
    parts.drafter = make_rejection_drafter(draft, options.sampling, method, parts.round);
    parts.verifier =
        is_block ? make_block_verifier(parts.round) : make_rejection_verifier(parts.round);
    if (!is_block) parts.planner = std::make_unique<CandidatePlanner>(method);
    parts.n_most = static_cast<std::size_t>(method.length);
  }
  for (int i = 0; i < kHopefulTrials; ++i) hopeful_.observe(0, true);
}

void Mix::start(std::size_t n_prompt) {
  n_prompt_ = n_prompt;
  n_chosen_ = 0;
}

// The arm of the block after this one is chosen now, too: nothing has looked at its positions yet,
// and if it has the same arm, rounds need not stop at the border.
Mix::Block& Mix::block_at(std::size_t position) {
  const std::size_t number = (position - n_prompt_) / mixed_.block;
  while (n_chosen_ <= number + 1) {
    const std::size_t first = n_prompt_ + n_chosen_ * mixed_.block;
    Block& block = blocks_[n_chosen_ % 2];
    const Block& before = blocks_[(n_chosen_ + 1) % 2];
    if (planner_ != nullptr) block.costs.take(planner_->costs());
    block.arm = choose(first, block.costs);
    block.first_own = n_chosen_ > 0 && block.arm == before.arm ? before.first_own : first;
    // All of the prompt is context only; the first block's draft has read it.
    if (n_chosen_ == 0) block.first_own = 0;
    ++n_chosen_;
  }
  return blocks_[number % 2];
}

std::size_t Mix::last_from(std::size_t position) {
  const Block& block = block_at(position);
  std::size_t number = (position - n_prompt_) / mixed_.block;
  if (blocks_[(number + 1) % 2].arm == block.arm) ++number;
  return n_prompt_ + (number + 1) * mixed_.block - 1;
}

Arm Mix::choose(std::size_t first, const KnownCosts& costs) {
  const Arm arm = mixed_.choose ? mixed_.choose(first) : fastest(costs);
  ArmParts& parts = arms_[index(arm)];
  parts.was_tried = true;
  parts.last_block = ++n_all_chosen_;
  ++n_blocks_[index(arm)];
  return arm;
}

Arm Mix::fastest(const KnownCosts& costs) {
  if (planner_ == nullptr || !arms_[0].is_measured()) return Arm::gumbel_tree;
  std::size_t best = 0;
  for (std::size_t i = 1; i < kArms; ++i) {
    if (arms_[i].is_measured() && arms_[i].rate() > arms_[best].rate()) best = i;
  }
  const ShapeRoom any = {
      .max_depth = mixed_.block, .max_nodes = kMostCandidates, .max_leaves = max_leaves_};
  for (std::size_t i = 1; i < kArms; ++i) {
    if (arms_[i].was_tried) continue;
    const double expected = arms_[i].plan(any, hopeful_, hopeful_chain_, costs).rate;
    if (expected >= kWorthTrying * arms_[best].rate()) return static_cast<Arm>(i);
  }
  if (n_all_chosen_ % kRetryEvery != 0) return static_cast<Arm>(best);
  std::size_t again = best;
  for (std::size_t i = 0; i < kArms; ++i) {
    const ArmParts& arm = arms_[i];
    if (!arm.is_measured() || arm.rate() < kWorthRetrying * arms_[best].rate()) continue;
    if (arm.last_block < arms_[again].last_block) again = i;
  }
  return static_cast<Arm>(again);
}

void Mix::count(ArmParts& arm, std::size_t n_tokens, double seconds) {
  const double fade = std::exp(-static_cast<double>(n_tokens) / kRateWindow);
  arm.tokens = fade * arm.tokens + static_cast<double>(n_tokens);
  arm.seconds = fade * arm.seconds + seconds;
}

class MixedDrafter final : public Drafter {
 public:
  explicit MixedDrafter(std::shared_ptr<Mix> mix) : mix_(std::move(mix)) {
    widths_.reserve(kMostCandidates + 1);
  }

  void begin_text(std::span<const TokenId> prompt) override;
  void begin(DraftRound& round) override;
  PassOutcome append(DraftRound& round, const DraftRoom& room,
                     std::vector<PassNode>& pass) override {
    if (!has_drafted_) return PassOutcome::ok;
    return arm_->drafter->append(round, room, pass);
  }
  void take(DraftRound& round) override { arm_->drafter->take(round); }
  void see(const VerifiedTree& verified) override;
  [[nodiscard]] bool is_indivisible() const override {
    return arm_ != nullptr && !mix_->is_gumbel(*arm_);
  }

 private:
  void plan_candidates(DraftRound& round);
  [[nodiscard]] double counted_s(const DraftTree& tree);

  std::shared_ptr<Mix> mix_;
  ArmParts* arm_ = nullptr;  // of this round
  bool has_drafted_ = false;
  std::size_t n_idle_ = 0;  // rounds in a row in which no candidate paid
  std::vector<std::size_t> widths_;
  Stopwatch round_;
};

void MixedDrafter::begin_text(std::span<const TokenId> prompt) {
  mix_->start(prompt.size());
  arm_ = nullptr;
  has_drafted_ = false;
  n_idle_ = 0;
  for (ArmParts& arm : mix_->arms()) arm.drafter->begin_text(prompt);
}

// The size of a rejection arm's round may depend on what is decided only: the rates are.
void MixedDrafter::plan_candidates(DraftRound& round) {
  const KnownCosts& costs = mix_->costs_at(round.text.size());
  const ShapeRoom room = {round.max_depth, round.max_nodes, round.max_leaves};
  std::size_t n = arm_->plan(room, arm_->round->rates, arm_->round->chain, costs).n;
  n_idle_ = n == 0 ? n_idle_ + 1 : 0;
  if (n_idle_ >= kProbeEvery) {
    n = 1;
    n_idle_ = 0;
  }
  round.max_nodes = std::min(round.max_nodes, n);
}

void MixedDrafter::begin(DraftRound& round) {
  const std::size_t position = round.text.size();
  mix_->set_planner(round.planner);
  arm_ = &mix_->arm_at(position);
  round_ = Stopwatch();
  round.max_depth = std::min(round.max_depth, mix_->last_from(position) - position);
  if (mix_->is_gumbel(*arm_)) {
    round.n_foreign = mix_->first_own(position);
  } else {
    plan_candidates(round);
  }
  has_drafted_ = round.max_depth > 0 && round.max_nodes > 0;
  if (has_drafted_) arm_->drafter->begin(round);
}

double MixedDrafter::counted_s(const DraftTree& tree) {
  const CostModel& costs = mix_->costs();
  double seconds = costs.target.seconds(tree.size());
  widths_.clear();
  for (std::size_t i = 0; i < tree.size(); ++i) {
    if (tree.is_leaf(node_id(i))) continue;
    const auto depth = static_cast<std::size_t>(tree.depth(node_id(i)));
    if (depth >= widths_.size()) widths_.resize(depth + 1);
    ++widths_[depth];
  }
  for (const std::size_t width : widths_) seconds += costs.draft.seconds(width);
  return seconds;
}

void MixedDrafter::see(const VerifiedTree& verified) {
  if (has_drafted_) arm_->drafter->see(verified);
  double seconds = round_.seconds();
  if (!mix_->costs().target.refines()) {
    seconds = mix_->is_gumbel(*arm_) ? mix_->planner().expected_s() : counted_s(verified.tree);
  }
  mix_->count(*arm_, verified.walk.path.size(), seconds);
}

class MixedVerifier final : public Verifier {
 public:
  explicit MixedVerifier(std::shared_ptr<Mix> mix) : mix_(std::move(mix)) {}

  // The last token of a text is not drafted, but its position has an arm all the same.
  void verify(const Round& round, WalkResult& result) override {
    mix_->arm_at(round.text.size()).verifier->verify(round, result);
  }

 private:
  std::shared_ptr<Mix> mix_;
};

}  // namespace

MethodParts make_mixed_method(const TextOptions& options, const ModelLimits& draft,
                              std::size_t n_vocab, const MixedOptions& mixed) {
  const auto mix = std::make_shared<Mix>(options, draft, n_vocab, mixed);
  return {.drafter = std::make_shared<MixedDrafter>(mix),
          .verifier = std::make_shared<MixedVerifier>(mix),
          .blocks = {mix, &mix->blocks_by_arm()}};
}

}  // namespace gumbelspec
