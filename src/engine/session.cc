#include "gumbelspec/session.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "gumbelspec/error.h"
#include "src/engine/methods.h"
#include "src/engine/round.h"
#include "src/engine/stopwatch.h"
#include "src/engine/text.h"
#include "src/engine/text_checks.h"

namespace gumbelspec {
namespace {

// Prompts are evaluated in pieces, so that a session can be cancelled between them. A multiple of
// every usual batch size: the pieces must not change how the model splits the prompt.
constexpr std::size_t kPromptPiece = 2048;
// Of a target whose hidden states a head reads, which are kept for a piece.
constexpr std::size_t kHeadPiece = 512;

void require_possible(const LanguageModel& target, const LanguageModel* draft,
                      const TextOptions& options) {
  const Method& method = options.method;
  if (!method.drafts()) return;
  if (draft == nullptr && !options.drafter && !sources_of(options, nullptr).any()) {
    const bool is_tree = method.kind == MethodKind::gumbel_tree;
    throw Error(ErrorCode::invalid_option,
                "method " + to_string(method) + " needs a draft model" +
                    (is_tree ? " or sources; give one of them, or use ar"
                             : "; give one, or use ar or gumbel-tree"),
                "method");
  }
  const ModelLimits& limits = draft == nullptr ? target.limits() : draft->limits();
  const PossibleMethod possible = possible_method(method, target.limits(), limits);
  // What cannot branch is drafted for in a chain.
  if (possible.method.drafts()) return;
  throw Error(ErrorCode::invalid_option,
              "method " + to_string(method) + " is not possible: " + possible.reason + "; use " +
                  to_string(possible.method),
              "method");
}

std::shared_ptr<CostModel> costs_of(LanguageModel& target, LanguageModel* draft,
                                    const TextOptions& options, std::shared_ptr<CostModel> given) {
  const Method& method = options.method;
  if (given) return given;
  if (!method.is_planned() || (draft == nullptr && options.drafter)) return nullptr;
  const CostMeasurement measurement{.most_nodes = static_cast<std::size_t>(method.node_limit())};
  return std::make_shared<CostModel>(draft == nullptr ? measure_costs(target, measurement)
                                                      : measure_costs(target, *draft, measurement));
}

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

// A batch of one text, whose prompt is read at once.
class Session::Impl {
 public:
  Impl(LanguageModel& target, LanguageModel* draft, TextOptions options, SessionParts parts);
  ~Impl() { target_.close(text.sequence()); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  Outcome start(std::span<const TokenId> prompt, NoiseKey key);
  Outcome step();

  Text text;
  std::vector<GeneratedToken> generated;

 private:
  [[nodiscard]] bool is_cancelled() const { return parts_.is_cancelled && parts_.is_cancelled(); }
  Outcome read_prompt();
  Outcome round();

  LanguageModel& target_;
  SessionParts parts_;
  std::shared_ptr<CostModel> costs_;  // unknown ones where nothing is planned
  NoiseTable noise_;
  Clock clock_;
  Round round_;
  std::vector<Text*> texts_;  // of the round
  Outcome outcome_ = Outcome::cancelled;
};

Session::Impl::Impl(LanguageModel& target, LanguageModel* draft, TextOptions options,
                    SessionParts parts)
    : text([&] {
        validate(options.sampling);
        validate(options.method);
        require_possible(target, draft, options);
        parts.costs = costs_of(target, draft, options, std::move(parts.costs));
        return std::move(options);
      }()),
      target_(target),
      parts_(std::move(parts)),
      costs_(parts_.costs ? parts_.costs : std::make_shared<CostModel>()),
      noise_([&] {
        text.prepare({&target, draft, parts_.costs, parts_.calibrations});
        return NoiseTable(target.limits().n_vocab, text.n_noise_rows());
      }()),
      round_(target, draft, *costs_, clock_, {}) {
  if (!parts_.noise) parts_.noise = std::make_shared<GumbelNoise>();
  texts_.reserve(1);
  text.set_sequence(target.open());
}

Outcome Session::Impl::start(std::span<const TokenId> prompt, NoiseKey key) {
  check_prompt(prompt, target_.limits());
  const Stopwatch watch;
  noise_.restart(key, *parts_.noise);
  text.set_prompt(prompt);
  text.begin(noise_);
  // All the memory that a text can need, up to a point where growing costs nothing any more.
  generated.clear();
  generated.reserve(std::min(text.room(), std::size_t{1} << 16U));
  outcome_ = read_prompt();
  text.statistics().prompt_s = watch.seconds();
  return outcome_;
}

Outcome Session::Impl::read_prompt() {
  target_.truncate(text.sequence(), 0);
  const std::span<const TokenId> prompt = text.prompt();
  DraftReader* const head =
      text.reader() != nullptr && text.reader()->is_head() ? text.reader() : nullptr;
  bool reads_head = head != nullptr && head->begin(prompt) == PassOutcome::ok;
  const std::size_t n_piece = head != nullptr ? kHeadPiece : kPromptPiece;
  // The last token is the root of the first round.
  for (std::span<const TokenId> rest = prompt.first(prompt.size() - 1); !rest.empty();) {
    if (is_cancelled()) return Outcome::cancelled;
    const std::span<const TokenId> piece = rest.first(std::min(rest.size(), n_piece));
    const PassOutcome outcome = target_.extend(text.sequence(), piece);
    if (outcome == PassOutcome::cancelled) return Outcome::cancelled;
    if (outcome == PassOutcome::no_space) return Outcome::context_full;
    if (head != nullptr) {
      const PassOutcome read =
          head->read_after(target_, prompt.size() - 1 - rest.size(), piece, reads_head);
      if (read == PassOutcome::cancelled) return Outcome::cancelled;
      reads_head = reads_head && read == PassOutcome::ok;
    }
    rest = rest.subspan(piece.size());
  }
  // Where the draft has no room, nothing is drafted.
  if (head == nullptr && text.reader() != nullptr &&
      text.reader()->start(prompt) == PassOutcome::cancelled) {
    return Outcome::cancelled;
  }
  return text.outcome_at(text.room());
}

Outcome Session::Impl::round() {
  text.clear_round();
  if (is_cancelled()) return Outcome::cancelled;
  const ModelLimits& limits = target_.limits();
  text.begin_round(limits.max_pass_nodes - 1, limits.max_leaves, true);
  texts_.assign(1, &text);
  round_.run(texts_, nullptr);
  Statistics& statistics = text.statistics();
  statistics.target_s += round_.target_s();
  statistics.draft_s += round_.draft_s();
  if (text.error) throw Error(*text.error);
  return text.outcome;
}

Outcome Session::Impl::step() {
  if (outcome_ != Outcome::running) {
    throw std::logic_error(std::string("Session::step: the text has ended: ") +
                           to_string(outcome_));
  }
  const Stopwatch watch;
  outcome_ = Outcome::cancelled;  // where something is thrown
  outcome_ = round();
  generated.insert(generated.end(), text.generated().begin(), text.generated().end());
  text.statistics().decode_s += watch.seconds();
  if (outcome_ != Outcome::running) text.end();
  return outcome_;
}

Session::Session(LanguageModel& target, LanguageModel* draft, TextOptions options,
                 SessionParts parts)
    : impl_(std::make_unique<Impl>(target, draft, std::move(options), std::move(parts))) {}
Session::~Session() = default;

Outcome Session::start(std::span<const TokenId> prompt, std::uint64_t seed, std::uint32_t stream) {
  return impl_->start(prompt, {seed, stream});
}
Outcome Session::start(std::span<const TokenId> prompt) {
  return impl_->start(prompt, {options().seed, options().stream});
}
Outcome Session::step() { return impl_->step(); }

std::span<const GeneratedToken> Session::generated() const { return impl_->generated; }
std::span<const GeneratedToken> Session::last_tokens() const { return impl_->text.generated(); }
std::span<const TokenLogprob> Session::last_logprobs() const { return impl_->text.logprobs(); }
std::span<const TokenLogprob> Session::last_top_logprobs() const {
  return impl_->text.top_logprobs();
}
std::span<const TokenId> Session::text() const { return impl_->text.tokens(); }
const DraftTree& Session::last_tree() const { return impl_->text.tree; }
const WalkResult& Session::last_walk() const { return impl_->text.walk; }
const Statistics& Session::statistics() const { return impl_->text.statistics(); }
const TextOptions& Session::options() const { return impl_->text.options(); }
const PlannerReport* Session::planner_report() const { return impl_->text.planner_report(); }

}  // namespace gumbelspec
