#include "src/engine/mixed_method.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "src/engine/candidate_planner.h"
#include "src/engine/rejection.h"
#include "src/engine/stopwatch.h"
#include "src/engine/tree_drafter.h"

namespace gumbelspec {
namespace {

// Tokens that count for an arm's rate, about.
constexpr double kRateWindow = 512.0;
// An arm is tried if it is expected to be so fast, the best one being 1, and tried again once in
// kRetryEvery blocks if it was.
constexpr double kWorthTrying = 0.7;
constexpr double kWorthRetrying = 0.75;
constexpr std::size_t kRetryEvery = 16;
// Until it was tried, a draft is thought to be good: as if so many candidates had been accepted.
constexpr int kHopefulTrials = 8;
// Where no candidate pays, one is drawn once in so many rounds, to see whether that has changed.
constexpr std::size_t kProbeEvery = 32;
constexpr std::size_t kMostCandidates = 32;

constexpr std::size_t index(Arm arm) { return static_cast<std::size_t>(arm); }

struct ArmParts {
  std::unique_ptr<Drafter> drafter;
  std::unique_ptr<Verifier> verifier;
  std::shared_ptr<DraftedRound> round;        // of a rejection arm
  std::unique_ptr<CandidatePlanner> planner;  // the same
  bool is_started = false;                    // has read this text
  bool was_tried = false;
  std::size_t last_block = 0;  // chosen for, counted over all texts
  // Of its last rounds, fading.
  double tokens = 0.0;
  double seconds = 0.0;

  [[nodiscard]] bool is_measured() const { return seconds > 0.0; }
  [[nodiscard]] double rate() const { return tokens / seconds; }
};

// The arms, and which block has which.
class Mix {
 public:
  Mix(const SessionOptions& options, LanguageModel& draft, MixedOptions mixed);

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
  [[nodiscard]] CostModel& costs() { return *costs_; }
  [[nodiscard]] const std::array<std::size_t, kArms>& blocks_by_arm() const { return n_blocks_; }

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
  std::shared_ptr<CostModel> costs_;
  std::array<ArmParts, kArms> arms_;
  AcceptanceRates hopeful_;
  std::size_t n_prompt_ = 0;
  std::size_t n_chosen_ = 0;      // blocks of this text whose arm is known
  std::size_t n_all_chosen_ = 0;  // of all texts
  std::array<Block, 2> blocks_;   // the last two, by number modulo 2
  std::array<std::size_t, kArms> n_blocks_ = {};
};

Method rejection_method(const Method& planned, MethodKind kind) {
  Method method;
  method.kind = kind;
  method.length = planned.length;
  const int n_most = std::min(planned.node_limit(), static_cast<int>(kMostCandidates));
  if (kind == MethodKind::rejection) {
    method.width = 1;
    method.length = std::min(method.length, n_most);
  } else {
    method.width = planned.width;
    method.max_nodes = n_most;
  }
  return method;
}

Mix::Mix(const SessionOptions& options, LanguageModel& draft, MixedOptions mixed)
    : mixed_(std::move(mixed)),
      costs_(options.costs),
      blocks_{Block{.costs = KnownCosts(kMostCandidates + kMaxChildren + 2)},
              Block{.costs = KnownCosts(kMostCandidates + kMaxChildren + 2)}} {
  arms_[0].drafter = make_tree_drafter(draft, options.sampling, options.method, costs_);
  arms_[0].verifier = make_walk_verifier();
  for (const Arm arm : {Arm::rejection, Arm::rejection_tree}) {
    const Method method = rejection_method(
        options.method, arm == Arm::rejection ? MethodKind::rejection : MethodKind::rejection_tree);
    ArmParts& parts = arms_[index(arm)];
    parts.round = make_drafted_round(draft, options.sampling, method);
    parts.drafter = make_rejection_drafter(draft, options.sampling, method, parts.round);
    parts.verifier = make_rejection_verifier(parts.round);
    parts.planner = std::make_unique<CandidatePlanner>(method);
  }
  for (int i = 0; i < kHopefulTrials; ++i) hopeful_.observe(0, true);
}

void Mix::start(std::size_t n_prompt) {
  n_prompt_ = n_prompt;
  n_chosen_ = 0;
  for (ArmParts& arm : arms_) arm.is_started = false;
}

// The arm of the block after this one is chosen now, too: nothing has looked at its positions yet,
// and if it has the same arm, rounds need not stop at the border.
Mix::Block& Mix::block_at(std::size_t position) {
  const std::size_t number = (position - n_prompt_) / mixed_.block;
  while (n_chosen_ <= number + 1) {
    const std::size_t first = n_prompt_ + n_chosen_ * mixed_.block;
    Block& block = blocks_[n_chosen_ % 2];
    const Block& before = blocks_[(n_chosen_ + 1) % 2];
    block.costs.take(*costs_);
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
  if (!arms_[0].is_measured()) return Arm::gumbel_tree;
  std::size_t best = 0;
  for (std::size_t i = 1; i < kArms; ++i) {
    if (arms_[i].is_measured() && arms_[i].rate() > arms_[best].rate()) best = i;
  }
  const DraftRequest any = {.text = {},
                            .max_depth = static_cast<int>(mixed_.block),
                            .max_nodes = kMostCandidates,
                            .max_leaves = kMostCandidates};
  for (std::size_t i = 1; i < kArms; ++i) {
    if (arms_[i].was_tried) continue;
    const double expected = arms_[i].planner->plan(any, hopeful_, costs).rate;
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

  PassOutcome start(std::span<const TokenId> prompt) override;
  PassOutcome draft(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) override;
  void accept(std::span<const NodeId> path) override;
  void observe_target_pass(std::size_t n_nodes, double seconds) override {
    mix_->costs().target.observe(n_nodes, seconds);
  }
  const PlannerReport* report() override;
  [[nodiscard]] std::size_t n_passes() const override;
  [[nodiscard]] double pass_s() const override;

 private:
  PassOutcome start_arm(ArmParts& arm, std::span<const TokenId> text);
  void plan_candidates(DraftRequest& request);
  [[nodiscard]] double counted_s(const DraftTree& tree);

  std::shared_ptr<Mix> mix_;
  ArmParts* arm_ = nullptr;  // of this round
  bool has_drafted_ = false;
  double counted_s_ = 0.0;       // what this round's passes are said to take, but gumbel-tree's
  double planned_before_ = 0.0;  // gumbel-tree's seconds before this round
  double late_start_s_ = 0.0;
  std::size_t n_idle_ = 0;  // rounds in a row in which no candidate paid
  std::vector<std::size_t> widths_;
  Stopwatch round_;
  PlannerReport report_;
};

PassOutcome MixedDrafter::start(std::span<const TokenId> prompt) {
  mix_->start(prompt.size());
  late_start_s_ = 0.0;
  arm_ = nullptr;
  has_drafted_ = false;
  n_idle_ = 0;
  return start_arm(mix_->arms()[0], prompt);
}

PassOutcome MixedDrafter::start_arm(ArmParts& arm, std::span<const TokenId> text) {
  const PassOutcome outcome = arm.drafter->start(text);
  arm.is_started = outcome != PassOutcome::cancelled;
  return outcome;
}

// The size of a rejection arm's round may depend on what is decided only: the rates are.
void MixedDrafter::plan_candidates(DraftRequest& request) {
  const KnownCosts& costs = mix_->costs_at(request.text.size());
  std::size_t n = arm_->planner->plan(request, arm_->round->rates, costs).n;
  n_idle_ = n == 0 ? n_idle_ + 1 : 0;
  if (n_idle_ >= kProbeEvery) {
    n = 1;
    n_idle_ = 0;
  }
  request.max_nodes = std::min(request.max_nodes, n);
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

PassOutcome MixedDrafter::draft(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) {
  const std::size_t position = request.text.size();
  arm_ = &mix_->arm_at(position);
  has_drafted_ = false;
  if (!arm_->is_started) {
    // Reading the text so far is not held against the arm.
    const Stopwatch watch;
    const PassOutcome outcome = start_arm(*arm_, request.text);
    late_start_s_ += watch.seconds();
    if (outcome == PassOutcome::cancelled) return outcome;
  }
  round_ = Stopwatch();
  DraftRequest mine = request;
  mine.max_depth = static_cast<int>(
      std::min(static_cast<std::size_t>(request.max_depth), mix_->last_from(position) - position));
  const bool is_gumbel = mix_->is_gumbel(*arm_);
  if (is_gumbel) {
    mine.n_foreign = mix_->first_own(position);
    planned_before_ = arm_->drafter->report()->seconds;
  } else {
    plan_candidates(mine);
  }
  PassOutcome outcome = PassOutcome::ok;
  if (mine.max_depth > 0 && mine.max_nodes > 0) {
    has_drafted_ = true;
    outcome = arm_->drafter->draft(mine, noise, tree);
  }
  if (!has_drafted_ || !is_gumbel) counted_s_ = counted_s(tree);
  return outcome;
}

void MixedDrafter::accept(std::span<const NodeId> path) {
  if (has_drafted_) arm_->drafter->accept(path);
  double seconds = round_.seconds();
  if (!mix_->costs().target.refines()) {
    seconds = has_drafted_ && mix_->is_gumbel(*arm_)
                  ? arm_->drafter->report()->seconds - planned_before_
                  : counted_s_;
  }
  mix_->count(*arm_, path.size(), seconds);
}

const PlannerReport* MixedDrafter::report() {
  report_ = *mix_->arms()[0].drafter->report();
  report_.blocks_by_arm = mix_->blocks_by_arm();
  return &report_;
}

std::size_t MixedDrafter::n_passes() const {
  std::size_t n = 0;
  for (const ArmParts& arm : mix_->arms()) {
    if (arm.is_started) n += arm.drafter->n_passes();
  }
  return n;
}

double MixedDrafter::pass_s() const {
  double seconds = late_start_s_;
  for (const ArmParts& arm : mix_->arms()) {
    if (arm.is_started) seconds += arm.drafter->pass_s();
  }
  return seconds;
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

bool can_mix(const Method& method, const LanguageModel& draft) {
  return method.is_planned() && draft.limits().n_sequences >= kArms;
}

void add_mixed_parts(const SessionOptions& options, LanguageModel& draft, const MixedOptions& mixed,
                     SessionParts& parts) {
  const auto mix = std::make_shared<Mix>(options, draft, mixed);
  parts.drafter = std::make_unique<MixedDrafter>(mix);
  parts.verifier = std::make_unique<MixedVerifier>(mix);
}

}  // namespace gumbelspec
