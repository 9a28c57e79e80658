// One text being generated.
#ifndef GUMBELSPEC_SESSION_H_
#define GUMBELSPEC_SESSION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "gumbelspec/calibration_store.h"
#include "gumbelspec/costs.h"
#include "gumbelspec/drafter.h"
#include "gumbelspec/language_model.h"
#include "gumbelspec/method.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/sampling.h"
#include "gumbelspec/text_options.h"
#include "gumbelspec/token_constraint.h"
#include "gumbelspec/verifier.h"
#include "gumbelspec/walk.h"

namespace gumbelspec {

// What a session works with besides its models. Empty: the session's own.
struct SessionParts {
  // What passes cost, for planned trees; sessions of the same models may share one. Null: a session
  // that plans measures when it is made, which takes a second or two.
  std::shared_ptr<CostModel> costs = {};
  // What planned trees of earlier texts learnt, and where this one's goes; sessions of the same
  // models may share one. Null: the session begins afresh. Not looked at where rejection is an
  // alternative: what another text of the seed saw must not decide anything there.
  std::shared_ptr<CalibrationStore> calibrations = {};
  // Asked between passes; true ends the text with Outcome::cancelled.
  std::function<bool()> is_cancelled = {};
  std::shared_ptr<NoiseSource> noise = {};  // for tests
};

// For one seed, the tokens are the same with every method that keeps_seed(), every drafter and
// every tree, as long as the target's logits are the same numbers (docs/exactness.md).
//
// A session does not allocate memory in the steady state: after the first round, a step allocates
// nothing of its own.
// Threads: one at a time. Lifetime: the models outlive the session.
class Session {
 public:
  // draft may be null if the method is ar, the options bring a drafter, or gumbel-tree has sources
  // that need none (Method::sources).
  // Throws: Error{invalid_option}, also where these models cannot run the method
  // (possible_method() says what they can).
  Session(LanguageModel& target, LanguageModel* draft, TextOptions options,
          SessionParts parts = {});
  ~Session();
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  // Begins a text: evaluates the prompt on both models. A session can be started again, with
  // another prompt and seed, as often as one likes.
  // Throws: Error{invalid_prompt, prompt_too_long}.
  [[nodiscard]] Outcome start(std::span<const TokenId> prompt, std::uint64_t seed,
                              std::uint32_t stream = 0);
  [[nodiscard]] Outcome start(std::span<const TokenId> prompt);  // with the options' seed

  // One round: drafts, verifies, and appends accepted + 1 tokens.
  // Requires: start() or step() returned running last. Throws: Error{evaluation_failed,
  // no_token_allowed, peer_lost}, what a constraint throws; the text has then ended.
  [[nodiscard]] Outcome step();

  // Everything generated so far; an end-of-text token is not among it.
  [[nodiscard]] std::span<const GeneratedToken> generated() const;
  // What the last step appended.
  [[nodiscard]] std::span<const GeneratedToken> last_tokens() const;
  // Of these, where TextOptions::n_logprobs asks for them. Shape: [last_tokens().size()] and
  // [last_tokens().size(), n_logprobs], likeliest first; or empty.
  [[nodiscard]] std::span<const TokenLogprob> last_logprobs() const;
  [[nodiscard]] std::span<const TokenLogprob> last_top_logprobs() const;
  // Prompt and generated tokens.
  [[nodiscard]] std::span<const TokenId> text() const;

  // The tree of the last round and the way through it.
  [[nodiscard]] const DraftTree& last_tree() const;
  [[nodiscard]] const WalkResult& last_walk() const;

  [[nodiscard]] const Statistics& statistics() const;
  [[nodiscard]] const TextOptions& options() const;
  // What the planner did since the session was made; null: the method has none.
  // Lifetime: until the next step().
  [[nodiscard]] const PlannerReport* planner_report() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_SESSION_H_
