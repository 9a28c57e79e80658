#include <algorithm>
#include <chrono>

#include "gumbelspec/drafter.h"
#include "src/engine/stopwatch.h"

namespace gumbelspec {
namespace {

constexpr PendingId kNotEvaluated{-1};

// A child that a node of the current level may get.
struct Child {
  NodeId parent{};
  TokenId token{};
  float log_value = 0.0F;
};

class ModelDrafter final : public Drafter {
 public:
  ModelDrafter(LanguageModel& model, const SamplingOptions& sampling, const Method& method)
      : model_(model),
        method_(method),
        weights_(sampling, model.limits().n_vocab),
        width_(std::min(static_cast<std::size_t>(method.width), model.limits().max_leaves)),
        candidates_(width_) {
    const std::size_t n_nodes = 1 + width_ * static_cast<std::size_t>(method.length);
    pending_.reserve(n_nodes);
    level_.reserve(width_);
    pool_.reserve(width_ * width_);
    path_.resize(static_cast<std::size_t>(method.length));
    pass_.reserve(width_ + kMaxChain);
    commit_.reserve(n_nodes + kMaxChain);
    keep_.reserve(n_nodes);
    new_ids_.reserve(n_nodes);
  }

  ~ModelDrafter() override {
    if (is_open_) model_.close(seq_);
  }
  ModelDrafter(const ModelDrafter&) = delete;
  ModelDrafter& operator=(const ModelDrafter&) = delete;

  PassOutcome start(std::span<const TokenId> prompt) override;
  PassOutcome draft(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) override;
  void accept(std::span<const NodeId> path) override;
  [[nodiscard]] std::size_t n_passes() const override { return n_passes_; }
  [[nodiscard]] double pass_s() const override { return pass_s_; }

 private:
  // Tokens that a pass takes on its way to the root; after a long pause they get a pass of their
  // own.
  static constexpr std::size_t kMaxChain = 8;

  [[nodiscard]] int levels(const DraftRequest& request) const;
  [[nodiscard]] bool knows(std::span<const TokenId> tokens) const;
  PassOutcome evaluate();
  PassOutcome evaluate_root(const DraftRequest& request);
  PassOutcome evaluate_level(const DraftTree& tree);
  void add_level(const DraftRequest& request, NoiseTable& noise, DraftTree& tree);
  void trim(const DraftRequest& request, DraftTree& tree);

  LanguageModel& model_;
  Method method_;
  LogWeights weights_;
  std::size_t width_;
  SeqId seq_{};
  bool is_open_ = false;
  std::size_t n_passes_ = 0;
  double pass_s_ = 0.0;

  std::size_t n_chain_ = 0;  // pending tokens from the committed text to the root, inclusive
  std::size_t n_pending_ = 0;
  std::vector<PendingId> pending_;  // [tree.size()], where the draft has evaluated a node
  std::vector<NodeId> level_;       // the nodes whose children are looked for; row i is level_[i]'s
  std::size_t first_row_ = 0;       // the row of level_[0] in the last pass
  std::vector<Candidate> candidates_;
  std::vector<Child> pool_;
  std::vector<TokenId> path_;
  std::vector<PassNode> pass_;
  std::vector<PendingId> commit_;
  std::vector<char> keep_;
  std::vector<NodeId> new_ids_;
};

PassOutcome ModelDrafter::start(std::span<const TokenId> prompt) {
  if (!is_open_) seq_ = model_.open();
  is_open_ = true;
  model_.truncate(seq_, 0);
  n_chain_ = n_pending_ = n_passes_ = 0;
  pass_s_ = 0.0;
  pending_.clear();
  if (prompt.size() > model_.limits().n_context || !knows(prompt)) return PassOutcome::no_space;
  return model_.extend(seq_, prompt.first(prompt.size() - 1));
}

// A target may have more padding tokens. If it ever says one, the draft cannot follow.
bool ModelDrafter::knows(std::span<const TokenId> tokens) const {
  return std::all_of(tokens.begin(), tokens.end(),
                     [&](TokenId t) { return index(t) < model_.limits().n_vocab; });
}

int ModelDrafter::levels(const DraftRequest& request) const {
  // The last level is never evaluated by the draft, so it may lie just behind its context.
  const std::size_t context = model_.limits().n_context;
  if (request.text.size() > context) return 0;
  // Tokens that it does not know stay missing, so this holds for the rest of the text.
  if (!knows(request.text.subspan(model_.n_committed(seq_)))) return 0;
  const std::size_t fitting = context - request.text.size() + 1;
  const auto wanted = static_cast<std::size_t>(std::min(method_.length, request.max_depth));
  return static_cast<int>(std::min(wanted, fitting));
}

PassOutcome ModelDrafter::evaluate() {
  const Stopwatch watch;
  const PassOutcome outcome = model_.evaluate(pass_);
  pass_s_ += watch.seconds();
  ++n_passes_;
  if (outcome == PassOutcome::ok) n_pending_ += pass_.size();
  return outcome;
}

PassOutcome ModelDrafter::evaluate_root(const DraftRequest& request) {
  std::span<const TokenId> missing = request.text.subspan(model_.n_committed(seq_));
  if (missing.size() > kMaxChain) {
    const PassOutcome outcome = model_.extend(seq_, missing.first(missing.size() - 1));
    if (outcome != PassOutcome::ok) return outcome;
    missing = missing.last(1);
  }
  pass_.clear();
  for (std::size_t i = 0; i < missing.size(); ++i) {
    const PendingId parent = i == 0 ? kCommitted : pending_id(i - 1);
    pass_.push_back({seq_, parent, missing[i], i + 1 == missing.size()});
  }
  const PassOutcome outcome = evaluate();
  if (outcome != PassOutcome::ok) return outcome;
  n_chain_ = missing.size();
  first_row_ = n_chain_ - 1;
  pending_[index(kRoot)] = pending_id(n_chain_ - 1);
  return outcome;
}

PassOutcome ModelDrafter::evaluate_level(const DraftTree& tree) {
  pass_.clear();
  for (const NodeId node : level_) {
    pass_.push_back({seq_, pending_[index(tree.parent(node))], tree.token(node), true});
  }
  const std::size_t first = n_pending_;
  const PassOutcome outcome = evaluate();
  if (outcome != PassOutcome::ok) return outcome;
  first_row_ = 0;
  for (std::size_t i = 0; i < level_.size(); ++i) {
    pending_[index(level_[i])] = pending_id(first + i);
  }
  return outcome;
}

void ModelDrafter::add_level(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) {
  pool_.clear();
  for (std::size_t i = 0; i < level_.size(); ++i) {
    const NodeId node = level_[i];
    const auto depth = static_cast<std::size_t>(tree.depth(node));
    const std::span<TokenId> path = std::span(path_).first(depth);
    tree.path_tokens(node, path);
    std::span<const float> log_weights =
        weights_(model_.row(first_row_ + i), TextView{request.text, path});
    // Vocabularies may be padded differently; what the target does not know is not drafted.
    log_weights = log_weights.first(std::min(log_weights.size(), noise.n_vocab()));
    std::span<const float> row;
    if (weights_.uses_noise()) {
      row = noise.row(static_cast<Position>(request.text.size() + depth));
    }
    const std::size_t n = best_candidates(log_weights, row, method_.tau, candidates_);
    for (const Candidate& c : std::span(candidates_).first(n)) {
      pool_.push_back({node, c.token, tree.log_value(node) + c.log_value});
    }
  }
  const std::size_t n = std::min(width_, pool_.size());
  std::partial_sort(pool_.begin(), pool_.begin() + static_cast<std::ptrdiff_t>(n), pool_.end(),
                    [](const Child& a, const Child& b) {
                      if (a.log_value != b.log_value) return a.log_value > b.log_value;
                      return a.parent != b.parent ? a.parent < b.parent : a.token < b.token;
                    });
  level_.clear();
  for (const Child& child : std::span(pool_).first(n)) {
    level_.push_back(tree.add(child.parent, child.token, child.log_value));
    pending_.push_back(kNotEvaluated);
  }
}

void ModelDrafter::trim(const DraftRequest& request, DraftTree& tree) {
  const std::size_t max_nodes =
      std::min(request.max_nodes, static_cast<std::size_t>(method_.node_limit()));
  const bool is_too_large = tree.n_drafted() > max_nodes || tree.n_leaves() > request.max_leaves;
  if (method_.keep_pruned && !is_too_large) return;
  keep_.assign(tree.size(), method_.keep_pruned ? char{1} : char{0});
  if (!method_.keep_pruned) {
    keep_[index(kRoot)] = 1;
    for (NodeId leaf : level_) {
      for (; keep_[index(leaf)] == 0; leaf = tree.parent(leaf)) keep_[index(leaf)] = 1;
    }
  }
  const auto prune = [&] {
    new_ids_.resize(tree.size());
    tree.prune(keep_, new_ids_);
    for (std::size_t i = 0; i < new_ids_.size(); ++i) {
      if (new_ids_[i] != kNoNode) pending_[index(new_ids_[i])] = pending_[i];
    }
    pending_.resize(tree.size());
  };
  prune();
  if (tree.n_drafted() <= max_nodes && tree.n_leaves() <= request.max_leaves) return;
  keep_.resize(tree.size());
  mark_best(tree, max_nodes, request.max_leaves, keep_);
  prune();
}

PassOutcome ModelDrafter::draft(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) {
  n_chain_ = n_pending_ = 0;
  pending_.assign(1, kNotEvaluated);
  const int n_levels = levels(request);
  if (n_levels == 0 || request.max_nodes == 0) return PassOutcome::ok;
  level_.assign(1, kRoot);
  for (int depth = 0; depth < n_levels && !level_.empty(); ++depth) {
    const PassOutcome outcome = depth == 0 ? evaluate_root(request) : evaluate_level(tree);
    if (outcome == PassOutcome::cancelled) return outcome;
    if (outcome == PassOutcome::no_space) break;  // verify what there is
    add_level(request, noise, tree);
  }
  trim(request, tree);
  return PassOutcome::ok;
}

void ModelDrafter::accept(std::span<const NodeId> path) {
  commit_.clear();
  for (std::size_t i = 0; i < n_chain_; ++i) commit_.push_back(pending_id(i));
  for (const NodeId node : path.subspan(1)) {
    if (pending_[index(node)] == kNotEvaluated) break;
    commit_.push_back(pending_[index(node)]);
  }
  model_.commit(seq_, commit_);
  n_chain_ = n_pending_ = 0;
}

}  // namespace

std::unique_ptr<Drafter> make_model_drafter(LanguageModel& model, const SamplingOptions& sampling,
                                            const Method& method) {
  return std::make_unique<ModelDrafter>(model, sampling, method);
}

}  // namespace gumbelspec
