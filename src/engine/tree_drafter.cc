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
  NodeId node = kNoNode;           // in the tree, once chosen
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

class TreeDrafter final : public StepDrafter {
 public:
  TreeDrafter(LanguageModel& model, const SamplingOptions& sampling, const Method& method,
              std::shared_ptr<CostModel> costs);

  PassOutcome start(std::span<const TokenId> prompt) override;
  void begin(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) override;
  PassOutcome append(const Room& room, std::vector<PassNode>& pass) override;
  void take(std::size_t first_row) override;
  void observe_pass(std::size_t n_nodes) override;
  void finish() override;
  void finish(std::size_t n) override;
  void renumber(std::span<const NodeId> new_ids) override;
  void accept(std::span<const NodeId> path) override;
  void observe_target_pass(std::size_t n_nodes, double seconds) override;
  [[nodiscard]] Planner* planner() override { return planner_ ? &*planner_ : nullptr; }
  [[nodiscard]] std::span<const double> values() const override { return values_; }
  [[nodiscard]] std::size_t n_probe() const override { return n_probe_; }
  [[nodiscard]] bool is_one_pass() const override { return is_one_pass_; }
  [[nodiscard]] DraftReader& reader() override { return reader_; }
  [[nodiscard]] const DraftReader& reader() const override { return reader_; }
  [[nodiscard]] const PlannerReport* report() override {
    return planner_ ? &planner_->report() : nullptr;
  }

 private:
  Calibration& calibration() { return planner_ ? planner_->calibration() : fixed_calibration_; }
  void learn(std::span<const TokenId> text);
  void skip_gap();
  PassOutcome append_root(std::size_t n_rows, const Room& room, std::vector<PassNode>& pass);
  void append_level(std::size_t width, std::vector<PassNode>& pass);
  void take_level();
  void take_probe();
  void add_children(std::size_t parent, std::span<const float> logits);
  std::size_t find_children(std::span<const float> logits, const TextView& text,
                            std::span<const std::uint32_t> allowed, std::span<Candidate> out,
                            ScoreMoments& moments);
  std::size_t next_width(const Room& room);
  void sort_found();
  void settle(std::size_t n);

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
  std::size_t n_drafted_in_row_ = 0;

  // The round.
  DraftRequest request_;
  NoiseTable* noise_ = nullptr;
  DraftTree* tree_ = nullptr;
  int n_levels_ = 0;       // at most
  int n_taken_ = 0;        // passes that took place
  std::size_t width_ = 0;  // nodes of the frontier in the pass that is under way
  bool is_done_ = false;   // no further pass
  std::size_t n_probe_ = 0;
  bool is_one_pass_ = true;
  Stopwatch round_;
  Stopwatch level_;
};

TreeDrafter::TreeDrafter(LanguageModel& model, const SamplingOptions& sampling,
                         const Method& method, std::shared_ptr<CostModel> costs)
    : StepDrafter(std::max(static_cast<std::size_t>(method.width), kProbeWindow)),
      reader_(model, static_cast<std::size_t>(method.width * method.length) + 1,
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
                                       std::span<const std::uint32_t> allowed,
                                       std::span<Candidate> out, ScoreMoments& moments) {
  std::span<const float> log_weights = weights_(logits, text, allowed);
  // Vocabularies may be padded differently; what the target does not know is not drafted.
  log_weights = log_weights.first(std::min(log_weights.size(), noise_->n_vocab()));
  std::span<const float> row;
  if (weights_.uses_noise()) row = noise_->row(static_cast<Position>(text.size()));
  return best_candidates(log_weights, row, calibration().tau(), out, &moments);
}

void TreeDrafter::add_children(std::size_t parent, std::span<const float> logits) {
  const auto depth = static_cast<std::size_t>(found_[parent].depth);
  for (std::size_t i = depth, at = parent; i-- > 0; at = found_[at].parent) {
    path_[i] = found_[at].token;
  }
  const TextView text{request_.text, std::span(path_).first(depth)};
  const std::size_t id = expansions_.size();
  const std::span<Candidate> out = std::span(candidates_).subspan(id * n_ranks_, n_ranks_);
  constexpr std::span<const std::uint32_t> none;
  Expansion expansion;
  expansion.n = find_children(logits, text, parent == 0 ? request_.allowed_of(logits.size()) : none,
                              out, expansion.moments);
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
void TreeDrafter::sort_found() {
  const auto max_nodes =
      std::min(request_.max_nodes, static_cast<std::size_t>(method_.node_limit()));
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
    if (found_[i].expansion != kNone || found_[i].depth >= n_levels_) continue;
    frontier_.push_back(i);
    frontier_values_.push_back(values_.back());
  }
}

void TreeDrafter::skip_gap() {
  const std::size_t n_missing = reader_.n_missing(request_.text);
  // It was another method's turn, not that drafting did not pay.
  if (request_.text.size() - n_missing < request_.n_foreign) return;
  if (n_drafted_in_row_ >= kReadAllAfter) return;  // it pays again, see begin()
  if (n_missing > kProbeWindow) reader_.skip_to_last(request_.text, kProbeWindow);
}

PassOutcome TreeDrafter::append_root(std::size_t n_rows, const Room& room,
                                     std::vector<PassNode>& pass) {
  if (planner_) skip_gap();
  const std::size_t n_missing = reader_.n_missing(request_.text);
  const std::size_t n_before = pass.size();
  const PassOutcome outcome = reader_.append_root(request_.text, n_rows, room.n_nodes, pass);
  is_one_pass_ = pass.size() - n_before == n_missing;
  return outcome;
}

// The first `width` nodes of the frontier.
void TreeDrafter::append_level(std::size_t width, std::vector<PassNode>& pass) {
  width_ = width;
  is_one_pass_ = true;
  tokens_.clear();
  parents_.clear();
  for (const std::size_t i : std::span(frontier_).first(width)) {
    tokens_.push_back(found_[i].token);
    parents_.push_back(found_[found_[i].parent].pending);
  }
  reader_.append(tokens_, parents_, pass);
}

std::size_t TreeDrafter::next_width(const Room& room) {
  std::size_t most = std::min(static_cast<std::size_t>(method_.width), room.n_nodes);
  // Every node may begin a branch of its own.
  if (reader_.model().limits().max_leaves > 1) most = std::min(most, room.n_ends);
  if (n_taken_ == 0) most = 1;
  if (!planner_) return std::min(most, frontier_.size());
  const Stopwatch watch;
  const std::size_t width = planner_->next_level(values_, frontier_values_);
  planner_->add_plan_time(watch.seconds());
  return std::min(width, most);
}

PassOutcome TreeDrafter::append(const Room& room, std::vector<PassNode>& pass) {
  n_probe_ = 0;
  if (is_done_ || n_taken_ >= n_levels_) return PassOutcome::ok;
  const std::size_t width = next_width(room);
  level_ = Stopwatch();
  if (width > 0 && n_taken_ > 0) {
    append_level(width, pass);
    return PassOutcome::ok;
  }
  if (width > 0) return append_root(1, room, pass);
  is_done_ = true;
  if (n_taken_ > 0 || !planner_ || !planner_->wants_probe()) return PassOutcome::ok;
  // The draft reads on without drafting, and learns from what the target said there.
  skip_gap();
  n_probe_ = reader_.n_missing(request_.text);
  const std::size_t n_rows = std::min({kProbeRows, n_probe_, room.n_nodes});
  return append_root(n_rows, room, pass);
}

void TreeDrafter::take(std::size_t first_row) {
  reader_.take(first_row);
  if (n_probe_ > 0) {
    take_probe();
    return;
  }
  take_level();
  ++n_taken_;
  sort_found();
}

void TreeDrafter::take_level() {
  if (n_taken_ == 0) {
    found_[0].pending = reader_.root();
    add_children(0, reader_.row(reader_.n_chain() - 1));
    return;
  }
  for (std::size_t i = 0; i < width_; ++i) {
    found_[frontier_[i]].pending = reader_.id_of_last(i);
    add_children(frontier_[i], reader_.row(i));
  }
}

void TreeDrafter::take_probe() {
  const std::span<const TokenId> text = request_.text;
  const std::size_t n_rows = std::min(kProbeRows, reader_.n_chain());
  // The last row is the root's; what follows it is not known yet.
  const std::size_t first = reader_.n_chain() - n_rows;
  for (std::size_t i = 0; i + 1 < n_rows; ++i) {
    const std::size_t n_before = text.size() - n_rows + i + 1;
    if (n_before < request_.n_foreign) continue;
    ScoreMoments moments;
    const std::span<Candidate> out = std::span(candidates_).first(n_ranks_);
    const std::size_t n =
        find_children(reader_.row(first + i), TextView{text.first(n_before), {}}, {}, out, moments);
    planner_->calibration().learn(out.first(n), moments, place_of(text[n_before], out.first(n)));
  }
  reader_.commit({});
}

void TreeDrafter::observe_pass(std::size_t n_nodes) {
  if (!planner_) return;
  if (is_one_pass_) planner_->costs().draft.observe(n_nodes, level_.seconds());
  if (n_probe_ > 0) planner_->probed(n_probe_, level_.seconds());
}

// The n best nodes found become the tree.
void TreeDrafter::settle(std::size_t n) {
  n_drafted_in_row_ = n == 0 ? 0 : n_drafted_in_row_ + 1;
  DraftTree& tree = *tree_;
  order_.resize(std::min(n, order_.size()));
  std::sort(order_.begin(), order_.end());
  found_[0].node = kRoot;
  chosen_.assign(1, 0);
  for (const std::size_t i : order_) {
    Found& f = found_[i];
    f.node = tree.add(found_[f.parent].node, f.token, std::log(f.value));
    chosen_.push_back(i);
  }
  if (tree.n_leaves() <= request_.max_leaves) return;
  keep_.resize(tree.size());
  new_ids_.resize(tree.size());
  mark_best(tree, tree.n_drafted(), request_.max_leaves, keep_);
  tree.prune(keep_, new_ids_);
  renumber(new_ids_);
}

void TreeDrafter::renumber(std::span<const NodeId> new_ids) {
  std::size_t n = 0;
  for (std::size_t i = 0; i < new_ids.size(); ++i) {
    if (new_ids[i] == kNoNode) continue;
    chosen_[index(new_ids[i])] = chosen_[i];
    n = index(new_ids[i]) + 1;
  }
  chosen_.resize(n);
}

void TreeDrafter::begin(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) {
  round_ = Stopwatch();
  request_ = request;
  noise_ = &noise;
  tree_ = &tree;
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
  order_.clear();
  chosen_.assign(1, 0);
  values_.clear();
  frontier_.assign(1, 0);
  frontier_values_.assign(1, 1.0);
  n_taken_ = 0;
  n_probe_ = 0;
  n_levels_ = static_cast<int>(std::min<std::size_t>(
      {static_cast<std::size_t>(method_.length),
       static_cast<std::size_t>(std::max(request.max_depth, 0)), reader_.n_levels(request.text)}));
  is_done_ = n_levels_ <= 0;
  if (planner_) {
    // What is far behind is read in a window only.
    planner_->begin_round(
        {request.max_nodes, n_levels_, std::min(reader_.n_missing(request.text), kProbeWindow)});
  }
}

void TreeDrafter::finish() {
  if (n_levels_ <= 0) return;
  settle(planner_ ? planner_->nodes_to_verify(values_)
                  : static_cast<std::size_t>(method_.node_limit()));
}

void TreeDrafter::finish(std::size_t n) {
  if (n_levels_ <= 0) return;
  if (planner_) planner_->verifies(values_, n);
  settle(n);
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
    if (planner_) examples_.push_back({f.expansion, request_.text.size() + i});
  }
  reader_.commit(commit_);
  if (planner_) planner_->end_round(path.size(), round_.seconds());
}

}  // namespace

std::unique_ptr<StepDrafter> make_tree_drafter(LanguageModel& model,
                                               const SamplingOptions& sampling,
                                               const Method& method,
                                               std::shared_ptr<CostModel> costs) {
  return std::make_unique<TreeDrafter>(model, sampling, method, std::move(costs));
}

}  // namespace gumbelspec
