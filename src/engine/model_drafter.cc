#include <algorithm>

#include "src/engine/draft_sequence.h"
#include "src/engine/step_drafter.h"

namespace gumbelspec {
namespace {

// A child that a node of the current level may get.
struct Child {
  NodeId parent{};
  TokenId token{};
  float log_value = 0.0F;
};

class ModelDrafter final : public StepDrafter {
 public:
  ModelDrafter(LanguageModel& model, const SamplingOptions& sampling, const Method& method)
      : StepDrafter(static_cast<std::size_t>(method.width) + 8),
        method_(method),
        weights_(sampling, model.limits().n_vocab),
        width_(std::min(static_cast<std::size_t>(method.width), model.limits().max_leaves)),
        sequence_(model, n_nodes(), width_),
        candidates_(width_) {
    level_.reserve(width_);
    pool_.reserve(width_ * width_);
    path_.resize(static_cast<std::size_t>(method.length));
    keep_.reserve(n_nodes());
    new_ids_.reserve(n_nodes());
  }

  PassOutcome start(std::span<const TokenId> prompt) override { return sequence_.start(prompt); }
  void begin(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) override;
  PassOutcome append(const Room& room, std::vector<PassNode>& pass) override;
  void take(std::size_t first_row) override;
  void finish() override { trim(); }
  void renumber(std::span<const NodeId> new_ids) override { sequence_.renumber(new_ids); }
  void accept(std::span<const NodeId> path) override { sequence_.accept(path); }
  [[nodiscard]] DraftReader& reader() override { return sequence_.reader(); }
  [[nodiscard]] const DraftReader& reader() const override { return sequence_.reader(); }

 private:
  [[nodiscard]] std::size_t n_nodes() const {
    return 1 + width_ * static_cast<std::size_t>(method_.length);
  }
  void add_level();
  void trim();

  Method method_;
  LogWeights weights_;
  std::size_t width_;
  DraftSequence sequence_;
  DraftRequest request_;
  NoiseTable* noise_ = nullptr;
  DraftTree* tree_ = nullptr;
  int n_levels_ = 0;
  int depth_ = 0;              // of the level whose children are looked for next
  std::vector<NodeId> level_;  // the nodes whose children are looked for; row i is level_[i]'s
  std::vector<Candidate> candidates_;
  std::vector<Child> pool_;
  std::vector<TokenId> path_;
  std::vector<char> keep_;
  std::vector<NodeId> new_ids_;
};

void ModelDrafter::add_level() {
  DraftTree& tree = *tree_;
  pool_.clear();
  for (std::size_t i = 0; i < level_.size(); ++i) {
    const NodeId node = level_[i];
    const auto depth = static_cast<std::size_t>(tree.depth(node));
    const std::span<TokenId> path = std::span(path_).first(depth);
    tree.path_tokens(node, path);
    const std::span<const float> logits = sequence_.row(i);
    std::span<const std::uint32_t> allowed;
    if (depth == 0) allowed = request_.allowed_of(logits.size());
    // Vocabularies may be padded differently; what the target does not know is not drafted.
    const KeptRow row = weights_.kept_of_draft(logits, TextView{request_.text, path}, allowed)
                            .below(noise_->n_vocab());
    std::span<const float> noise;
    if (weights_.uses_noise()) {
      noise = noise_->of(static_cast<Position>(request_.text.size() + depth), row);
    }
    const std::size_t n = best_candidates(row, noise, method_.tau, candidates_);
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
  }
}

void ModelDrafter::trim() {
  DraftTree& tree = *tree_;
  const std::size_t max_nodes =
      std::min(request_.max_nodes, static_cast<std::size_t>(method_.node_limit()));
  const bool is_too_large = tree.n_drafted() > max_nodes || tree.n_leaves() > request_.max_leaves;
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
    sequence_.renumber(new_ids_);
  };
  prune();
  if (tree.n_drafted() <= max_nodes && tree.n_leaves() <= request_.max_leaves) return;
  keep_.resize(tree.size());
  mark_best(tree, max_nodes, request_.max_leaves, keep_);
  prune();
}

void ModelDrafter::begin(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) {
  sequence_.begin();
  request_ = request;
  noise_ = &noise;
  tree_ = &tree;
  n_levels_ = sequence_.levels(request, method_.length);
  depth_ = 0;
  level_.assign(1, kRoot);
}

PassOutcome ModelDrafter::append(const Room& room, std::vector<PassNode>& pass) {
  if (depth_ >= n_levels_ || level_.empty()) return PassOutcome::ok;
  if (depth_ == 0) return sequence_.append_root(request_.text, room.n_nodes, pass);
  // The best come first; what does not fit stays without children.
  level_.resize(sequence_.append(*tree_, level_, room.n_nodes, room.n_ends, pass));
  return PassOutcome::ok;
}

void ModelDrafter::take(std::size_t first_row) {
  if (depth_ == 0) {
    sequence_.take_root(first_row);
  } else {
    sequence_.take(*tree_, level_, first_row);
  }
  add_level();
  ++depth_;
}

}  // namespace

std::unique_ptr<StepDrafter> make_model_step_drafter(LanguageModel& model,
                                                     const SamplingOptions& sampling,
                                                     const Method& method) {
  return std::make_unique<ModelDrafter>(model, sampling, method);
}

std::unique_ptr<Drafter> make_model_drafter(LanguageModel& model, const SamplingOptions& sampling,
                                            const Method& method) {
  return make_model_step_drafter(model, sampling, method);
}

}  // namespace gumbelspec
