// One text: what it is to be, and what has become of it. Sessions and batches take the same.
#ifndef GUMBELSPEC_TEXT_OPTIONS_H_
#define GUMBELSPEC_TEXT_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "gumbelspec/method.h"
#include "gumbelspec/sampling.h"
#include "gumbelspec/types.h"

namespace gumbelspec {

class Drafter;
class TokenConstraint;
class Verifier;

inline constexpr std::size_t kAnySlot = static_cast<std::size_t>(-1);

struct TextOptions {
  SamplingOptions sampling = {};
  Method method = {};
  // distribution: a planned method may also use rejection where that is faster. The text of a seed
  // then depends on the speed of the machine. Other methods do not look at it. automatic: seed,
  // since these options have one.
  Guarantee guarantee = Guarantee::seed;
  std::uint64_t seed = 0;
  std::uint32_t stream = 0;      // independent texts of one seed (a request's n)
  std::size_t max_tokens = 128;  // tokens to generate at most
  bool ignores_end = false;      // go on after the model's end of text
  // With each token its log-probability, and those of this many likeliest ones; -1: none. They are
  // the model's own: before temperature, penalties and truncation.
  int n_logprobs = -1;
  // They are those of the distribution that the token is drawn from instead, after all of that and
  // the constraint; of tokens that cannot come -infinity.
  bool final_logprobs = false;
  // Of a batch only, with n_logprobs: the prompt's tokens get theirs, too
  // (TextSink::on_prompt_logprobs). The prompt is then read anew.
  bool scores_prompt = false;
  // Of a batch only: whether it may use what past texts left in the cache.
  bool reuses_prefix = true;
  // Of a batch only: the slot that it takes, and waits for; kAnySlot: whichever suits it.
  std::size_t slot = kAnySlot;
  std::shared_ptr<TokenConstraint> constraint = {};  // null: none
  // Instead of the method's own; each serves one text at a time. With a drafter, the method says
  // what it may do: levels, and nodes that are verified. A verifier decides what the text is.
  std::shared_ptr<Drafter> drafter = {};
  std::shared_ptr<Verifier> verifier = {};
};

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

// What a source of drafted nodes (Proposals::source) was good for. A node that several proposed
// counts for the first.
struct SourceCount {
  std::string name;
  std::size_t n_drafted = 0;   // nodes verified
  std::size_t n_accepted = 0;  // of them accepted
};

// Where `name` is counted; a new count where it is not yet.
[[nodiscard]] SourceCount& count_of(std::vector<SourceCount>& counts, std::string_view name);

struct Statistics {
  std::size_t n_prompt = 0;
  std::size_t n_generated = 0;
  std::size_t n_rounds = 0;
  std::size_t n_target_passes = 0;          // prompt not counted
  std::size_t n_draft_passes = 0;           // prompt not counted
  std::size_t n_drafted = 0;                // nodes verified
  std::size_t n_accepted = 0;               // drafted tokens that are in the text
  std::vector<DepthCount> by_depth = {};    // [method's length]; element i: depth i + 1
  std::vector<SourceCount> by_source = {};  // those that proposed anything
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

struct TokenLogprob {
  TokenId token{};
  float logprob = 0.0F;  // nats
};

}  // namespace gumbelspec

#endif  // GUMBELSPEC_TEXT_OPTIONS_H_
