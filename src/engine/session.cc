#include "gumbelspec/session.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>

#include "gumbelspec/error.h"
#include "src/engine/method_parts.h"
#include "src/engine/stopwatch.h"
#include "src/engine/text_checks.h"

namespace gumbelspec {
namespace {

// Prompts are evaluated in pieces, so that a session can be cancelled between them. A multiple of
// every usual batch size: the pieces must not change how the model splits the prompt.
constexpr std::size_t kPromptPiece = 2048;

class WalkVerifier final : public Verifier {
 public:
  void verify(const Round& round, WalkResult& result) override {
    walk(
        round.tree, [&](NodeId node) { return choose_at(round, node); }, result);
  }

 private:
  Choice choose_at(const Round& round, NodeId node) {
    const auto depth = static_cast<std::size_t>(round.tree.depth(node));
    path_.resize(depth);
    round.tree.path_tokens(node, path_);
    const KeptRow row =
        round.weights.kept(round.target.row(index(node)), TextView{round.text, path_});
    if (!round.weights.uses_noise()) return choose(row, {});
    return choose(row, round.noise.of(static_cast<Position>(round.text.size() + depth), row));
  }

  std::vector<TokenId> path_;
};

}  // namespace

const char* to_string(Outcome outcome) {
  switch (outcome) {
    case Outcome::running:
      return "running";
    case Outcome::eos:
      return "eos";
    case Outcome::length:
      return "length";
    case Outcome::context_full:
      return "context_full";
    case Outcome::cancelled:
      return "cancelled";
    case Outcome::stop:
      return "stop";
  }
  throw std::logic_error("to_string: no such outcome");
}

std::unique_ptr<Verifier> make_walk_verifier() { return std::make_unique<WalkVerifier>(); }

class Session::Impl {
 public:
  Impl(LanguageModel& target, LanguageModel* draft, SessionOptions options, SessionParts parts);
  ~Impl() {
    if (is_open_) target_.close(seq_);
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Outcome start(std::span<const TokenId> prompt, NoiseKey key);
  Outcome step();
  [[nodiscard]] const PlannerReport* planner_report() {
    return parts_.drafter ? parts_.drafter->report() : nullptr;
  }

  SessionOptions options;
  Statistics statistics;
  std::vector<GeneratedToken> generated;
  std::size_t n_before = 0;  // generated before the last step
  std::vector<TokenId> text;
  DraftTree tree;
  WalkResult walk_result;

 private:
  [[nodiscard]] bool is_cancelled() const { return options.is_cancelled && options.is_cancelled(); }
  // Tokens that may still follow, and how the text ends when there are none.
  [[nodiscard]] std::size_t room() const;
  [[nodiscard]] Outcome outcome_at(std::size_t room) const;
  Outcome read_prompt(std::span<const TokenId> prompt);
  PassOutcome draft(std::size_t room);
  PassOutcome evaluate_tree();
  Outcome round();
  void count_depths();
  void commit();
  Outcome emit(std::size_t room);

  LanguageModel& target_;
  SessionParts parts_;
  LogWeights weights_;
  NoiseTable noise_;
  NoiseKey key_;
  SeqId seq_{};
  bool is_open_ = false;
  bool has_drafted_ = false;  // in this round
  Outcome outcome_ = Outcome::cancelled;
  std::vector<PassNode> pass_;
  std::vector<PendingId> commit_;
};

Session::Impl::Impl(LanguageModel& target, LanguageModel* draft, SessionOptions wanted,
                    SessionParts parts)
    : options(std::move(wanted)),
      target_(target),
      parts_(std::move(parts)),
      weights_(options.sampling, target.limits().n_vocab),
      // The walk goes one position further than the tree.
      noise_(target.limits().n_vocab, static_cast<std::size_t>(options.method.length) + 2) {
  check_logit_bias(options.sampling, target.limits().n_vocab);
  const Method& method = options.method;
  if (method.drafts() && !parts_.drafter) {
    if (draft == nullptr) {
      throw Error(ErrorCode::invalid_option,
                  "method " + to_string(method) + " needs a draft model; give one, or use ar");
    }
    if (method.is_planned() && !options.costs) {
      options.costs = std::make_shared<CostModel>(measure_costs(
          target, *draft, {.most_nodes = static_cast<std::size_t>(method.node_limit())}));
    }
    add_method_parts(options, *draft, parts_);
  }
  if (!parts_.verifier) parts_.verifier = make_walk_verifier();
  if (!parts_.noise) parts_.noise = std::make_unique<GumbelNoise>();
  const auto n_nodes =
      1 + static_cast<std::size_t>(std::max(method.width * method.length, method.node_limit()));
  tree.reserve(n_nodes);
  pass_.reserve(n_nodes);
  commit_.reserve(n_nodes);
  walk_result.path.reserve(n_nodes);
  walk_result.choices.reserve(n_nodes);
  seq_ = target.open();
  is_open_ = true;
}

std::size_t Session::Impl::room() const {
  return std::min(options.max_tokens - generated.size(), target_.limits().n_context - text.size());
}

Outcome Session::Impl::outcome_at(std::size_t room) const {
  if (room > 0) return Outcome::running;
  return generated.size() == options.max_tokens ? Outcome::length : Outcome::context_full;
}

Outcome Session::Impl::start(std::span<const TokenId> prompt, NoiseKey key) {
  const std::size_t context = target_.limits().n_context;
  check_prompt(prompt, target_.limits());
  const Stopwatch watch;
  key_ = key;
  noise_.restart(key, *parts_.noise);
  generated.clear();
  // All the memory that a text can need, up to a point where growing costs nothing any more.
  const std::size_t n_most = std::min({options.max_tokens, context, std::size_t{1} << 16U});
  generated.reserve(n_most);
  text.reserve(prompt.size() + n_most);
  text.assign(prompt.begin(), prompt.end());
  n_before = 0;
  statistics = {};
  statistics.by_depth.resize(static_cast<std::size_t>(options.method.length));
  statistics.n_prompt = prompt.size();
  outcome_ = read_prompt(prompt);
  statistics.prompt_s = watch.seconds();
  return outcome_;
}

Outcome Session::Impl::read_prompt(std::span<const TokenId> prompt) {
  target_.truncate(seq_, 0);
  // The last token is the root of the first round.
  for (std::span<const TokenId> rest = prompt.first(prompt.size() - 1); !rest.empty();) {
    if (is_cancelled()) return Outcome::cancelled;
    const std::span<const TokenId> piece = rest.first(std::min(rest.size(), kPromptPiece));
    const PassOutcome outcome = target_.extend(seq_, piece);
    if (outcome == PassOutcome::cancelled) return Outcome::cancelled;
    if (outcome == PassOutcome::no_space) return Outcome::context_full;
    rest = rest.subspan(piece.size());
  }
  if (parts_.drafter && options.method.drafts()) {
    if (parts_.drafter->start(prompt) == PassOutcome::cancelled) return Outcome::cancelled;
  }
  return outcome_at(room());
}

PassOutcome Session::Impl::draft(std::size_t room) {
  tree.reset(text.back());
  has_drafted_ = false;
  // A node at the depth of the room would be followed by a token that is not wanted any more.
  if (!options.method.drafts() || room < 2) return PassOutcome::ok;
  const ModelLimits& limits = target_.limits();
  const std::size_t max_depth = std::min(room - 1, std::size_t{1} << 16U);
  has_drafted_ = true;
  return parts_.drafter->draft(
      {text, static_cast<int>(max_depth), limits.max_pass_nodes - 1, limits.max_leaves}, noise_,
      tree);
}

PassOutcome Session::Impl::evaluate_tree() {
  pass_.clear();
  for (std::size_t i = 0; i < tree.size(); ++i) {
    const NodeId node = node_id(i);
    const PendingId parent = i == 0 ? kCommitted : pending_id(index(tree.parent(node)));
    pass_.push_back({seq_, parent, tree.token(node), true});
  }
  const Stopwatch watch;
  const PassOutcome outcome = target_.evaluate(pass_);
  const double seconds = watch.seconds();
  statistics.target_s += seconds;
  // A cancelled pass said nothing, and would make the tokens per pass look worse.
  if (outcome != PassOutcome::ok) return outcome;
  ++statistics.n_target_passes;
  if (has_drafted_) parts_.drafter->observe_target_pass(pass_.size(), seconds);
  return outcome;
}

void Session::Impl::count_depths() {
  std::size_t depth = 0;
  for (std::size_t i = 1; i < tree.size(); ++i) {
    depth = std::max(depth, static_cast<std::size_t>(tree.depth(node_id(i))));
  }
  std::vector<DepthCount>& counts = statistics.by_depth;
  for (std::size_t d = 0; d < std::min(depth, counts.size()); ++d) {
    ++counts[d].n_drafted;
    if (d < walk_result.n_accepted()) ++counts[d].n_accepted;
  }
}

void Session::Impl::commit() {
  commit_.clear();
  for (const NodeId node : walk_result.path) commit_.push_back(pending_id(index(node)));
  target_.commit(seq_, commit_);
  if (has_drafted_) parts_.drafter->accept(walk_result.path);
}

Outcome Session::Impl::emit(std::size_t room) {
  const auto round = static_cast<std::uint32_t>(statistics.n_rounds++);
  for (std::size_t i = 0; i < walk_result.choices.size() && i < room; ++i) {
    const Choice& choice = walk_result.choices[i];
    if (target_.is_end(choice.token)) return Outcome::eos;
    const bool was_drafted = i < walk_result.n_accepted();
    generated.push_back(
        {choice.token, choice.runner_up, choice.margin, static_cast<int>(i), round, was_drafted});
    text.push_back(choice.token);
    ++statistics.n_generated;
    if (was_drafted) ++statistics.n_accepted;
  }
  return outcome_at(this->room());
}

Outcome Session::Impl::round() {
  if (is_cancelled()) return Outcome::cancelled;
  const std::size_t room = this->room();
  if (draft(room) == PassOutcome::cancelled) return Outcome::cancelled;
  PassOutcome outcome = evaluate_tree();
  if (outcome == PassOutcome::no_space && tree.n_drafted() > 0) {
    tree.reset(text.back());  // without the draft there may be enough
    outcome = evaluate_tree();
  }
  if (outcome == PassOutcome::cancelled) return Outcome::cancelled;
  if (outcome == PassOutcome::no_space) return Outcome::context_full;
  statistics.n_drafted += tree.n_drafted();
  parts_.verifier->verify({tree, target_, text, weights_, noise_, key_}, walk_result);
  count_depths();
  commit();
  return emit(room);
}

Outcome Session::Impl::step() {
  if (outcome_ != Outcome::running) {
    throw std::logic_error(std::string("Session::step: the text has ended: ") +
                           to_string(outcome_));
  }
  const Stopwatch watch;
  n_before = generated.size();
  outcome_ = round();
  statistics.decode_s += watch.seconds();
  if (parts_.drafter && options.method.drafts()) {
    statistics.n_draft_passes = parts_.drafter->n_passes();
    statistics.draft_s = parts_.drafter->pass_s();
    if (outcome_ != Outcome::running) parts_.drafter->end_text();
  }
  return outcome_;
}

Session::Session(LanguageModel& target, LanguageModel* draft, SessionOptions options,
                 SessionParts parts)
    : impl_(std::make_unique<Impl>(target, draft, std::move(options), std::move(parts))) {}
Session::~Session() = default;

Outcome Session::start(std::span<const TokenId> prompt, std::uint64_t seed, std::uint32_t stream) {
  return impl_->start(prompt, {seed, stream});
}
Outcome Session::start(std::span<const TokenId> prompt) {
  return impl_->start(prompt, {impl_->options.seed, impl_->options.stream});
}
Outcome Session::step() { return impl_->step(); }

std::span<const GeneratedToken> Session::generated() const { return impl_->generated; }
std::span<const GeneratedToken> Session::last_tokens() const {
  return std::span(impl_->generated).subspan(impl_->n_before);
}
std::span<const TokenId> Session::text() const { return impl_->text; }
const DraftTree& Session::last_tree() const { return impl_->tree; }
const WalkResult& Session::last_walk() const { return impl_->walk_result; }
const Statistics& Session::statistics() const { return impl_->statistics; }
const SessionOptions& Session::options() const { return impl_->options; }
const PlannerReport* Session::planner_report() const { return impl_->planner_report(); }

}  // namespace gumbelspec
