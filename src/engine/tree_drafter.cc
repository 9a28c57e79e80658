#include "src/engine/tree_drafter.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "src/engine/draft_reader.h"
#include "src/engine/planner.h"
#include "src/engine/stopwatch.h"

namespace gumbelspec {
namespace {

// Children per node that are looked at; one that is 16th by score is the target's choice less than
// once in a hundred times, and then a lucky one.
constexpr std::size_t kRanks = 16;
// Below this a node is not worth a place in any tree.
constexpr float kLeastValue = 1e-4F;

// A draft that was not used for a while reads so many tokens of what it missed, and learns from so
// many of them. After so many rounds that draft again it reads the whole text.
constexpr std::size_t kProbeWindow = 24;
constexpr std::size_t kProbeRows = 16;
constexpr std::size_t kReadAllAfter = 8;

constexpr std::size_t kNone = static_cast<std::size_t>(-1);

// A token that the draft proposes.
struct Found {
  std::size_t parent = kNone;  // index; the root is 0
  TokenId token{};
  int depth = 0;
  float value = 1.0F;
  PendingId pending = kCommitted;  // once expanded
  std::size_t expansion = kNone;   // index, once expanded
  bool has_expanded_child = false;
  NodeId node = kNoNode;  // in the tree, once chosen
};

// The children of a node that the draft evaluated, as they were found.
struct Expansion {
  std::size_t n = 0;  // children
  ScoreMoments moments;
};

// Where a token is among the candidates; their number: nowhere.
std::size_t place_of(TokenId token, std::span<const Candidate> candidates) {
  return static_cast<std::size_t>(
      std::find_if(candidates.begin(), candidates.end(),
                   [&](const Candidate& c) { return c.token == token; }) -
      candidates.begin());
}

class TreeDrafter final : public Drafter {
 public:
  TreeDrafter(LanguageModel& model, const SamplingOptions& sampling, const Method& method,
              std::shared_ptr<CostModel> costs);

  PassOutcome start(std::span<const TokenId> prompt) override;
  PassOutcome draft(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) override;
  void accept(std::span<const NodeId> path) override;
  void observe_target_pass(std::size_t n_nodes, double seconds) override;
  [[nodiscard]] std::size_t n_passes() const override { return reader_.n_passes(); }
  [[nodiscard]] double pass_s() const override { return reader_.pass_s(); }
  [[nodiscard]] const PlannerReport* report() override {
    return planner_ ? &planner_->report() : nullptr;
  }

 private:
  Calibration& calibration() { return planner_ ? planner_->calibration() : fixed_calibration_; }
  void learn(std::span<const TokenId> text);
  void skip_gap(const DraftRequest& request);
  PassOutcome grow(const DraftRequest& request, NoiseTable& noise, int n_levels);
  PassOutcome expand_root(const DraftRequest& request, NoiseTable& noise);
  PassOutcome expand(std::size_t width, const DraftRequest& request, NoiseTable& noise);
  void add_children(std::size_t parent, std::span<const float> logits, const DraftRequest& request,
                    NoiseTable& noise);
  std::size_t find_children(std::span<const float> logits, const TextView& text, NoiseTable& noise,
                            std::span<Candidate> out, ScoreMoments& moments);
  std::size_t next_width(std::size_t n_passes);
  void sort_found(std::size_t max_nodes, int max_depth);
  void choose_nodes(std::size_t n, const DraftRequest& request, DraftTree& tree);
  PassOutcome probe(const DraftRequest& request, NoiseTable& noise);

  DraftReader reader_;
  Method method_;
  LogWeights weights_;
  std::size_t n_ranks_;
  Calibration fixed_calibration_;  // never learns
  std::optional<Planner> planner_;

  std::vector<Found> found_;           // found_[0] is the root
  std::vector<Expansion> expansions_;  // in the order of evaluation
  std::vector<Candidate> candidates_;  // [expansions, n_ranks_]
  std::vector<std::size_t> order_;     // found nodes but the root, best first
  std::vector<double> values_;         // [order_.size()]
  std::vector<std::size_t> frontier_;  // of them, those that can be expanded
  std::vector<double> frontier_values_;
  std::vector<float> child_values_;  // [n_ranks_]
  std::vector<TokenId> path_;
  std::vector<TokenId> tokens_;
  std::vector<PendingId> parents_;
  std::vector<PendingId> commit_;
  std::vector<std::size_t> chosen_;  // [tree.size()], the found node of each
  std::vector<char> keep_;
  std::vector<NodeId> new_ids_;
  // What the last walk visited, for learn(): an expansion, and where the token after it stands.
  struct Example {
    std::size_t expansion = 0;
    std::size_t position = 0;
  };
  std::vector<Example> examples_;
  std::size_t n_ends_ = 1;  // branches of the draft's own pending tree
  std::size_t n_text_ = 0;  // of the last request
  std::size_t n_drafted_in_row_ = 0;
  Stopwatch round_;
};

TreeDrafter::TreeDrafter(LanguageModel& model, const SamplingOptions& sampling,
                         const Method& method, std::shared_ptr<CostModel> costs)
    : reader_(model, static_cast<std::size_t>(method.width * method.length) + 1,
              std::max(static_cast<std::size_t>(method.width), kProbeWindow)),
      method_(method),
      weights_(sampling, model.limits().n_vocab),
      n_ranks_(model.limits().max_leaves > 1 ? kRanks : 1),
      fixed_calibration_(method.tau, n_ranks_) {
  method_.width =
      static_cast<int>(std::min(static_cast<std::size_t>(method.width), model.limits().max_leaves));
  if (method_.is_planned()) planner_.emplace(method_, std::move(costs), n_ranks_);
  const auto length = static_cast<std::size_t>(method_.length);
  const auto n_expanded = static_cast<std::size_t>(method_.width) * length + 1;
  const auto n_most = static_cast<std::size_t>(method_.node_limit());
  // A level is cut to what can be chosen before the next one is added.
  found_.reserve(1 + n_expanded * std::min(n_ranks_, n_most));
  expansions_.reserve(n_expanded);
  candidates_.resize(std::max(n_expanded, kProbeRows) * n_ranks_);
  frontier_.reserve(n_most + 1);
  order_.reserve(n_most + static_cast<std::size_t>(method_.width) * n_ranks_);
  values_.reserve(order_.capacity());
  frontier_values_.reserve(n_most + 1);
  child_values_.resize(n_ranks_);
  path_.resize(length + 1);
  tokens_.reserve(n_expanded);
  parents_.reserve(n_expanded);
  commit_.reserve(length + 1);
  chosen_.reserve(n_most + 1);
  keep_.reserve(n_most + 1);
  new_ids_.reserve(n_most + 1);
  examples_.reserve(length + 1);
}

PassOutcome TreeDrafter::start(std::span<const TokenId> prompt) {
  examples_.clear();
  n_drafted_in_row_ = 0;
  return reader_.start(prompt);
}

// The target's choices on the way down the last tree are in the text by now.
void TreeDrafter::learn(std::span<const TokenId> text) {
  for (const Example& example : examples_) {
    if (example.position >= text.size()) break;
    const Expansion& expansion = expansions_[example.expansion];
    const std::span<const Candidate> candidates =
        std::span(candidates_).subspan(example.expansion * n_ranks_, expansion.n);
    planner_->calibration().learn(candidates, expansion.moments,
                                  place_of(text[example.position], candidates));
  }
  examples_.clear();
}

std::size_t TreeDrafter::find_children(std::span<const float> logits, const TextView& text,
                                       NoiseTable& noise, std::span<Candidate> out,
                                       ScoreMoments& moments) {
  std::span<const float> log_weights = weights_(logits, text);
  // Vocabularies may be padded differently; what the target does not know is not drafted.
  log_weights = log_weights.first(std::min(log_weights.size(), noise.n_vocab()));
  std::span<const float> row;
  if (weights_.uses_noise()) row = noise.row(static_cast<Position>(text.size()));
  return best_candidates(log_weights, row, calibration().tau(), out, &moments);
}

void TreeDrafter::add_children(std::size_t parent, std::span<const float> logits,
                               const DraftRequest& request, NoiseTable& noise) {
  const auto depth = static_cast<std::size_t>(found_[parent].depth);
  for (std::size_t i = depth, at = parent; i-- > 0; at = found_[at].parent) {
    path_[i] = found_[at].token;
  }
  const TextView text{request.text, std::span(path_).first(depth)};
  const std::size_t id = expansions_.size();
  const std::span<Candidate> out = std::span(candidates_).subspan(id * n_ranks_, n_ranks_);
  Expansion expansion;
  expansion.n = find_children(logits, text, noise, out, expansion.moments);
  calibration().values(out.first(expansion.n), child_values_);
  expansions_.push_back(expansion);
  found_[parent].expansion = id;
  for (std::size_t i = 0; i < expansion.n; ++i) {
    const float value = found_[parent].value * child_values_[i];
    if (value < kLeastValue) continue;
    order_.push_back(found_.size());
    found_.push_back({.parent = parent,
                      .token = out[i].token,
                      .depth = found_[parent].depth + 1,
                      .value = value});
  }
}

// Sorts what was found, and forgets what cannot be chosen any more.
void TreeDrafter::sort_found(std::size_t max_nodes, int max_depth) {
  std::sort(order_.begin(), order_.end(), [&](std::size_t a, std::size_t b) {
    if (found_[a].value != found_[b].value) return found_[a].value > found_[b].value;
    return a < b;  // so that parents come before their children
  });
  if (order_.size() > max_nodes) order_.resize(max_nodes);
  values_.clear();
  frontier_.clear();
  frontier_values_.clear();
  for (const std::size_t i : order_) {
    values_.push_back(static_cast<double>(found_[i].value));
    if (found_[i].expansion != kNone || found_[i].depth >= max_depth) continue;
    frontier_.push_back(i);
    frontier_values_.push_back(values_.back());
  }
}

void TreeDrafter::skip_gap(const DraftRequest& request) {
  const std::size_t n_missing = reader_.n_missing(request.text);
  // It was another method's turn, not that drafting did not pay.
  if (request.text.size() - n_missing < request.n_foreign) return;
  if (n_missing > kProbeWindow) reader_.skip_to_last(request.text, kProbeWindow);
}

PassOutcome TreeDrafter::expand_root(const DraftRequest& request, NoiseTable& noise) {
  const Stopwatch watch;
  if (planner_) skip_gap(request);
  const std::size_t n_missing = reader_.n_missing(request.text);
  const PassOutcome outcome = reader_.read_root(request.text);
  if (outcome != PassOutcome::ok) return outcome;
  found_[0].pending = reader_.root();
  add_children(0, reader_.row(reader_.n_chain() - 1), request, noise);
  if (planner_ && n_missing == reader_.n_chain()) {
    planner_->costs().draft.observe(n_missing, watch.seconds());
  }
  return outcome;
}

// Expands the first `width` nodes of the frontier in one pass.
PassOutcome TreeDrafter::expand(std::size_t width, const DraftRequest& request, NoiseTable& noise) {
  const Stopwatch watch;
  tokens_.clear();
  parents_.clear();
  for (const std::size_t i : std::span(frontier_).first(width)) {
    tokens_.push_back(found_[i].token);
    parents_.push_back(found_[found_[i].parent].pending);
  }
  const PassOutcome outcome = reader_.evaluate(tokens_, parents_);
  if (outcome != PassOutcome::ok) return outcome;
  for (std::size_t i = 0; i < width; ++i) {
    Found& f = found_[frontier_[i]];
    f.pending = reader_.id_of_last(i);
    // The first child takes its parent's place as the end of a branch.
    if (!std::exchange(found_[f.parent].has_expanded_child, true)) --n_ends_;
    ++n_ends_;
    add_children(frontier_[i], reader_.row(i), request, noise);
  }
  if (planner_) planner_->costs().draft.observe(width, watch.seconds());
  return outcome;
}

std::size_t TreeDrafter::next_width(std::size_t n_passes) {
  std::size_t most = static_cast<std::size_t>(method_.width);
  // Every node may begin a branch of its own.
  const std::size_t max_leaves = reader_.model().limits().max_leaves;
  if (max_leaves > 1) most = std::min(most, max_leaves - std::min(n_ends_, max_leaves));
  if (!planner_) return std::min(most, frontier_.size());
  const Stopwatch watch;
  const std::size_t width = planner_->next_level(values_, frontier_values_);
  planner_->add_plan_time(watch.seconds());
  return n_passes == 0 ? width : std::min(width, most);
}

PassOutcome TreeDrafter::grow(const DraftRequest& request, NoiseTable& noise, int n_levels) {
  const auto max_nodes =
      std::min(request.max_nodes, static_cast<std::size_t>(method_.node_limit()));
  frontier_.assign(1, 0);
  frontier_values_.assign(1, 1.0);
  values_.clear();
  for (std::size_t pass = 0; pass < static_cast<std::size_t>(n_levels); ++pass) {
    const std::size_t width = next_width(pass);
    if (width == 0) break;
    const PassOutcome outcome =
        pass == 0 ? expand_root(request, noise) : expand(width, request, noise);
    if (outcome == PassOutcome::cancelled) return outcome;
    if (outcome == PassOutcome::no_space) break;  // verify what there is
    sort_found(max_nodes, n_levels);
  }
  return PassOutcome::ok;
}

// The n best nodes found become the tree.
void TreeDrafter::choose_nodes(std::size_t n, const DraftRequest& request, DraftTree& tree) {
  order_.resize(std::min(n, order_.size()));
  std::sort(order_.begin(), order_.end());
  found_[0].node = kRoot;
  chosen_.assign(1, 0);
  for (const std::size_t i : order_) {
    Found& f = found_[i];
    f.node = tree.add(found_[f.parent].node, f.token, std::log(f.value));
    chosen_.push_back(i);
  }
  if (tree.n_leaves() <= request.max_leaves) return;
  keep_.resize(tree.size());
  new_ids_.resize(tree.size());
  mark_best(tree, tree.n_drafted(), request.max_leaves, keep_);
  tree.prune(keep_, new_ids_);
  for (std::size_t i = 0; i < new_ids_.size(); ++i) {
    if (new_ids_[i] != kNoNode) chosen_[index(new_ids_[i])] = chosen_[i];
  }
  chosen_.resize(tree.size());
}

// The draft reads on without drafting, and learns from what the target said there.
PassOutcome TreeDrafter::probe(const DraftRequest& request, NoiseTable& noise) {
  const Stopwatch watch;
  const std::span<const TokenId> text = request.text;
  skip_gap(request);
  const std::size_t n_missing = reader_.n_missing(text);
  const std::size_t n_rows = std::min(kProbeRows, n_missing);
  const PassOutcome outcome = reader_.read_root(text, n_rows);
  if (outcome != PassOutcome::ok) return outcome;
  // The last row is the root's; what follows it is not known yet.
  const bool is_one_pass = reader_.n_chain() == n_missing;
  const std::size_t first = reader_.n_chain() - n_rows;
  for (std::size_t i = 0; i + 1 < n_rows; ++i) {
    const std::size_t n_before = text.size() - n_rows + i + 1;
    if (n_before < request.n_foreign) continue;
    ScoreMoments moments;
    const std::span<Candidate> out = std::span(candidates_).first(n_ranks_);
    const std::size_t n = find_children(reader_.row(first + i), TextView{text.first(n_before), {}},
                                        noise, out, moments);
    planner_->calibration().learn(out.first(n), moments, place_of(text[n_before], out.first(n)));
  }
  reader_.commit({});
  if (is_one_pass) planner_->costs().draft.observe(n_missing, watch.seconds());
  planner_->probed(n_missing, watch.seconds());
  return outcome;
}

PassOutcome TreeDrafter::draft(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) {
  round_ = Stopwatch();
  n_text_ = request.text.size();
  if (planner_) {
    learn(request.text);
    // After a pause the draft has read a part of the text only. Where it pays again, it reads all.
    if (reader_.n_skipped() > 0 && n_drafted_in_row_ >= kReadAllAfter) {
      reader_.skip_to_last(request.text, request.text.size());
    }
  }
  examples_.clear();
  found_.assign(1, Found{});
  expansions_.clear();
  n_ends_ = 1;
  order_.clear();
  chosen_.assign(1, 0);
  const auto n_levels = static_cast<int>(std::min<std::size_t>(
      {static_cast<std::size_t>(method_.length), static_cast<std::size_t>(request.max_depth),
       reader_.n_levels(request.text)}));
  if (planner_) {
    // What is far behind is read in a window only.
    planner_->begin_round(
        {request.max_nodes, n_levels, std::min(reader_.n_missing(request.text), kProbeWindow)});
  }
  if (n_levels <= 0) return PassOutcome::ok;
  const PassOutcome outcome = grow(request, noise, n_levels);
  if (outcome != PassOutcome::ok) return outcome;
  std::size_t n = static_cast<std::size_t>(method_.node_limit());
  if (planner_) {
    n = planner_->nodes_to_verify(values_);
    if (planner_->n_levels() == 0 && planner_->wants_probe()) {
      const PassOutcome probed = probe(request, noise);
      if (probed == PassOutcome::cancelled) return probed;
    }
  }
  n_drafted_in_row_ = n == 0 ? 0 : n_drafted_in_row_ + 1;
  choose_nodes(n, request, tree);
  return PassOutcome::ok;
}

void TreeDrafter::observe_target_pass(std::size_t n_nodes, double seconds) {
  if (planner_) planner_->costs().target.observe(n_nodes, seconds);
}

void TreeDrafter::accept(std::span<const NodeId> path) {
  commit_.clear();
  bool is_evaluated = true;  // by the draft; so are its ancestors
  for (std::size_t i = 0; i < path.size(); ++i) {
    const Found& f = found_[chosen_[index(path[i])]];
    is_evaluated = is_evaluated && f.expansion != kNone;
    if (!is_evaluated) break;
    if (i > 0) commit_.push_back(f.pending);
    if (planner_) examples_.push_back({f.expansion, n_text_ + i});
  }
  reader_.commit(commit_);
  if (planner_) planner_->end_round(path.size(), round_.seconds());
}

}  // namespace

std::unique_ptr<Drafter> make_tree_drafter(LanguageModel& model, const SamplingOptions& sampling,
                                           const Method& method, std::shared_ptr<CostModel> costs) {
  return std::make_unique<TreeDrafter>(model, sampling, method, std::move(costs));
}

}  // namespace gumbelspec
