// One text being generated.
#ifndef GUMBELSPEC_SESSION_H_
#define GUMBELSPEC_SESSION_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "gumbelspec/calibration_store.h"
#include "gumbelspec/drafter.h"
#include "gumbelspec/language_model.h"
#include "gumbelspec/method.h"
#include "gumbelspec/noise.h"
#include "gumbelspec/sampling.h"
#include "gumbelspec/walk.h"

namespace gumbelspec {

enum class Outcome {
  running,
  eos,           // the model ended the text
  length,        // max_tokens reached
  context_full,  // the text fills the context
  cancelled,     // the caller asked to stop
  stop,          // a text of a batch: its sink had enough
};

// "running", "eos", "length", "context_full", "cancelled", "stop".
[[nodiscard]] const char* to_string(Outcome outcome);

struct SessionOptions {
  SamplingOptions sampling = {};
  Method method = {};
  // distribution: a planned method may also use rejection where that is faster, if the draft has
  // room for three sequences (ModelLimits::n_sequences). The text of a seed then depends on the
  // speed of the machine. Other methods do not look at it.
  Guarantee guarantee = Guarantee::seed;
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;      // independent texts of one seed
  std::size_t max_tokens = 128;  // tokens to generate at most
  // What passes cost, for planned trees; sessions of the same models may share one. Null: a session
  // that plans measures when it is made, which takes a second or two.
  std::shared_ptr<CostModel> costs = {};
  // What planned trees of earlier texts learnt, and where this one's goes; sessions of the same
  // models may share one. Null: the session begins afresh. Not looked at where
  // rejection is an alternative: what another text of the seed saw must not decide anything there.
  std::shared_ptr<CalibrationStore> calibrations = {};
  // Asked between passes; true ends the session with Outcome::cancelled.
  std::function<bool()> is_cancelled = {};
};

// A generated token and how it came about.
struct GeneratedToken {
  TokenId token{};
  TokenId runner_up{};
  // Its score minus the runner-up's. Infinity, and no other runner-up, where the token is not the
  // argmax of a score: of the rejection methods, at temperatures above 0.
  float margin = 0.0F;
  int depth = 0;  // depth in the draft tree of the token's parent: 0 = from the root's row
  std::uint32_t round = 0;   // counted from 0
  bool was_drafted = false;  // accepted from the draft, not only chosen by the target
};

// What became of the draft at one depth.
struct DepthCount {
  std::size_t n_drafted = 0;   // rounds whose tree was at least so deep
  std::size_t n_accepted = 0;  // rounds in which a node of this depth was accepted
};

struct Statistics {
  std::size_t n_prompt = 0;
  std::size_t n_generated = 0;
  std::size_t n_rounds = 0;
  std::size_t n_target_passes = 0;        // prompt not counted
  std::size_t n_draft_passes = 0;         // prompt not counted
  std::size_t n_drafted = 0;              // nodes verified
  std::size_t n_accepted = 0;             // drafted tokens that are in the text
  std::vector<DepthCount> by_depth = {};  // [method's length]; element i: depth i + 1
  double prompt_s = 0.0;
  double decode_s = 0.0;  // everything after the prompt; of it:
  double target_s = 0.0;  // target passes
  double draft_s = 0.0;   // draft passes

  // What the method adds to the passes: noise, log-weights, tree, walk, bookkeeping.
  [[nodiscard]] double own_s() const { return decode_s - target_s - draft_s; }

  // Tokens per target pass; 0 before the first.
  [[nodiscard]] double tokens_per_pass() const {
    return n_target_passes == 0
               ? 0.0
               : static_cast<double>(n_generated) / static_cast<double>(n_target_passes);
  }
  [[nodiscard]] double tokens_per_s() const {
    return decode_s > 0.0 ? static_cast<double>(n_generated) / decode_s : 0.0;
  }
};

// What decides which drafted nodes are accepted and what comes next. The library's own is the walk
// under shared noise; the interface exists for methods to compare with, and for the tests'
// sabotaged samplers.
class Verifier {
 public:
  virtual ~Verifier() = default;

  // The target's rows of the round; node i of the tree has row i.
  struct Round {
    const DraftTree& tree;
    const LanguageModel& target;    // row(i): the logits below node i
    std::span<const TokenId> text;  // accepted; the last token is the root
    LogWeights& weights;
    NoiseTable& noise;
    NoiseKey key;
  };
  virtual void verify(const Round& round, WalkResult& result) = 0;
};

// The choice of the target at a node: log-weights of its row plus the noise of its position.
[[nodiscard]] std::unique_ptr<Verifier> make_walk_verifier();

// Parts that tests replace. Empty: the library's own.
struct SessionParts {
  std::unique_ptr<Drafter> drafter;  // used instead of a model drafter
  std::unique_ptr<Verifier> verifier;
  std::unique_ptr<NoiseSource> noise;
};

// For one seed, the tokens are the same with every method that keeps_seed(), every drafter and
// every tree, as long as the target's logits are the same numbers (docs/exactness.md).
//
// A session does not allocate memory in the steady state: after the first round, a step allocates
// nothing of its own.
// Threads: one at a time. Lifetime: the models outlive the session.
class Session {
 public:
  // draft may be null if the method is ar or parts bring a drafter.
  // Throws: Error{invalid_option}.
  Session(LanguageModel& target, LanguageModel* draft, SessionOptions options,
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
  // Requires: start() or step() returned running last.
  [[nodiscard]] Outcome step();

  // Everything generated so far; an end-of-text token is not among it.
  [[nodiscard]] std::span<const GeneratedToken> generated() const;
  // What the last step appended.
  [[nodiscard]] std::span<const GeneratedToken> last_tokens() const;
  // Prompt and generated tokens.
  [[nodiscard]] std::span<const TokenId> text() const;

  // The tree of the last round and the way through it.
  [[nodiscard]] const DraftTree& last_tree() const;
  [[nodiscard]] const WalkResult& last_walk() const;

  [[nodiscard]] const Statistics& statistics() const;
  [[nodiscard]] const SessionOptions& options() const;
  // What the planner did since the session was made; null: the method has none.
  // Lifetime: until the next step().
  [[nodiscard]] const PlannerReport* planner_report() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_SESSION_H_
