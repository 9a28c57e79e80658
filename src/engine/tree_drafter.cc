#include "src/engine/tree_drafter.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "src/engine/draft_reader.h"
#include "src/engine/found_nodes.h"
#include "src/engine/planner.h"
#include "src/engine/stopwatch.h"

namespace gumbelspec {
namespace {

// Children per node that are looked at; one that is 16th by score is the target's choice less than
// once in a hundred times, and then a lucky one.
constexpr std::size_t kRanks = 16;
// A draft that was not used for a while reads so many tokens of what it missed, and learns from so
// many of them. After so many rounds that draft again it reads the whole text.
constexpr std::size_t kProbeWindow = 24;
constexpr std::size_t kProbeRows = 16;
constexpr std::size_t kReadAllAfter = 8;

// Where a token is among the candidates; their number: nowhere.
std::size_t place_of(TokenId token, std::span<const Candidate> candidates) {
  return static_cast<std::size_t>(
      std::find_if(candidates.begin(), candidates.end(),
                   [&](const Candidate& c) { return c.token == token; }) -
      candidates.begin());
}

// The method where no more than max_leaves nodes can be expanded in one pass.
Method narrowed(Method method, std::size_t max_leaves) {
  method.width = static_cast<int>(std::min(static_cast<std::size_t>(method.width), max_leaves));
  return method;
}

FoundNodes::Limits limits_of(const Method& method, std::size_t n_ranks) {
  const auto width = static_cast<std::size_t>(method.width);
  const auto length = static_cast<std::size_t>(method.length);
  return {.n_expanded = width * length + 1,
          .n_ranks = n_ranks,
          .n_nodes = static_cast<std::size_t>(method.node_limit()),
          .width = width,
          .n_levels = length};
}

class TreeDrafter final : public StepDrafter {
 public:
  TreeDrafter(LanguageModel& model, const SamplingOptions& sampling, const Method& method,
              std::shared_ptr<CostModel> costs, std::shared_ptr<CalibrationStore> calibrations);

  PassOutcome start(std::span<const TokenId> prompt) override;
  void end_text() override;
  void begin(const DraftRequest& request, NoiseTable& noise, DraftTree& tree) override;
  PassOutcome append(const Room& room, std::vector<PassNode>& pass) override;
  void take(std::size_t first_row) override;
  void observe_pass(std::size_t n_nodes) override;
  void finish() override;
  void finish(std::size_t n) override;
  void renumber(std::span<const NodeId> new_ids) override { found_.renumber(new_ids); }
  void accept(std::span<const NodeId> path) override;
  void observe_target_pass(std::size_t n_nodes, double seconds) override;
  [[nodiscard]] Planner* planner() override { return planner_ ? &*planner_ : nullptr; }
  [[nodiscard]] std::span<const double> values() const override { return found_.values(); }
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
  void expand(std::size_t i, PendingId pending, std::span<const float> logits);
  std::size_t find_children(std::span<const float> logits, const TextView& text,
                            std::span<const std::uint32_t> allowed, std::span<Candidate> out,
                            ScoreMoments& moments);
  std::size_t next_width(const Room& room);
  void settle(std::size_t n);

  DraftReader reader_;
  Method method_;
  SamplingOptions sampling_;
  std::shared_ptr<CalibrationStore> calibrations_;
  LogWeights weights_;
  std::size_t n_ranks_;
  Calibration fixed_calibration_;  // never learns
  std::optional<Planner> planner_;

  FoundNodes found_;
  std::vector<float> child_values_;  // [n_ranks_]
  std::vector<Candidate> of_probe_;  // [n_ranks_]
  std::vector<TokenId> tokens_;
  std::vector<PendingId> parents_;
  std::vector<PendingId> commit_;
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
  int n_levels_ = 0;                // at most
  int n_taken_ = 0;                 // passes that took place
  std::size_t width_ = 0;           // nodes of the frontier in the pass that is under way
  bool is_done_ = false;            // no further pass
  bool has_passed_ = false;         // the draft, in this round
  bool has_passed_before_ = false;  // and in the one before
  std::size_t n_probe_ = 0;
  bool is_one_pass_ = true;
  Stopwatch round_;
  Stopwatch level_;
};

TreeDrafter::TreeDrafter(LanguageModel& model, const SamplingOptions& sampling,
                         const Method& method, std::shared_ptr<CostModel> costs,
                         std::shared_ptr<CalibrationStore> calibrations)
    : StepDrafter(std::max(static_cast<std::size_t>(method.width), kProbeWindow)),
      reader_(model, static_cast<std::size_t>(method.width * method.length) + 1,
              std::max(static_cast<std::size_t>(method.width), kProbeWindow)),
      method_(narrowed(method, model.limits().max_leaves)),
      sampling_(sampling),
      calibrations_(std::move(calibrations)),
      weights_(sampling, model.limits().n_vocab),
      n_ranks_(model.limits().max_leaves > 1 ? kRanks : 1),
      fixed_calibration_(method.tau, n_ranks_),
      found_(limits_of(method_, n_ranks_)) {
  if (method_.is_planned()) planner_.emplace(method_, std::move(costs), n_ranks_);
  const std::size_t n_expanded = limits_of(method_, n_ranks_).n_expanded;
  child_values_.resize(n_ranks_);
  of_probe_.resize(n_ranks_);
  tokens_.reserve(n_expanded);
  parents_.reserve(n_expanded);
  commit_.reserve(static_cast<std::size_t>(method_.length) + 1);
  examples_.reserve(static_cast<std::size_t>(method_.length) + 1);
}

PassOutcome TreeDrafter::start(std::span<const TokenId> prompt) {
  examples_.clear();
  n_drafted_in_row_ = 0;
  if (planner_ && calibrations_) {
    begin_from(*calibrations_, sampling_, method_.tau, planner_->calibration());
  }
  return reader_.start(prompt);
}

void TreeDrafter::end_text() {
  if (planner_ && calibrations_) {
    keep(*calibrations_, sampling_, method_.tau, planner_->calibration());
  }
}

// The target's choices on the way down the last tree are in the text by now.
void TreeDrafter::learn(std::span<const TokenId> text) {
  for (const Example& example : examples_) {
    if (example.position >= text.size()) break;
    const std::span<const Candidate> candidates = found_.candidates(example.expansion);
    planner_->calibration().learn(candidates, found_.moments(example.expansion),
                                  place_of(text[example.position], candidates));
  }
  examples_.clear();
}

std::size_t TreeDrafter::find_children(std::span<const float> logits, const TextView& text,
                                       std::span<const std::uint32_t> allowed,
                                       std::span<Candidate> out, ScoreMoments& moments) {
  // Vocabularies may be padded differently; what the target does not know is not drafted.
  const KeptRow row = weights_.kept_of_draft(logits, text, allowed).below(noise_->n_vocab());
  std::span<const float> noise;
  if (weights_.uses_noise()) noise = noise_->of(static_cast<Position>(text.size()), row);
  return best_candidates(row, noise, calibration().tau(), out, &moments);
}

void TreeDrafter::expand(std::size_t i, PendingId pending, std::span<const float> logits) {
  const TextView text{request_.text, found_.path(i)};
  constexpr std::span<const std::uint32_t> none;
  const std::span<Candidate> out = found_.next_candidates();
  ScoreMoments moments;
  const std::size_t n =
      find_children(logits, text, i == 0 ? request_.allowed_of(logits.size()) : none, out, moments);
  calibration().values(out.first(n), child_values_);
  found_.expand(i, pending, moments, std::span(child_values_).first(n));
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
  for (const std::size_t i : found_.frontier().first(width)) {
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
  if (!planner_) return std::min(most, found_.frontier().size());
  const Stopwatch watch;
  const std::size_t width = planner_->next_level(found_.values(), found_.frontier_values());
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
  found_.sort(std::min(request_.max_nodes, static_cast<std::size_t>(method_.node_limit())),
              n_levels_);
}

void TreeDrafter::take_level() {
  if (n_taken_ == 0) {
    expand(0, reader_.root(), reader_.row(reader_.n_chain() - 1));
    return;
  }
  for (std::size_t i = 0; i < width_; ++i) {
    expand(found_.frontier()[i], reader_.id_of_last(i), reader_.row(i));
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
    const std::size_t n = find_children(reader_.row(first + i), TextView{text.first(n_before), {}},
                                        {}, of_probe_, moments);
    const std::span<const Candidate> candidates = std::span(of_probe_).first(n);
    planner_->calibration().learn(candidates, moments, place_of(text[n_before], candidates));
  }
  reader_.commit({});
}

void TreeDrafter::observe_pass(std::size_t n_nodes) {
  if (!planner_) return;
  const bool is_first = n_taken_ <= 1 && !has_passed_before_;
  if (is_one_pass_) planner_->costs().draft.observe(n_nodes, level_.seconds(), is_first);
  has_passed_ = true;
  if (n_probe_ > 0) planner_->probed(n_probe_, level_.seconds());
}

// The n best nodes found become the tree.
void TreeDrafter::settle(std::size_t n) {
  n_drafted_in_row_ = n == 0 ? 0 : n_drafted_in_row_ + 1;
  found_.settle(n, request_.max_leaves, *tree_);
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
  found_.clear();
  n_taken_ = 0;
  n_probe_ = 0;
  has_passed_before_ = std::exchange(has_passed_, false);
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
  settle(planner_ ? planner_->nodes_to_verify(found_.values())
                  : static_cast<std::size_t>(method_.node_limit()));
}

void TreeDrafter::finish(std::size_t n) {
  if (n_levels_ <= 0) return;
  if (planner_) planner_->verifies(found_.values(), n);
  settle(n);
}

void TreeDrafter::observe_target_pass(std::size_t n_nodes, double seconds) {
  if (planner_) planner_->costs().target.observe(n_nodes, seconds);
}

void TreeDrafter::accept(std::span<const NodeId> path) {
  commit_.clear();
  bool is_evaluated = true;  // by the draft; so are its ancestors
  for (std::size_t i = 0; i < path.size(); ++i) {
    const Found& f = found_.chosen(path[i]);
    is_evaluated = is_evaluated && f.expansion != Found::kNone;
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
                                               std::shared_ptr<CostModel> costs,
                                               std::shared_ptr<CalibrationStore> calibrations) {
  return std::make_unique<TreeDrafter>(model, sampling, method, std::move(costs),
                                       std::move(calibrations));
}

}  // namespace gumbelspec
