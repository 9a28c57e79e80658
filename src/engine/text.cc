#include "src/engine/text.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "src/core/probabilities.h"
#include "src/engine/text_checks.h"
#include "src/engine/tree_drafter.h"

namespace gumbelspec {
namespace {

// Where one of the models cannot branch, trees are chains. nullopt: there is no draft.
std::optional<ModelLimits> draft_limits(const Text::Models& models) {
  if (models.draft == nullptr) return std::nullopt;
  ModelLimits limits = models.draft->limits();
  if (!models.target->limits().can_branch || !limits.can_branch) limits.max_leaves = 1;
  return limits;
}

}  // namespace

void Text::prepare(const Models& models) {
  models_ = models;
  const ModelLimits& target = models.target->limits();
  check_logit_bias(options_.sampling, target.n_vocab);
  const Method& method = options_.method;
  n_context_ = target.n_context;
  weights_.emplace(options_.sampling, target.n_vocab);
  const std::optional<ModelLimits> of_draft = draft_limits(models);
  const ModelLimits* draft = of_draft ? &*of_draft : nullptr;
  if (method.drafts()) {
    if (method.is_planned() && models.costs) {
      planner_.emplace(method, models.costs, draft == nullptr ? 1 : n_ranks(*draft));
      planner_->set_rereads(!target.can_drop && target.can_drop_passes);
    }
    const MethodParts parts = make_method(options_, draft, target.n_vocab);
    drafter_ = options_.drafter ? options_.drafter : parts.drafter;
    verifier_ = parts.verifier;
    blocks_ = parts.blocks;
  }
  if (options_.verifier) verifier_ = options_.verifier;
  if (!verifier_) verifier_ = make_walk_verifier();
  const std::size_t length = n_levels();
  std::size_t n_nodes = 1;
  if (draft != nullptr) check_states(target, *draft);
  if (drafter_) {
    const Proposals::Limits limits = proposal_limits(options_, draft, target.n_vocab);
    proposals_.emplace(limits);
    n_nodes += limits.n_nodes;
    if (draft != nullptr) {
      reader_.emplace(*models.draft, limits.n_expanded,
                      std::max(static_cast<std::size_t>(method.width), kProbeWindow),
                      std::max(2 * (length + 2), 2 * kProbeWindow));
    }
  }
  by_level.assign(length, 0);
  // Rounds do not allocate: a text has all it needs when it begins.
  tree.reserve(n_nodes);
  walk.path.reserve(length + 1);
  walk.choices.reserve(length + 1);
  path_.reserve(length);
  generated_.reserve(length + 1);
  if (options_.n_logprobs < 0) return;
  best_.resize(std::min(static_cast<std::size_t>(options_.n_logprobs) + 1, target.n_vocab));
  logprobs_.reserve(length + 1);
  top_logprobs_.reserve((length + 1) * n_best());
}

std::size_t Text::n_levels() const {
  return drafter_ ? static_cast<std::size_t>(options_.method.length) : 0;
}

// The walk goes one position further than the tree.
std::size_t Text::n_noise_rows() const { return n_levels() + 2; }

std::size_t Text::n_best() const {
  return std::min(static_cast<std::size_t>(options_.n_logprobs), best_.size());
}

void Text::set_prompt(std::span<const TokenId> prompt) {
  text_.assign(prompt.begin(), prompt.end());
  n_prompt_ = prompt.size();
  statistics_ = {};
  statistics_.n_prompt = prompt.size();
}

void Text::begin(NoiseTable& noise) {
  has_drafted = false;
  weights_->forget_text();
  noise_ = &noise;
  outcome = Outcome::running;
  error.reset();
  n_last = 1;
  drop_tree();
  walk.path.clear();
  walk.choices.clear();
  clear_round();
  text_.reserve(text_.size() + std::min(room(), std::size_t{1} << 16U));
  statistics_.by_depth.resize(n_levels());
  constexpr std::size_t kUsualSources = 4;
  if (drafter_) statistics_.by_source.reserve(kUsualSources);
  std::fill(by_level.begin(), by_level.end(), 0);
  if (!by_level.empty()) by_level[0] = 1;
  if (!drafter_) return;
  drafter_->begin_text(prompt());
  if (keeps_calibration()) {
    begin_from(*models_.calibrations, options_.sampling, options_.method.tau,
               planner_->calibration());
  }
}

void Text::drop_drafter() {
  drafter_.reset();
  has_drafted = is_drafting = false;
}

std::size_t Text::room() const {
  return std::min(options_.max_tokens - n_generated(), n_context_ - text_.size());
}

Outcome Text::outcome_at(std::size_t room) const {
  if (room > 0) return Outcome::running;
  return n_generated() == options_.max_tokens ? Outcome::length : Outcome::context_full;
}

void Text::clear_round() {
  generated_.clear();
  logprobs_.clear();
  top_logprobs_.clear();
}

void Text::begin_round(std::size_t max_nodes, std::size_t max_leaves, bool may_draft) {
  round_ = Stopwatch();
  // What the target said on the way down the last tree, for the trees that may follow.
  if (has_drafted && room() >= 2) proposals_->learn(walk);
  drop_tree();
  clear_round();
  allowed_.clear();
  if (options_.constraint) {
    const auto allowed = options_.constraint->allowed(std::span(text_).subspan(n_prompt_), {});
    allowed_.assign(allowed.begin(), allowed.end());
  }
  // A node at the depth of the room would be followed by a token that is not wanted any more.
  const ModelLimits& target = models_.target->limits();
  const std::size_t max_depth = std::min({room() - 1, n_levels(), target.longest_chain()});
  has_drafted = may_draft && drafter_ != nullptr && max_depth >= 1 && may_draft_now();
  is_drafting = has_drafted && reader_.has_value();
  if (!has_drafted) return;
  draft_round_ = {.text = text_,
                  .max_depth = max_depth,
                  .max_nodes = max_nodes,
                  .max_leaves = target.can_branch ? max_leaves : 1,
                  .allowed = allowed_,
                  .noise = noise_,
                  .proposals = &*proposals_,
                  .reader = reader(),
                  .planner = planner_ ? &*planner_ : nullptr,
                  .constraint = options_.constraint.get(),
                  .n_prompt = n_prompt_};
  proposals_->clear(draft_round_.max_depth);
  if (planner_) planner_->begin_round({.max_nodes = max_nodes});
  if (reader_) reader_->close_gap(text_);
  drafter_->begin(draft_round_);
}

void Text::take(std::size_t first_row) {
  reader_->take(first_row);
  drafter_->take(draft_round_);
}

std::span<const double> Text::values() {
  if (!proposals_->is_sorted()) proposals_->sort(draft_round_.max_nodes, 0);
  return proposals_->values();
}

void Text::finish() {
  drafter_->finish(draft_round_);
  std::size_t n = proposals_->size();
  if (Planner* planner = this->planner()) {
    n = planner->nodes_to_verify(values());
  } else if (!drafter_->is_indivisible()) {
    n = std::min(draft_round_.max_nodes, static_cast<std::size_t>(options_.method.node_limit()));
  }
  proposals_->settle(n, draft_round_.max_leaves, tree);
}

void Text::finish(std::size_t n) {
  drafter_->finish(draft_round_);
  planner()->verifies(values(), n);
  proposals_->settle(n, draft_round_.max_leaves, tree);
}

void Text::walk_tree(const LanguageModel& target, std::size_t first_row) {
  const Verifier::Round round{.tree = tree,
                              .target = target,
                              .first_row = first_row,
                              .text = text_,
                              .weights = *weights_,
                              .noise = *noise_,
                              .key = noise_->key(),
                              .n_prompt = n_prompt_,
                              .constraint = options_.constraint.get(),
                              .allowed_below_root = allowed_};
  weights_->set_key(noise_->key());
  verifier_->verify(round, walk);
  if (options_.n_logprobs >= 0) {
    for (std::size_t i = 0; i < walk.path.size(); ++i) {
      if (options_.final_logprobs) {
        add_final_logprobs(round, walk.path[i], walk.choices[i].token);
      } else {
        add_logprobs(round.row(walk.path[i]), walk.choices[i].token);
      }
    }
  }
  if (reader_ && reader_->is_head()) {
    for (std::size_t i = 0; i < walk.path.size(); ++i) {
      reader_->keep_state(target, first_row + index(walk.path[i]), text_.size() - 1 + i);
    }
  }
  if (!has_drafted) return;
  drafter_->see({tree, walk, target, first_row});
}

// The model's own, so before anything of the sampling.
void Text::add_logprobs(std::span<const float> logits, TokenId token) {
  constexpr float kTau = 0.05F;  // the values are not needed; a small tau saves computing them
  const std::size_t n = best_candidates(logits, {}, kTau, best_);
  const float most = best_[0].score;
  const auto log_sum = static_cast<float>(log_sum_exp(logits, most));
  const auto logprob = [&](TokenId t) { return logits[index(t)] - most - log_sum; };
  logprobs_.push_back({token, logprob(token)});
  // One more is looked for than is wanted, so that there is a largest one in any case.
  for (const Candidate& c : std::span(best_).first(std::min(n, n_best()))) {
    top_logprobs_.push_back({c.token, logprob(c.token)});
  }
  // Where the model itself forbids nearly all, some of these: a row has always so many.
  for (std::size_t i = 0, missing = n_best() - std::min(n, n_best()); missing > 0; ++i) {
    if (logits[i] >= best_[n - 1].score) continue;
    top_logprobs_.push_back({token_id(i), logprob(token_id(i))});
    --missing;
  }
}

void Text::add_final_logprobs(const Verifier::Round& round, NodeId node, TokenId token) {
  path_.resize(static_cast<std::size_t>(round.tree.depth(node)));
  round.tree.path_tokens(node, path_);
  const std::span<const float> weights =
      (*weights_)(round.row(node), TextView{round.text, path_}, round.allowed(path_));
  if (weights_->uses_noise()) return add_logprobs(weights, token);
  // Without noise the likeliest token comes, whatever the others.
  constexpr float kNever = -std::numeric_limits<float>::infinity();
  logprobs_.push_back({token, 0.0F});
  for (std::size_t i = 0; i < n_best(); ++i) {
    top_logprobs_.push_back({token, i == 0 ? 0.0F : kNever});
  }
}

void Text::score_prompt(const LanguageModel& target, std::size_t first, std::size_t n) {
  clear_round();
  for (std::size_t i = 0; i < n; ++i) add_logprobs(target.row(i), text_[first + i + 1]);
}

void Text::commit(LanguageModel& target, std::vector<PendingId>& commit) {
  commit.clear();
  for (const NodeId node : walk.path) commit.push_back(pending_id(index(node)));
  target.commit(seq_, commit);
  if (!has_drafted) return;
  if (reader_) {
    commit.clear();
    for (const NodeId node : std::span(walk.path).subspan(1)) {
      const PendingId pending = proposals_->chosen(node).pending;
      if (pending == kNotEvaluated) break;  // the draft catches up in the next round
      commit.push_back(pending);
    }
    reader_->commit(commit);
  }
  if (Planner* planner = this->planner()) planner->end_round(walk.path.size(), round_.seconds());
}

Outcome Text::emit(const LanguageModel& target) {
  ++statistics_.n_target_passes;
  statistics_.n_drafted += tree.n_drafted();
  count_depths(tree, walk, statistics_.by_depth.size(), statistics_.by_depth);
  count_sources(statistics_.by_source);
  n_last = tree.size();
  const auto round = static_cast<std::uint32_t>(statistics_.n_rounds++);
  const std::size_t room = this->room();
  bool is_end = false;
  for (std::size_t i = 0; i < walk.choices.size() && i < room; ++i) {
    const Choice& choice = walk.choices[i];
    is_end = !options_.ignores_end && target.is_end(choice.token);
    if (is_end) break;
    const bool was_drafted = i < walk.n_accepted();
    generated_.push_back(
        {choice.token, choice.runner_up, choice.margin, static_cast<int>(i), round, was_drafted});
    text_.push_back(choice.token);
    if (was_drafted) ++statistics_.n_accepted;
  }
  statistics_.n_generated += generated_.size();
  if (reader_) statistics_.n_draft_passes = reader_->n_passes();
  if (options_.n_logprobs >= 0) {
    logprobs_.resize(generated_.size());
    top_logprobs_.resize(generated_.size() * (top_logprobs_.size() / walk.choices.size()));
  }
  return is_end ? Outcome::eos : outcome_at(this->room());
}

SourceCount& count_of(std::vector<SourceCount>& counts, std::string_view name) {
  const auto at = std::find_if(counts.begin(), counts.end(),
                               [&](const SourceCount& c) { return c.name == name; });
  return at != counts.end() ? *at : counts.emplace_back(SourceCount{std::string(name)});
}

void Text::count_sources(std::vector<SourceCount>& counts) const {
  if (tree.n_drafted() == 0) return;
  const auto of = [&](NodeId node) -> SourceCount& {
    return count_of(counts, proposals_->name(proposals_->chosen(node).source));
  };
  for (std::size_t i = 1; i < tree.size(); ++i) ++of(node_id(i)).n_drafted;
  for (const NodeId node : std::span(walk.path).subspan(1)) ++of(node).n_accepted;
}

void Text::end() {
  if (!drafter_) return;
  drafter_->end_text();
  if (keeps_calibration()) {
    keep(*models_.calibrations, options_.sampling, options_.method.tau, planner_->calibration());
  }
}

const PlannerReport* Text::planner_report() {
  if (!planner_) return nullptr;
  if (!blocks_) return &planner_->report();
  report_ = planner_->report();
  report_.blocks_by_arm = *blocks_;
  return &report_;
}

void count_depths(const DraftTree& tree, const WalkResult& walk, std::size_t n_most,
                  std::vector<DepthCount>& by_depth) {
  std::size_t depth = 0;
  for (std::size_t i = 1; i < tree.size(); ++i) {
    depth = std::max(depth, static_cast<std::size_t>(tree.depth(node_id(i))));
  }
  depth = std::min(depth, n_most);
  if (by_depth.size() < depth) by_depth.resize(depth);
  for (std::size_t d = 0; d < depth; ++d) {
    ++by_depth[d].n_drafted;
    if (d < walk.n_accepted()) ++by_depth[d].n_accepted;
  }
}

}  // namespace gumbelspec
