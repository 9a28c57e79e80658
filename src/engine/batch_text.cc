#include "src/engine/batch_text.h"

#include <algorithm>
#include <utility>

#include "src/core/probabilities.h"
#include "src/engine/tree_drafter.h"

namespace gumbelspec {
namespace {

// The method's drafter where it has one.
std::unique_ptr<StepDrafter> make_drafter(LanguageModel& draft, const TextOptions& options,
                                          const std::shared_ptr<CostModel>& costs) {
  switch (options.method.kind) {
    case MethodKind::gumbel_tree:
      return make_tree_drafter(draft, options.sampling, options.method, costs);
    case MethodKind::gumbel_chain:
    case MethodKind::gumbel_beam:
      return make_model_step_drafter(draft, options.sampling, options.method);
    case MethodKind::greedy_chain: {
      SamplingOptions greedy = options.sampling;
      greedy.temperature = 0.0F;
      return make_model_step_drafter(draft, greedy, options.method);
    }
    default:
      return nullptr;
  }
}

}  // namespace

BatchText::BatchText(TextId id, std::span<const TokenId> prompt, const TextOptions& options,
                     std::unique_ptr<TextSink> sink)
    : id_(id),
      options_(options),
      sink_(std::move(sink)),
      text_(prompt.begin(), prompt.end()),
      n_prompt_(prompt.size()) {
  statistics_.n_prompt = prompt.size();
}

void BatchText::join(std::size_t slot, BatchSlots& slots, const ModelLimits& target,
                     LanguageModel* draft, const std::shared_ptr<CostModel>& costs) {
  slot_ = slot;
  BatchSlot& own = slots[slot];
  n_context_ = target.n_context;
  n_reused = n_read = own.tokens.size();
  weights_.emplace(options_.sampling, target.n_vocab);
  if (draft != nullptr) drafter_ = make_drafter(*draft, options_, costs);
  if (drafter_) {
    drafter_->reader().attach(own.draft);
    n_draft_read = own.n_draft;
    // What it cannot read it cannot follow either.
    if (!drafter_->reader().can_read(prompt())) drafter_.reset();
  }
  const auto length = static_cast<std::size_t>(drafter_ ? options_.method.length : 0);
  // The walk goes one position further than the tree.
  if (own.n_noise_rows < length + 2) {
    own.noise = std::make_unique<NoiseTable>(target.n_vocab, length + 2);
    own.n_noise_rows = length + 2;
  }
  noise_ = own.noise.get();
  noise_->restart({options_.seed, options_.stream}, source_);
  statistics_.by_depth.resize(length);
  by_level.assign(length, 0);
  if (length > 0) by_level[0] = 1;
  // Rounds do not allocate: a text has all it needs when it joins.
  const std::size_t n_tokens = text_.size() + room();
  text_.reserve(n_tokens);
  own.tokens.reserve(n_tokens);
  tree.reserve(1 + static_cast<std::size_t>(drafter_ ? options_.method.node_limit() : 0));
  walk.path.reserve(length);
  walk.choices.reserve(length + 1);
  path_.reserve(length);
  tokens_.reserve(length + 1);
  if (options_.n_logprobs < 0) return;
  best_.resize(std::min(static_cast<std::size_t>(options_.n_logprobs) + 1, target.n_vocab));
  logprobs_.reserve(length + 1);
  top_logprobs_.reserve((length + 1) * n_best());
}

std::size_t BatchText::room() const {
  return std::min(options_.max_tokens - n_generated(), n_context_ - text_.size());
}

Outcome BatchText::outcome_at(std::size_t room) const {
  if (room > 0) return Outcome::running;
  return n_generated() == options_.max_tokens ? Outcome::length : Outcome::context_full;
}

void BatchText::begin_round(std::size_t max_nodes, std::size_t max_leaves, bool may_draft) {
  drop_tree();
  tokens_.clear();
  logprobs_.clear();
  top_logprobs_.clear();
  allowed_.clear();
  if (options_.constraint) {
    const auto allowed = options_.constraint->allowed(std::span(text_).subspan(n_prompt_), {});
    allowed_.assign(allowed.begin(), allowed.end());
  }
  // A node at the depth of the room would be followed by a token that is not wanted any more.
  has_drafted = is_drafting = may_draft && drafter_ != nullptr && room() >= 2;
  if (!has_drafted) return;
  const std::size_t max_depth = std::min(room() - 1, std::size_t{1} << 16U);
  DraftRequest request{text_, static_cast<int>(max_depth), max_nodes, max_leaves};
  request.allowed = allowed_;
  drafter_->begin(request, *noise_, tree);
}

Choice BatchText::choose_at(const LanguageModel& target, std::size_t first_row, NodeId node) {
  const auto depth = static_cast<std::size_t>(tree.depth(node));
  path_.resize(depth);
  tree.path_tokens(node, path_);
  std::span<const std::uint32_t> allowed = allowed_;
  if (options_.constraint && depth > 0) {
    allowed = options_.constraint->allowed(std::span(text_).subspan(n_prompt_), path_);
  }
  const std::span<const float> logits = target.row(first_row + index(node));
  const KeptRow row = weights_->kept(logits, TextView{text_, path_}, allowed);
  const Choice choice =
      weights_->uses_noise()
          ? choose(row, noise_->of(static_cast<Position>(text_.size() + depth), row))
          : choose(row, {});
  if (options_.n_logprobs >= 0) add_logprobs(logits, choice.token);
  return choice;
}

void BatchText::walk_tree(const LanguageModel& target, std::size_t first_row) {
  gumbelspec::walk(
      tree, [&](NodeId node) { return choose_at(target, first_row, node); }, walk);
}

// The model's own, so before anything of the sampling.
void BatchText::add_logprobs(std::span<const float> logits, TokenId token) {
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

void BatchText::count_depths() {
  std::size_t depth = 0;
  for (std::size_t i = 1; i < tree.size(); ++i) {
    depth = std::max(depth, static_cast<std::size_t>(tree.depth(node_id(i))));
  }
  std::vector<DepthCount>& counts = statistics_.by_depth;
  for (std::size_t d = 0; d < std::min(depth, counts.size()); ++d) {
    ++counts[d].n_drafted;
    if (d < walk.n_accepted()) ++counts[d].n_accepted;
  }
}

Outcome BatchText::emit(const LanguageModel& target) {
  if (has_drafted) drafter_->accept(walk.path);
  ++statistics_.n_target_passes;
  statistics_.n_drafted += tree.n_drafted();
  count_depths();
  n_last = tree.size();
  const auto round = static_cast<std::uint32_t>(statistics_.n_rounds++);
  const std::size_t room = this->room();
  bool is_end = false;
  for (std::size_t i = 0; i < walk.choices.size() && i < room; ++i) {
    const Choice& choice = walk.choices[i];
    is_end = !options_.ignores_end && target.is_end(choice.token);
    if (is_end) break;
    const bool was_drafted = i < walk.n_accepted();
    tokens_.push_back(
        {choice.token, choice.runner_up, choice.margin, static_cast<int>(i), round, was_drafted});
    text_.push_back(choice.token);
    if (was_drafted) ++statistics_.n_accepted;
  }
  statistics_.n_generated += tokens_.size();
  if (options_.n_logprobs >= 0) {
    logprobs_.resize(tokens_.size());
    top_logprobs_.resize(tokens_.size() * (top_logprobs_.size() / walk.choices.size()));
  }
  return is_end ? Outcome::eos : outcome_at(this->room());
}

}  // namespace gumbelspec
